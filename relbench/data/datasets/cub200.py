"""CUB-200-2011 (Wah et al. 2011): birds of 200 classes.

Split by classes as in zero-shot retrieval: class ids 1 to 100 train, 101 to 200 test. Split by images as its authors
have it: 5,994 images of all classes train, 5,794 test. Only listed images count, so stray files such as `._x.jpg` never
enter.
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
OFFICIAL = "train_test_split.txt"  # 1 for images to train on, 0 for others
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


class ByImages:
    """The reader of the same images, split as their authors have it."""

    def lists(self, folder: Path) -> list[Path]:
        """The files that list the images, and the authors' split of them."""
        return [*lists(folder), folder / ROOT / OFFICIAL]

    def scan(self, folder: Path) -> Scan:
        """As `scan`, but for the split."""
        last, sides = 0, (yield from _numbered(folder / ROOT / OFFICIAL, _side))
        for found in scan(folder):
            if isinstance(found, Image):
                last = found.line.number  # the image's id, too
                line = sides[last - 1] if last <= len(sides) else None
                yield found._replace(split=_side(line) if line else None)
            else:
                yield found
        yield from try_list(_check_lengths, folder / ROOT, last, len(sides), OFFICIAL)


def _side(line: Line) -> str:
    number = line.whole(1)
    if number > 1:
        raise line.refused(f"has {number} where 1 stands for training and 0 for test")
    return "train" if number else "test"


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


def _check_lengths(root: Path, images: int, lines: int, name: str = "image_class_labels.txt") -> None:
    if images != lines:
        raise ValueError(
            f"{root / 'images.txt'} has {images} lines, {root / name} has {lines}: replace them with good copies"
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
