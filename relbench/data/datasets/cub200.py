"""CUB-200-2011 (Wah et al. 2011): birds; 100 classes to train on, 100 to test on.

Split as in zero-shot retrieval: class ids 1 to 100 train, 101 to 200 test; the authors' own split is within classes and
not used. Only listed images count, so stray files such as `._x.jpg` never enter.
"""

from pathlib import Path

import pandas as pd

from relbench.data.parsing.annotations import Line, Survey, check_numbering, read_lines, table_of

ROOT = "CUB_200_2011"
LAST_TRAIN_CLASS = 100


def read(folder: Path, *, check_images: bool = True) -> pd.DataFrame:
    """Read the unpacked archive.

    Args:
        folder: holds `CUB_200_2011`.
        check_images: refuse it if an image is not there.

    Returns:
        A checked table, lines as in `images.txt`; labels are as in `classes.txt` ("001.Black_footed_Albatross").

    Raises:
        ValueError: a file or image is missing, or the files contradict each other; names file and line.
    """
    root = folder / ROOT
    images, classes = _numbered(root / "images.txt"), _numbered(root / "classes.txt")
    labels = _numbered(root / "image_class_labels.txt")
    if len(images) != len(labels):
        raise ValueError(
            f"{root / 'images.txt'} has {len(images)} lines, {root / 'image_class_labels.txt'} has {len(labels)}: "
            "replace them with good copies"
        )
    rows = [_row(image, label, classes) for image, label in zip(images, labels, strict=True)]
    return table_of(folder, rows, images, check_images=check_images)


def lists(folder: Path) -> list[Path]:
    """The files that list the images."""
    return [folder / ROOT / "images.txt", folder / ROOT / "image_class_labels.txt"]


def survey(folder: Path) -> Survey:
    """Every damaged line of the lists, and the images that the others name."""
    found = Survey()
    images, labels = lists(folder)
    found.look(images, lambda line: f"{ROOT}/images/{_fields(line).path(1)}")
    found.look(labels, lambda line: _nothing(_fields(line).whole(1)))
    found.look(folder / ROOT / "classes.txt", lambda line: _nothing(_fields(line)))
    return found


def _fields(line: Line) -> Line:
    """The line, if it is of an id and one value."""
    line.expect(2)
    line.whole(0)
    return line


def _nothing(_: object) -> None:
    """A line that names no image."""


def _numbered(file: Path) -> list[Line]:
    """Lines of id and one value; ids count up from 1."""
    lines = read_lines(file)
    for line in lines:
        line.expect(2)
    check_numbering(lines, first=1)
    return lines


def _row(image: Line, label: Line, classes: list[Line]) -> tuple[str, str, str]:
    """Name, label and split; an image's folder is named as its class, so neither file can be off unnoticed."""
    path, number = image.path(1), label.whole(1)
    if not 1 <= number <= len(classes):
        raise label.refused(f"has class {number}, but there are {len(classes)} classes")
    name = classes[number - 1].fields[1]
    if path.split("/")[0] != name:
        raise image.refused(f"{path!r} is not in the folder {name!r} of its class ({label.place})")
    return f"{ROOT}/images/{path}", name, "train" if number <= LAST_TRAIN_CLASS else "test"
