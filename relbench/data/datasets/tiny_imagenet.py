"""Tiny ImageNet (Stanford's course cs231n): 200 classes of ImageNet at 64 px, 500 training images each.

Test images are those of the official validation part, 50 a class, as in all papers: the labels of the official test
part were never published. A class is its WordNet id, and classes are numbered by their sorted ids, as by ImageFolder;
some codes number them in the order of `wnids.txt`.

The validation part may lie as published (`val/images` and `val/val_annotations.txt`), or with its images moved into a
folder a class (`val/<id>` or `val/<id>/images`), as many codes want it: the rows are the same but for their paths.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from relbench.data.parsing.annotations import (
    Found,
    Image,
    Line,
    Scan,
    scan_each,
    scan_lines,
    text_lines,
    try_line,
    try_list,
)
from relbench.data.parsing.listings import folders_in, scan_files
from relbench.data.table import CLASS_NAME

ROOT = "tiny-imagenet-200"
ENDING = ".JPEG"
ID = re.compile(r"n[0-9]{8}")
NUMBER = r"(0|[1-9][0-9]{0,5})"
LOOSE = "images"  # the folder of val where no image's folder tells its class
ANNOTATIONS, COLUMNS = "val_annotations.txt", 6  # file, id, and a box

Names = Mapping[str, str]
"""What readers call each class, by its id."""


def lists(folder: Path) -> list[Path]:
    """What lists the images: the classes' ids, and the folders of both parts."""
    return [folder / ROOT / "wnids.txt", folder / ROOT / "train", folder / ROOT / "val"]


def scan(folder: Path) -> Scan:
    """The images of both parts, and what is wrong with them.

    Images stand by class and number in training, by number in test; labels are the WordNet ids ("n01443537"), and
    readers are shown the first of a class's words ("goldfish").

    Args:
        folder: holds `tiny-imagenet-200`.
    """
    root = folder / ROOT
    classes = yield from _classes(root / "wnids.txt")
    words = root / "words.txt"
    attempt = try_line if words.exists() else try_list
    names = (yield from attempt(_names, words, classes)) or {}
    yield from try_list(_check_folders, root / "train", classes)
    for label in sorted(classes):
        yield from _train(root / "train" / label / "images", label, names)
    yield from _test(root / "val", classes, names)


def _classes(file: Path) -> Found[dict[str, Line]]:
    """The line of each class in `wnids.txt`."""
    lines = yield from scan_lines(file)
    sound = yield from scan_each(lines, _class)
    yield from try_list(_check_each_once, sound)
    return {line.fields[0]: line for line in sound if line}


def _class(line: Line) -> Line:
    if not ID.fullmatch(line.expect(1).fields[0]):
        raise line.refused(f"{line.fields[0]!r} is not a WordNet id such as 'n01443537'")
    return line


def _check_each_once(lines: Iterable[Line | None]) -> None:
    """Refuse lines with the same first field."""
    seen: dict[str, Line] = {}
    for line in filter(None, lines):
        first = seen.setdefault(line.fields[0], line)
        if first is not line:
            raise line.refused(f"{line.fields[0]!r} stands in line {first.number}, too")


def _names(file: Path, classes: Collection[str]) -> Names:
    """The first of the words of each class; `words.txt` has those of all of WordNet."""
    rows = ((number, row.partition("\t")) for number, row in enumerate(text_lines(file), start=1))
    lines = [Line(file, number, (label, words)) for number, (label, _, words) in rows if label in classes]
    names = {line.fields[0]: line.fields[1].split(",")[0].strip() for line in lines}
    nameless = next((label for label in sorted(classes) if not names.get(label)), None)
    if nameless:
        raise ValueError(f"{file} has no words for the class {nameless}: replace it with a good copy")
    return names


def _check_folders(train: Path, classes: Mapping[str, Line]) -> None:
    """Refuse a folder that is no class, and a class without a folder."""
    there = set(folders_in(train))
    _refuse_foreign(train, there - set(classes))
    lacking = next((line for label, line in classes.items() if label not in there), None)
    if lacking:
        raise ValueError(f"{lacking.place}: the class {lacking.fields[0]} has no folder in {train}: complete it")


def _refuse_foreign(part: Path, names: Iterable[str]) -> None:
    foreign = min(names, default=None)
    if foreign:
        raise ValueError(f"{part / foreign} is a folder of no class of wnids.txt: move it away, or replace wnids.txt")


def _train(folder: Path, label: str, names: Names) -> Scan:
    """The training images of a class, which are numbered from 0 without a gap."""
    files = yield from scan_files(folder, ENDING)
    numbers = yield from scan_each(files, partial(_number, label))
    numbered = {number: file for number, file in zip(numbers, files, strict=True) if number is not None}
    yield from try_list(_check_no_gap, folder, label, numbered)
    for _, file in sorted(numbered.items(), key=lambda item: item[0]):
        yield _image(f"train/{label}/images/{file.fields[0]}", file, label, "train", names)


