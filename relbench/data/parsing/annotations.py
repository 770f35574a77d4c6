"""Annotation files of the published data sets: lines of fields, the images that they name, and what is wrong.

A file is parsed once, by a generator of images and faults that goes on after a fault: training refuses the data set at
the first one, `relbench data verify` names all. Each fault is one line that names the file and the line in it.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, ParamSpec, Self, TypeVar

import pandas as pd

from relbench.data.parsing.missing import Place, refuse_missing
from relbench.data.table import COLUMNS, ROLES, Sharing, checked
from relbench.files import read_regular

Item = TypeVar("Item")
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")


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
            raise self.refused(f"{shortened(odd[0])} holds characters that no annotation has")

    @property
    def place(self) -> str:
        """File and number."""
        return f"{self.file}, {self.unit} {self.number}"

    def refused(self, why: str) -> ValueError:
        """The error to raise."""
        return ValueError(f"{self.place}: {why}: replace it with a good copy")

    def expect(self, columns: int) -> Self:
        """The line itself; another number of columns is refused."""
        if len(self.fields) != columns:
            raise self.refused(f"has {len(self.fields)} columns instead of {columns}")
        return self

    def whole(self, at: int) -> int:
        """A field as a whole number, not negative."""
        if not WHOLE_NUMBER.fullmatch(self.fields[at]):
            raise self.refused(f"{shortened(self.fields[at])} is not a whole number")
        return int(self.fields[at])

    def path(self, at: int) -> str:
        """A field as a path that leads down and nowhere else."""
        if {"", ".", ".."} & set(self.fields[at].split("/")):
            raise self.refused(f"{shortened(self.fields[at])} is not the path of an image")
        return self.fields[at]


def shortened(text: str) -> str:
    """A text as a message has it: in one line, and not long."""
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


class Image(NamedTuple):
    """An image that a list names.

    Attributes:
        name: its path.
        line: where it is named.
        label: its class; None where damage elsewhere keeps it from being known.
        split: "train", "validation" or "test"; None likewise.
        roles: whether it is a query, and whether it is in the gallery; empty where the data set does not tell.
        more: what else a data set says of it, by the name of the table's column; the same columns for all its images.
    """

    name: str
    line: Line
    label: str | None = None
    split: str | None = None
    roles: tuple[bool, ...] = ()
    more: Mapping[str, str] = {}


class Fault(NamedTuple):
    """A fault of a list.

    Attributes:
        words: one line.
        of_line: whether it is damage to a line (or to a whole file) in itself. Other faults are contradictions between
            lines, and may follow from damage: they tell something only where nothing was wrong before.
    """

    words: str
    of_line: bool


Scan = Iterator[Image | Fault]
"""What a reader finds in its lists, in order: it goes on after a fault."""
Found = Generator[Image | Fault, None, Result]
"""A part of a scan, and what it leaves for the other parts."""


def try_line(
    work: Callable[Arguments, Result], *args: Arguments.args, **more: Arguments.kwargs
) -> Found[Result | None]:
    """Work on a line or a file in itself: its result, or None after the fault that it was refused for."""
    return (yield from _tried(partial(work, *args, **more), of_line=True))


def try_list(
    work: Callable[Arguments, Result], *args: Arguments.args, **more: Arguments.kwargs
) -> Found[Result | None]:
    """Work on what lines say together: its result, or None after the fault that it was refused for."""
    return (yield from _tried(partial(work, *args, **more), of_line=False))


def _tried(work: Callable[[], Result], *, of_line: bool) -> Found[Result | None]:
    try:
        return work()
    except ValueError as error:
        yield Fault(str(error), of_line)
        return None


def scan_lines(file: Path, separator: str | None = None) -> Found[list[Line | None]]:
    """The lines of an annotation file; a fault for each that is no text, which is None.

    Args:
        file: a text file. That it is missing is no damage in itself: whoever looks at the folder says so.
        separator: between fields; None stands for any run of blanks.
    """
    raw = (yield from _tried(partial(_raw_lines, file), of_line=file.exists())) or []
    return (yield from scan_each(enumerate(raw, start=1), lambda numbered: _line(file, *numbered, separator)))


def _line(file: Path, number: int, raw: bytes, separator: str | None) -> Line:
    return Line(file, number, tuple(map(str.strip, _decoded(file, number, raw).split(separator))))


def scan_each(items: Iterable[Item | None], work: Callable[[Item], Result]) -> Found[list[Result | None]]:
    """Work on each line in itself: the results, with None after each fault that a line was refused for.

    Args:
        items: lines; those that are None already stay so.
        work: on a line.
    """
    results: list[Result | None] = []
    for item in items:
        result = None
        if item is not None:
            try:
                result = work(item)
            except ValueError as error:
                yield Fault(str(error), of_line=True)
        results.append(result)
    return results


def read_images(scan: Scan) -> list[Image]:
    """The images of sound lists.

    Raises:
        ValueError: the first fault.
    """
    images = []
    for found in scan:
        if isinstance(found, Fault):
            raise ValueError(found.words)
        images.append(found)
    return images


def read_lists(
    scan: Callable[[Path], Scan], folder: Path, classes: Sharing = "disjoint", *, of_files: bool = True
) -> pd.DataFrame:
    """The checked table of a data set.

    Args:
        scan: that of its lists.
        folder: it lies there.
        classes: what its splits promise.
        of_files: the images are files that the lists name, not records of the lists.

    Raises:
        ValueError: a list or an image is missing, or a list is damaged; names file and line.
    """
    table, place = table_of(folder, read_images(scan(folder)), classes)
    if of_files:
        refuse_missing(folder, list(table["name"]), place)
    return table


def check_header(lines: Sequence[Line | None], at: int, header: tuple[str, ...]) -> None:
    """Refuse lines of a file without its header, or with nothing below.

    Args:
        lines: all lines of the file.
        at: the header's place among them, from 0.
        header: its fields.

    Raises:
        ValueError: the header is not there, or nothing is below it.
    """
    place = min(at, len(lines) - 1)
    found = lines[place] if lines else None
    if found and (len(lines) < at + 2 or found.fields != header):
        raise found.refused(f"the header {' '.join(header)!r} and images below are missing")


def check_numbering(lines: Iterable[Line | None], first: int) -> None:
    """Refuse lines whose first field does not count up by one.

    Raises:
        ValueError: a line is missing, occurs twice, or has no number.
    """
    for expected, line in enumerate(lines, start=first):
        if line and line.whole(0) != expected:
            raise line.refused(f"has id {line.whole(0)} instead of {expected} (a line is missing or occurs twice)")


def table_of(folder: Path, images: Sequence[Image], classes: Sharing = "disjoint") -> tuple[pd.DataFrame, Place]:
    """The checked table of annotated images, and the places of its rows.

    Args:
        folder: what the names are relative to.
        images: those of sound lists.
        classes: what the splits promise.

    Raises:
        ValueError: as `checked`; the message names the line.
    """
    files = map(str, dict.fromkeys(image.line.file for image in images))
    roles = ROLES if any(image.roles for image in images) else ()
    more = list(images[0].more) if images else []
    rows = [(image.name, image.label, image.split, *image.roles, *image.more.values()) for image in images]
    where = " and ".join(files) or str(folder)

    def place(row: int) -> str:
        return images[row].line.place

    table = pd.DataFrame(rows, columns=[*COLUMNS, *roles, *more])
    return checked(table, needs_validation=False, classes=classes, where=where, place=place), place
