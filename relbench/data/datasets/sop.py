"""Stanford Online Products (Oh Song et al. 2016): 11,318 classes to train on, 11,316 to test on.

Split as in the authors' lists: class ids up to 11318 train, the others test. Class ids are global.
"""

from pathlib import Path

import pandas as pd

from relbench.data.parsing.annotations import Line, Survey, below_header, check_numbering, read_lines, table_of

ROOT = "Stanford_Online_Products"
HEADER = ("image_id", "class_id", "super_class_id", "path")
LAST_TRAIN_CLASS = 11318


def read(folder: Path, *, check_images: bool = True) -> pd.DataFrame:
    """Read the unpacked archive.

    Args:
        folder: holds `Stanford_Online_Products`.
        check_images: refuse it if an image is not there.

    Returns:
        A checked table, lines as in `Ebay_train.txt`, then as in `Ebay_test.txt`; labels are the class ids ("1").

    Raises:
        ValueError: a file or image is missing, or a list is damaged; names file and line.
    """
    train, test = map(_listed, lists(folder))
    rows = [*(_row(line, "train") for line in train), *(_row(line, "test") for line in test)]
    return table_of(folder, rows, [*train, *test], check_images=check_images)


def lists(folder: Path) -> list[Path]:
    """The files that list the images."""
    return [folder / ROOT / "Ebay_train.txt", folder / ROOT / "Ebay_test.txt"]


def survey(folder: Path) -> Survey:
    """Every damaged line of the lists, and the images that the others name."""
    found = Survey()
    for file, split in zip(lists(folder), ("train", "test"), strict=True):
        found.look(file, lambda line, split=split: _image(line, split), above=1)  # type: ignore[misc]
    return found


def _image(line: Line, split: str) -> str:
    line.expect(len(HEADER))
    line.whole(0)
    return _row(line, split)[0]


def _listed(file: Path) -> list[Line]:
    lines = below_header(read_lines(file), 0, HEADER)
    check_numbering(lines, first=lines[0].whole(0))
    return lines


def _row(line: Line, split: str) -> tuple[str, str, str]:
    number = line.whole(1)
    if (number <= LAST_TRAIN_CLASS) != (split == "train"):
        raise line.refused(f"has class {number}, but training classes end with {LAST_TRAIN_CLASS}")
    return f"{ROOT}/{line.path(3)}", str(number), split