def _number(prefix: str, line: Line) -> int:
    """The number in a file's name."""
    found = re.fullmatch(rf"{prefix}_{NUMBER}{ENDING}", line.fields[0])
    if not found:
        raise line.refused(f"{line.fields[0]!r} is not named as '{prefix}_0{ENDING}' is")
    return int(found[1])


def _check_no_gap(folder: Path, label: str, numbers: Collection[int]) -> None:
    gap = next((number for number in range(len(numbers)) if number not in numbers), None)
    if gap is not None:
        raise ValueError(f"{folder / f'{label}_{gap}{ENDING}'} is missing, but higher numbers are there: complete it")


def _image(path: str, line: Line, label: str | None, split: str, names: Names) -> Image:
    more = {CLASS_NAME: names.get(label or "", "")}
    return Image(f"{ROOT}/{path}", line, label, split, more=more)


class Placed(NamedTuple):
    """An image of the validation part: the line that names it, its path below `val`, and its class, where known."""

    line: Line
    path: str
    label: str | None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.line.fields[0]


def _test(val: Path, classes: Mapping[str, Line], names: Names) -> Scan:
    """The images of the validation part, wherever they lie, by number."""
    files = yield from _files(val, classes)
    yield from try_list(_check_one_place, val, files)
    if (val / ANNOTATIONS).exists():
        files = yield from _annotated(val / ANNOTATIONS, classes, files)
    else:
        yield from try_list(_check_told, val, files)
    numbers = yield from scan_each(files, lambda file: _number("val", file.line))
    numbered = [(number, file) for number, file in zip(numbers, files, strict=True) if number is not None]
    for _, file in sorted(numbered, key=lambda pair: pair[0]):
        yield _image(f"val/{file.path}", file.line, file.label, "test", names)


def _files(val: Path, classes: Collection[str]) -> Found[list[Placed]]:
    """The files of `val/images`, and those of class folders and the folders `images` in them."""
    folders = (yield from try_list(folders_in, val)) or []
    yield from try_list(_refuse_foreign, val, set(folders) - {LOOSE, *classes})
    places = [(name, None if name == LOOSE else name) for name in folders]
    places += [(f"{name}/{LOOSE}", name) for name in folders if (val / name / LOOSE).is_dir()]
    found = []
    for place, label in places:
        lines = yield from scan_files(val / place, ENDING)
        found += [Placed(line, f"{place}/{line.fields[0]}", label) for line in lines]
    return found


def _check_one_place(val: Path, files: Iterable[Placed]) -> None:
    """Refuse two files of the same name, as are left where some were copied rather than moved."""
    seen: dict[str, Placed] = {}
    for file in files:
        first = seen.setdefault(file.name, file)
        if first is not file:
            raise ValueError(f"{val / first.path} and {val / file.path} are the same image: keep one of them")


def _check_told(val: Path, files: Iterable[Placed]) -> None:
    """Refuse images whose class nothing tells."""
    loose = next((file for file in files if file.label is None), None)
    if loose:
        raise ValueError(
            f"{val / ANNOTATIONS} is missing, and nothing else tells the class of {loose.path}: bring it back"
        )


def _annotated(annotations: Path, classes: Collection[str], files: Sequence[Placed]) -> Found[list[Placed]]:
    """The annotated images, where their files lie; as published, where there is none."""
    lines = yield from scan_lines(annotations, separator="\t")
    sound = yield from scan_each(lines, partial(_annotation, classes))
    yield from try_list(_check_each_once, sound)
    there = {file.name: file for file in files}
    found = []
    for line in filter(None, sound):
        file = there.pop(line.fields[0], None)
        yield from try_list(_check_folder, line, file)
        found.append(Placed(line, file.path if file else f"{LOOSE}/{line.fields[0]}", line.fields[1]))
    yield from try_list(_check_none_left, annotations, there)
    return found


def _annotation(classes: Collection[str], line: Line) -> Line:
    line.expect(COLUMNS).path(0)
    if line.fields[1] not in classes:
        raise line.refused(f"{line.fields[1]!r} is no class of wnids.txt")
    return line


def _check_folder(line: Line, file: Placed | None) -> None:
    """Refuse an image that lies in the folder of another class than it is annotated with."""
    if file and file.label not in (None, line.fields[1]):
        raise line.refused(f"says class {line.fields[1]}, but the image is {file.path}")


def _check_none_left(annotations: Path, files: Mapping[str, Placed]) -> None:
    if files:
        first = min(files)
        raise ValueError(f"{annotations} does not name {files[first].path}: replace it with a good copy")
