"""Annotation files of the published data sets: lines of fields, and whether the images they name are there.

Each refusal is one line that names the file and the line in it.
"""

import errno
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd

from relbench.data.table import COLUMNS, checked
from relbench.files import read_regular

Result = TypeVar("Result")

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


@dataclass(frozen=True)
class Line:
    """One line of an annotation file.

    Args:
        file: where it stands.
        number: from 1, as editors count.
        fields: its columns as text.
        unit: what the file's parts are called.

    Raises:
        ValueError: a field holds a control character.
    """

    file: Path
    number: int
    fields: tuple[str, ...]
    unit: str = "line"

    def __post_init__(self) -> None:
        odd = [field for field in self.fields if not field.isprintable()]
        if odd:
            raise self.refused(f"{_short(odd[0])} holds characters that no annotation has")

    @property
    def place(self) -> str:
        """File and number."""
        return f"{self.file}, {self.unit} {self.number}"

    def refused(self, why: str) -> ValueError:
        """The error to raise."""
        return ValueError(f"{self.place}: {why}: replace it with a good copy")

    def expect(self, columns: int) -> None:
        """Refuse another number of columns."""
        if len(self.fields) != columns:
            raise self.refused(f"has {len(self.fields)} columns instead of {columns}")

    def whole(self, at: int) -> int:
        """A field as a whole number, not negative."""
        if not re.fullmatch(r"[0-9]{1,9}", self.fields[at]):
            raise self.refused(f"{_short(self.fields[at])} is not a whole number")
        return int(self.fields[at])

    def path(self, at: int) -> str:
        """A field as a path that leads down and nowhere else."""
        if {"", ".", ".."} & set(self.fields[at].split("/")):
            raise self.refused(f"{_short(self.fields[at])} is not the path of an image")
        return self.fields[at]


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def text_lines(file: Path) -> list[str]:
    """The lines of a text file, without their ends.

    Raises:
        ValueError: the file is missing, unreadable, empty, or not UTF-8.
    """
    return [_decoded(file, number, line) for number, line in enumerate(_raw_lines(file), 1)]


def _raw_lines(file: Path) -> list[bytes]:
    try:
        content = read_regular(file)
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}): replace it with a good copy") from None
    if not content:
        raise ValueError(f"{file} is empty: replace it with a good copy")
    return content.removesuffix(b"\n").split(b"\n")


def _decoded(file: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{file}, line {number}: is not UTF-8 text: replace it with a good copy") from None


def read_lines(file: Path, separator: str | None = None) -> list[Line]:
    """The lines of an annotation file.

    Args:
        file: a text file.
        separator: between fields; None stands for any run of blanks.

    Raises:
        ValueError: as `text_lines`, or a field holds a control character.
    """
    return [_line(file, number, raw, separator) for number, raw in enumerate(_raw_lines(file), start=1)]


def _line(file: Path, number: int, raw: bytes, separator: str | None) -> Line:
    return Line(file, number, tuple(map(str.strip, _decoded(file, number, raw).split(separator))))


@dataclass
class Survey:
    """What lists say, read to their ends whatever is wrong with them: to name every fault, not to train on.

    Args:
        faults: a line for each damaged line.
        images: name and place in its list of each image that a line names.
    """

    faults: list[str] = field(default_factory=list)
    images: list[tuple[str, str]] = field(default_factory=list)

    def look(
        self, file: Path, image_of: Callable[[Line], str | None], above: int = 0, separator: str | None = None
    ) -> None:
        """Look at each line of a file that is there.

        Args:
            file: a text file; nothing is said if it is missing.
            image_of: the image that a line names, if any; refuses a damaged line.
            above: lines of the heading.
            separator: see `read_lines`.
        """
        if file.exists():
            numbered = self._tried(lambda: list(enumerate(_raw_lines(file), start=1))) or []
            for number, raw in numbered[above:]:
                self.note(lambda number=number, raw=raw: _line(file, number, raw, separator), image_of)  # type: ignore[misc]

    def note(self, line: Callable[[], Line], image_of: Callable[[Line], str | None]) -> None:
        """Look at a line."""
        found = self._tried(line)
        name = self._tried(lambda: image_of(found)) if found else None
        if found and name:
            self.images.append((name, found.place))

    def tried(self, lines: Callable[[], Sequence[Line]]) -> Sequence[Line]:
        """Lines that are read all or none."""
        return self._tried(lines) or []

    def _tried(self, work: Callable[[], Result]) -> Result | None:
        try:
            return work()
        except ValueError as error:
            self.faults.append(str(error))
            return None


def below_header(lines: list[Line], at: int, header: tuple[str, ...]) -> list[Line]:
    """The lines below the header, each with as many columns.

    Args:
        lines: all lines of the file.
        at: the header's place among them, from 0.
        header: its fields.

    Raises:
        ValueError: the header is not there, nothing is below it, or a line has another number of columns.
    """
    if len(lines) < at + 2 or lines[at].fields != header:
        raise lines[min(at, len(lines) - 1)].refused(f"the header {' '.join(header)!r} and images below are missing")
    for line in lines[at + 1 :]:
        line.expect(len(header))
    return lines[at + 1 :]


def check_numbering(lines: Iterable[Line], first: int) -> None:
    """Refuse lines whose first field does not count up by one.

    Raises:
        ValueError: a line is missing, occurs twice, or has no number.
    """
    for expected, line in enumerate(lines, start=first):
        if line.whole(0) != expected:
            raise line.refused(f"has id {line.whole(0)} instead of {expected} (a line is missing or occurs twice)")


def table_of(
    folder: Path, rows: Sequence[tuple[object, ...]], lines: Sequence[Line], *more: str, check_images: bool = True
) -> pd.DataFrame:
    """Make the checked table of annotated images.

    Args:
        folder: what the names are relative to.
        rows: name, label and split of each image, and the values of further columns.
        lines: the line that annotates each image.
        more: the further columns.
        check_images: refuse a table if an image is not there.

    Raises:
        ValueError: as `checked`, or an image is not there; the message names the line.
    """
    files = dict.fromkeys(str(line.file) for line in lines)
    table = checked(
        pd.DataFrame(rows, columns=[*COLUMNS, *more]),
        needs_validation=False,
        where=" and ".join(files) or str(folder),
        place=lambda row: lines[row].place,
    )
    if check_images:
        refuse_missing(folder, list(table["name"]), lambda row: lines[row].place)
    return table


def refuse_missing(folder: Path, names: Sequence[str], place: Callable[[int], str]) -> None:
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
