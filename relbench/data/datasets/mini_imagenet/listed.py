"""Layouts A and E of miniImageNet: three lists, train.csv, val.csv and test.csv, and the images that they name.

A: Ravi's lists (`filename,label`), and a folder `images` of files named as there, by class and place
("n0153282900000005.jpg"). E: easyfsl's lists (`class_name,image_name`), and the training images of ILSVRC2015 as
published; whether these name the same images of each class as Ravi's is not known. Files of any size are taken; see
`reader`.
"""

import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

from relbench.data.datasets.mini_imagenet.classes import PARTS, Known
from relbench.data.datasets.mini_imagenet.layouts import known_class
from relbench.data.parsing.annotations import Image, Line, Scan, scan_each, scan_lines, try_list
from relbench.data.table import CLASS_NAME

RAVI = re.compile(r"(n[0-9]{8})([0-9]{8})\.jpg")
ILSVRC = re.compile(r"(n[0-9]{8})_[0-9]{1,8}\.JPEG")


class Listed(NamedTuple):
    """A layout of this form.

    Attributes:
        letter: that it is called by.
        header: the columns of its lists.
        label: the place of the class among them.
        images: the folder of the images.
    """

    letter: str
    header: tuple[str, str]
    label: int
    images: str

    def scan(self, folder: Path) -> Scan:
        """The listed images, in the order of the lists, and what is wrong with these."""
        for part, split in PARTS.items():
            first, *lines = (yield from scan_lines(folder / f"{part}.csv", separator=",")) or [None]
            yield from try_list(self._check_header, first)
            yield from filter(None, (yield from scan_each(lines, partial(self._image, split))))

    def _check_header(self, line: Line | None) -> None:
        if line and line.fields != self.header:
            other = next((form for form in FORMS if form.header == line.fields), None)
            hint = f" (this is a list of layout {other.letter}, whose images lie in {other.images})" if other else ""
            raise line.refused(f"layout {self.letter}: the header {','.join(self.header)!r} is missing{hint}")

    def _image(self, split: str, line: Line) -> Image:
        file, label = line.expect(2).path(1 - self.label), line.fields[self.label]
        known = known_class(line, label, split, self.letter)
        self._check_name(line, file, known)
        path = f"{label}/{file}" if self.letter == "E" else file
        return Image(f"{self.images}/{path}", line, label, split, more={CLASS_NAME: known.name})

    def _check_name(self, line: Line, file: str, known: Known) -> None:
        """Refuse a file that is not named as those of its class, or that Ravi's list leaves out."""
        found = (ILSVRC if self.letter == "E" else RAVI).fullmatch(file)
        if not found or found[1] != known.label:
            raise line.refused(f"layout {self.letter}: {file!r} is no image of the class {known.label}")
        if self.letter == "A" and int(found[2]) not in known.images:
            raise line.refused(f"layout A: {file!r} is none of the {len(known.images)} images of Ravi's list")


A = Listed("A", ("filename", "label"), 1, "images")
E = Listed("E", ("class_name", "image_name"), 0, "ILSVRC2015/Data/CLS-LOC/train")
FORMS = (A, E)
