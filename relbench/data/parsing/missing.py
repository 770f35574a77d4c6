"""Images that lists name and that are not there."""

import errno
import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)

Place = Callable[[int], str]
"""What a row of a table is called, given its number from 0."""


def refuse_missing(folder: Path, names: Sequence[str], place: Place) -> None:
    """Refuse a list that names images which are not there.

    Args:
        folder: what relative names are relative to.
        names: paths of images.
        place: what the message calls an entry of the list, given its number from 0.

    Raises:
        ValueError: images are missing (the first is named, all are counted), or a folder cannot be read.
    """
    missing = missing_images(folder, names)
    if missing:
        first = names[missing[0]]
        near = _alike(folder, first)
        raise ValueError(
            f"{place(missing[0])}: image {first!r} is not in {folder} (of {len(names)} listed images "
            f"{len(missing)} are missing): put the images there{f', or is it {near!r}?' if near else ''}"
        )


def _alike(folder: Path, name: str) -> str | None:
    """An image whose name differs only in case, in its ending, or in how accents are encoded."""
    sought = Path(name)
    alike = (other for other in sorted(_files_in((folder / sought).parent)) if _bare(other) == _bare(sought.name))
    return next((str(sought.with_name(other)) for other in alike), None)


def _bare(file: str) -> str:
    return unicodedata.normalize("NFC", Path(file).stem).casefold()


def missing_images(folder: Path, names: Sequence[str]) -> list[int]:
    """Which entries of a list name images that are not there, from 0.

    Each folder is listed once: asking for 120,000 files one by one takes long on a network disk.

    Args:
        folder: what relative names are relative to.
        names: paths of images.

    Raises:
        ValueError: a folder cannot be read.
    """
    split = [os.path.split(name) for name in names]
    there = {parent: _files_in(folder / parent) for parent in {parent for parent, _ in split}}
    return [row for row, (parent, name) in enumerate(split) if name not in there[parent]]


def _files_in(folder: Path) -> set[str]:
    """Names of the files in a folder; none if there is no such folder."""
    if "\0" in str(folder):
        return set()
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError as error:
        if error.errno in NOT_THERE:
            return set()
        raise ValueError(f"{folder} cannot be read ({error.strerror}): make it readable") from None
