"""CUB-200-2011 (Wah et al. 2011): birds; 100 classes to train on, 100 to test on.

Split as in zero-shot retrieval: class ids 1 to 100 train, 101 to 200 test; the authors' own split is within classes and
not used. Only listed images count, so stray files such as `._x.jpg` never enter.
"""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from relbench.data.parsing.annotations import (
    Found,
    Image,
    Line,
    Scan,
    check_numbering,
    scan_each,
    scan_lines,
    try_list,
)

ROOT = "CUB_200_2011"
LAST_TRAIN_CLASS = 100


def lists(folder: Path) -> list[Path]:
    """The files that list the images."""
    return [folder / ROOT / "images.txt", folder / ROOT / "image_class_labels.txt"]


def scan(folder: Path) -> Scan:
    """The listed images, and what is wrong with the lists.

    Images stand as in `images.txt`; labels are as in `classes.txt` ("001.Black_footed_Albatross").

    Args:
        folder: holds `CUB_200_2011`.
    """
    root = folder / ROOT
    images = yield from _numbered(root / "images.txt", lambda line: line.path(1))
    classes = yield from _numbered(root / "classes.txt", lambda line: line.fields[1])
    labels = yield from _numbered(root / "image_class_labels.txt", lambda line: line.whole(1))
    yield from try_list(_check_lengths, root, len(images), len(labels))
    for image, label in zip_longest(images, labels):
        if image:
            found = (yield from try_list(_label, image, label, classes)) if label else None
            yield Image(f"{ROOT}/images/{image.path(1)}", image, *(found or ()))


def _numbered(file: Path, check: Callable[[Line], object]) -> Found[list[Line | None]]:
    """Lines of id and one value, which is checked; ids count up from 1."""

    def check_line(line: Line) -> Line:
        line.expect(2).whole(0)
        check(line)
        return line

    lines = yield from scan_lines(file)
    sound = yield from scan_each(lines, check_line)
    yield from try_list(check_numbering, sound, first=1)
    return sound


def _check_lengths(root: Path, images: int, labels: int) -> None:
    if images != labels:
        raise ValueError(
            f"{root / 'images.txt'} has {images} lines, {root / 'image_class_labels.txt'} has {labels}: "
            "replace them with good copies"
        )


def _label(image: Line, label: Line, classes: Sequence[Line | None]) -> tuple[str, str] | None:
    """Label and split; an image's folder is named as its class, so neither file can be off unnoticed."""
    path, number = image.path(1), label.whole(1)
    if not 1 <= number <= len(classes):
        raise label.refused(f"has class {number}, but there are {len(classes)} classes")
    line = classes[number - 1]
    if line is None:
        return None
    name = line.fields[1]
    if path.split("/")[0] != name:
        raise image.refused(f"{path!r} is not in the folder {name!r} of its class ({label.place})")
    return name, "train" if number <= LAST_TRAIN_CLASS else "test"
