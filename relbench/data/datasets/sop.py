"""Stanford Online Products (Oh Song et al. 2016): 11,318 classes to train on, 11,316 to test on.

Split as in the authors' lists: class ids up to 11318 train, the others test. Class ids are global.
"""

from functools import partial
from pathlib import Path

from relbench.data.parsing.annotations import (
    Image,
    Line,
    Scan,
    check_header,
    check_numbering,
    scan_each,
    scan_lines,
    try_list,
)

ROOT = "Stanford_Online_Products"
HEADER = ("image_id", "class_id", "super_class_id", "path")
LAST_TRAIN_CLASS = 11318


def lists(folder: Path) -> list[Path]:
    """The files that list the images."""
    return [folder / ROOT / "Ebay_train.txt", folder / ROOT / "Ebay_test.txt"]


def scan(folder: Path) -> Scan:
    """The listed images, and what is wrong with the lists.

    Images stand as in `Ebay_train.txt`, then as in `Ebay_test.txt`; labels are the class ids ("1").

    Args:
        folder: holds `Stanford_Online_Products`.
    """
    for file, split in zip(lists(folder), ("train", "test"), strict=True):
        lines = yield from scan_lines(file)
        yield from try_list(check_header, lines, 0, HEADER)
        below = yield from scan_each(lines[1:], _check)
        start = next((line.whole(0) - at for at, line in enumerate(below) if line), 1)
        yield from try_list(check_numbering, below, first=start)
        yield from filter(None, (yield from scan_each(below, partial(_image, split))))


def _check(line: Line) -> Line:
    line.expect(len(HEADER)).whole(0)
    return line


def _image(split: str, line: Line) -> Image:
    number = line.whole(1)
    if (number <= LAST_TRAIN_CLASS) != (split == "train"):
        raise line.refused(f"has class {number}, but training classes end with {LAST_TRAIN_CLASS}")
    return Image(f"{ROOT}/{line.path(3)}", line, str(number), split)
