"""The disk while archives are downloaded and unpacked: its errors in one line, and whether there is room."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.filesize import decimal

from relbench.files import free_space


@contextmanager
def plain_disk_errors(folder: Path) -> Iterator[None]:
    """Turn the system's errors into one line.

    Raises:
        ValueError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{error.filename or folder}: {error.strerror or error}: free some space, change the rights or choose "
            "another folder, then try again"
        ) from None


def check_room(needed: int, folder: Path, what: str) -> None:
    """Refuse what doesn't fit on the disk.

    Raises:
        ValueError: with the bytes needed and free.
    """
    free = free_space(folder)
    if needed > free:
        raise ValueError(
            f"{what} needs {decimal(needed)} on the disk of {folder}, but {decimal(free)} are free: free some space, "
            "or choose another folder"
        )
