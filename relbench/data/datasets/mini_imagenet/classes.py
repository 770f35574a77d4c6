"""The classes of miniImageNet and their images, as Ravi and Larochelle split them (ICLR 2017): 64, 16 and 20 classes.

`cards/mini-imagenet.csv` holds their lists (twitter-research/meta-learning-lstm@0cffa24, `data/miniImagenet`): a line
for each class, in their order. An image is known by its place among its class's images in ILSVRC2012, from 1, in the
order of the numbers in the files' names; `images` is a number in base 16 whose bits stand for the places 1 to 1300, the
first for 1.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from relbench.data.download.card import packaged_list

LIST = "mini-imagenet.csv"
MOST = 1300  # images of a class in ILSVRC2012, at most
PARTS = {"train": "train", "val": "validation", "test": "test"}  # splits, as files are named by them


class Known(NamedTuple):
    """A class.

    Attributes:
        split: "train", "validation" or "test".
        label: its WordNet id.
        name: the first of its words.
        images: the places of its images.
    """

    split: str
    label: str
    name: str
    images: frozenset[int]


def known_classes() -> dict[str, Known]:
    """All classes by their WordNet id, in Ravi's order."""
    return _read(packaged_list(LIST))


@cache
def _read(path: Path) -> dict[str, Known]:
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    rows = (line.split(",") for line in lines)
    return {label: Known(split, label, name, _places(images)) for split, label, name, images in rows}


def _places(images: str) -> frozenset[int]:
    bits = f"{int(images, 16):0{MOST}b}"
    return frozenset(place for place, bit in enumerate(bits, start=1) if bit == "1")
