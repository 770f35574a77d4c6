"""Folders for jobs on a node, each for as long as the job is made; those of killed workers are cleared away."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from relbench.locks import HeldError, lock


@contextmanager
def work_folder() -> Iterator[Path]:
    """A new folder that this process holds; it is gone afterwards, or with the next job on this node.

    Raises:
        ValueError: the folder above it belongs to somebody else.
        OSError: there is no place.
    """
    above = folder_of_this_user()
    with lock(above, wait=True):  # no other process sees a folder that is not held yet
        _clear(above)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=above))
        held = lock(folder)
    try:
        with held:
            yield folder
    finally:
        shutil.rmtree(folder)


def folder_of_this_user() -> Path:
    """Holds what jobs of this user need on a node.

    Raises:
        ValueError: it belongs to somebody else.
        OSError: there is no place.
    """
    folder = Path(tempfile.gettempdir(), f"relbench-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise ValueError(f"{folder} belongs to another user: set TMPDIR to a folder of your own")
    return folder


def _clear(above: Path) -> None:
    """Delete the folders that nobody holds; where there are no locks, a process of that number may hold it."""
    for folder in above.iterdir():
        number = folder.name.partition("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            with suppress(HeldError), lock(folder):
                shutil.rmtree(folder)
