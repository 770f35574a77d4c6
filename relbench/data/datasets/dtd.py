"""Describable Textures (Cimpoi et al. 2014): 47 classes of 120 images, split in ten ways.

A partition gives each of its three parts a third of every class's images; results are means or medians over all ten.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relbench.data.parsing.annotations import Image, Line, Scan, scan_each, scan_lines, try_list

ROOT = "dtd"
SPLITS = {"train": "train", "val": "validation", "test": "test"}  # by the lists' names
IMAGE = re.compile(r"([^/]+)/\1_[0-9]+\.jpg")


@dataclass(frozen=True)
class Partition:
    """The reader of a partition, from 1 to 10."""

    number: int = 1

    def lists(self, folder: Path) -> list[Path]:
        """The files that list the images."""
        return [folder / ROOT / "labels" / f"{part}{self.number}.txt" for part in SPLITS]

    def scan(self, folder: Path) -> Scan:
        """The listed images, and what is wrong with the lists.

        Images stand as in the lists; labels are the classes' names ("banded"). Only listed images count, so stray files
        such as `.directory` never enter.

        Args:
            folder: holds `dtd`.
        """
        files = self.lists(folder)
        yield from try_list(_check_there, files, self.number)
        for split, file in zip(SPLITS.values(), files, strict=True):
            lines = yield from scan_lines(file)
            yield from filter(None, (yield from scan_each(lines, partial(_image, split))))


def _check_there(files: Sequence[Path], partition: int) -> None:
    missing = [file.name for file in files if not file.exists()]
    if missing:
        # The first is always needed: the hash of the data set's content is that of its usual split.
        other = ", or take another partition (data.partition)" if partition > 1 else ""
        raise ValueError(f"{files[0].parent} lacks {', '.join(missing)} of partition {partition}: complete it{other}")


def _image(split: str, line: Line) -> Image:
    """An image; its file is named as its folder, which is its class."""
    path = line.expect(1).path(0)
    found = IMAGE.fullmatch(path)
    if not found:
        raise line.refused(f"{path!r} is not an image such as 'banded/banded_0002.jpg'")
    return Image(f"{ROOT}/images/{path}", line, found[1], split)
