"""In-Shop Clothes Retrieval (Liu et al. 2016, DeepFashion): 3,997 items to train on, 3,985 to test on.

Test images are queries or gallery: a query is looked for in the gallery, not among the other queries. Some training
items have a single image.
"""

import re
from functools import partial
from pathlib import Path

from relbench.data.parsing.annotations import (
    Image,
    Line,
    Scan,
    check_header,
    scan_each,
    scan_lines,
    try_list,
)

LIST = "Eval/list_eval_partition.txt"
HEADER = ("image_name", "item_id", "evaluation_status")
ROOTS = ("Img/", "")  # where the list's `img/...` lies: in the published folder, or unpacked beside `Eval`
STATUS = ("train", "query", "gallery")


def lists(folder: Path) -> list[Path]:
    """The files that list the images."""
    return [folder / LIST]


def scan(folder: Path) -> Scan:
    """The listed images, and what is wrong with the list.

    Images are query or gallery, and stand as in the list; labels are the item ids ("id_00000001").

    Args:
        folder: holds `Eval/list_eval_partition.txt` and the images, as `Img/img` or as `img`.
    """
    lines = yield from scan_lines(folder / LIST)  # the number of images, the header, and a line for each image
    yield from try_list(check_header, lines, 1, HEADER)
    below = yield from scan_each(lines[2:], lambda line: line.expect(len(HEADER)))
    if lines[:1] and lines[0]:
        yield from try_list(_check_number, lines[0], len(below))
    root = yield from try_list(_root, folder)
    image = partial(_image, ROOTS[0] if root is None else root)
    yield from filter(None, (yield from scan_each(below, image)))


def _check_number(line: Line, images: int) -> None:
    line.expect(1)
    if line.whole(0) != images:
        raise line.refused(f"says {line.whole(0)} images, but {images} lines follow the header")


def _root(folder: Path) -> str:
    for root in ROOTS:
        if (folder / root / "img").is_dir():
            return root
    raise ValueError(f"{folder} has neither Img/img nor img: unpack img.zip there")


def _image(root: str, line: Line) -> Image:
    _, item, status = line.fields
    if not re.fullmatch(r"id_[0-9]{8}", item):
        raise line.refused(f"{item!r} is not an item id such as 'id_00000001'")
    if status not in STATUS:
        raise line.refused(f"{status!r} is none of {', '.join(STATUS)}")
    split = "train" if status == "train" else "test"
    return Image(root + line.path(0), line, item, split, (status == "query", status == "gallery"))
