"""Listings of folders, where no list names the images: their files as lines, so that faults are told alike."""

from pathlib import Path

from relbench.data.parsing.annotations import Found, Line, scan_each, try_line, try_list
from relbench.data.parsing.class_folders import visible


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones are left out.

    Raises:
        ValueError: it can't be read, or a name can't be printed; one line.
    """
    return [entry.name for entry in visible(folder) if entry.is_dir()]


def scan_files(folder: Path, ending: str | tuple[str, ...]) -> Found[list[Line]]:
    """The files of a folder, sorted by name: a line for each, whose only field is its name.

    Args:
        folder: of images. That it is missing is no damage in itself: whoever looks at the layout says so.
        ending: of the names, or several; other files, and hidden ones, are left out.
    """
    attempt = try_line if folder.exists() else try_list
    entries = (yield from attempt(visible, folder)) or []
    names = [entry.name for entry in entries if entry.name.endswith(ending)]
    lines = yield from scan_each(enumerate(names, start=1), lambda item: Line(folder, item[0], (item[1],), "file"))
    return [line for line in lines if line]
