"""Layouts D and F of miniImageNet: a folder for each class, named by its WordNet id.

D: the training images of ILSVRC2012 as published, of which Ravi's list takes 600 of each class by their places. A class
that lacks some of its files would shift the places of all behind them; that is told only where too few are left, as the
published numbers of images are not known here. As names are part of the hash of the content, such a copy gets another
one. F: folders of 600 images each in `data`, and lists of the classes in `splits/ravi-larochelle`.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from relbench.data.datasets.mini_imagenet.classes import MOST, PARTS, Known, known_classes
from relbench.data.datasets.mini_imagenet.layouts import known_class
from relbench.data.parsing.annotations import Image, Line, Scan, scan_each, scan_lines, try_list
from relbench.data.parsing.class_folders import IMAGES
from relbench.data.parsing.listings import folders_in, scan_files
from relbench.data.table import CLASS_NAME

ILSVRC2012 = "ILSVRC2012_img_train"
LISTS = "splits/ravi-larochelle"
ENDINGS = (*IMAGES, *map(str.upper, IMAGES))
FILE = re.compile(r"(n[0-9]{8})_([0-9]{1,8})\.JPEG")
OF_CLASS = re.compile(r"(n[0-9]{8})(_?[0-9]+)?\..*")


def scan_ilsvrc(folder: Path) -> Scan:
    """The images of layout D that Ravi's list takes, by class and place."""
    for known in known_classes().values():
        of_class = folder / ILSVRC2012 / known.label
        files = (yield from scan_files(of_class, ".JPEG")) if of_class.exists() else []
        numbers = yield from scan_each(files, partial(_number, known.label))
        numbered = sorted((number, file) for number, file in zip(numbers, files, strict=True) if number is not None)
        yield from try_list(_check_places, of_class, known, len(numbered))
        for place in sorted(known.images):
            if place <= len(numbered):
                yield _image(f"{ILSVRC2012}/{known.label}", numbered[place - 1][1], known)


def _number(label: str, line: Line) -> int:
    """The number in a file's name."""
    found = FILE.fullmatch(line.fields[0])
    if not found or found[1] != label:
        raise line.refused(f"layout D: {line.fields[0]!r} is not named as '{label}_1.JPEG' is")
    return int(found[2])


def _check_places(folder: Path, known: Known, count: int) -> None:
    if not count:
        tar = folder.with_suffix(".tar")
        what = f"unpack {tar.name} there" if tar.exists() else "complete it"
        raise ValueError(f"layout D: the class {known.label} ({known.name}) has no images in {folder}: {what}")
    if not max(known.images) <= count <= MOST:
        raise ValueError(
            f"layout D: {folder} has {count} images, but there are {MOST} at most and Ravi's list takes number "
            f"{max(known.images)}: complete the class, or replace it with a good copy"
        )


def _image(folder: str, line: Line, known: Known) -> Image:
    return Image(f"{folder}/{line.fields[0]}", line, known.label, known.split, more={CLASS_NAME: known.name})


def scan_class_folders(folder: Path) -> Scan:
    """The images of layout F by class, in the order of its lists, and by name."""
    listed: dict[str, Line] = {}
    for part, split in PARTS.items():
        lines = yield from scan_lines(folder / LISTS / f"{part}.txt")
        for line in filter(None, (yield from scan_each(lines, partial(_class, split)))):
            yield from try_list(_check_once, line, listed)
            listed.setdefault(line.fields[0], line)
    yield from try_list(_check_folders, folder / "data", listed)
    for label in listed:
        yield from _of_class(folder / "data" / label, known_classes()[label])


def _class(split: str, line: Line) -> Line:
    known_class(line.expect(1), line.fields[0], split, "F")
    return line


def _check_once(line: Line, listed: Mapping[str, Line]) -> None:
    if line.fields[0] in listed:
        raise line.refused(f"layout F: the class {line.fields[0]} stands in line {listed[line.fields[0]].number}, too")


def _check_folders(data: Path, listed: Iterable[str]) -> None:
    foreign = min(set(folders_in(data)) - set(listed), default=None)
    if foreign:
        raise ValueError(f"layout F: {data / foreign} is a folder of no class of the lists: move it away")


def _of_class(folder: Path, known: Known) -> Scan:
    files = (yield from scan_files(folder, ENDINGS)) if folder.exists() else []
    for line in filter(None, (yield from scan_each(files, partial(_own, known.label)))):
        yield _image(f"data/{known.label}", line, known)


def _own(label: str, line: Line) -> Line:
    """Refuse a file that is named by another class."""
    found = OF_CLASS.fullmatch(line.fields[0])
    if found and found[1] != label:
        raise line.refused(f"layout F: {line.fields[0]!r} is of another class than its folder, {label}")
    return line
