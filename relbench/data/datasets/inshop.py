"""In-Shop Clothes Retrieval (Liu et al. 2016, DeepFashion): 3,997 items to train on, 3,985 to test on.

Test images are queries or gallery: a query is looked for in the gallery, not among the other queries. Some training
items have a single image.
"""

import re
from pathlib import Path

import pandas as pd

from relbench.data.parsing.annotations import Line, Survey, below_header, read_lines, table_of

LIST = "Eval/list_eval_partition.txt"
HEADER = ("image_name", "item_id", "evaluation_status")
ROOTS = ("Img", "")  # where the list's `img/...` lies: in the published folder, or unpacked beside `Eval`
STATUS = ("train", "query", "gallery")


def read(folder: Path, *, check_images: bool = True) -> pd.DataFrame:
    """Read the data set.

    Args:
        folder: holds `Eval/list_eval_partition.txt` and the images, as `Img/img` or as `img`.
        check_images: refuse it if an image is not there.

    Returns:
        A checked table with `query` and `gallery`, lines as in the list; labels are the item ids ("id_00000001").

    Raises:
        ValueError: the list or an image is missing, or the list is damaged; names file and line.
    """
    lines = _listed(folder / LIST)
    root = _root(folder)
    rows = [_row(line, root) for line in lines]
    return table_of(folder, rows, lines, "query", "gallery", check_images=check_images)


def lists(folder: Path) -> list[Path]:
    """The files that list the images."""
    return [folder / LIST]


def survey(folder: Path) -> Survey:
    """Every damaged line of the list, and the images that the others name."""
    found = Survey()
    root = "" if (folder / "img").is_dir() and not (folder / "Img/img").is_dir() else "Img/"
    found.look(folder / LIST, lambda line: _image(line, root), above=2)
    return found


def _image(line: Line, root: str) -> str:
    line.expect(len(HEADER))
    return _row(line, root)[0]


def _listed(file: Path) -> list[Line]:
    """The list's lines, after one with their number and one with the header."""
    lines = read_lines(file)
    images = below_header(lines, 1, HEADER)
    lines[0].expect(1)
    if lines[0].whole(0) != len(images):
        raise lines[0].refused(f"says {lines[0].whole(0)} images, but {len(images)} lines follow the header")
    return images


def _root(folder: Path) -> str:
    for root in ROOTS:
        if (folder / root / "img").is_dir():
            return f"{root}/" if root else ""
    raise ValueError(f"{folder} has neither Img/img nor img: unpack img.zip there")


def _row(line: Line, root: str) -> tuple[str, str, str, bool, bool]:
    _, item, status = line.fields
    if not re.fullmatch(r"id_[0-9]{8}", item):
        raise line.refused(f"{item!r} is not an item id such as 'id_00000001'")
    if status not in STATUS:
        raise line.refused(f"{status!r} is none of {', '.join(STATUS)}")
    split = "train" if status == "train" else "test"
    return root + line.path(0), item, split, status == "query", status == "gallery"
