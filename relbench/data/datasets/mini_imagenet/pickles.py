"""Layouts B and C of miniImageNet: arrays of pixels in pickles, which run nothing (`untrusted_pickle`).

B (Ren et al. 2018): `image_data`, RGB, shape (images, 84, 84, 3), and `class_dict`, the rows of each class, in any
order. C (Gidaris and Komodakis 2018): `data`, `labels`, the number of each row's class, and `catname2label`, the
numbers of the classes. Keys may be bytes. Beside the three files of C lie two with other images of the training
classes, which are left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench.data.datasets.mini_imagenet.classes import known_classes
from relbench.data.datasets.mini_imagenet.layouts import misplaced
from relbench.data.images.decoding import Decoding
from relbench.data.images.photos import Paths, file_states
from relbench.data.parsing.annotations import Image, Line, Scan, try_line, try_list
from relbench.data.parsing.untrusted_pickle import TextArray, map_arrays
from relbench.data.table import CLASS_NAME

SIDE = 84  # pixels
SHAPE = (SIDE, SIDE, 3)
INSTRUCTIONS = 20  # of a pickle, for each image of the data set: an honest one has a few
ROOM = 2**24  # bytes and instructions of a pickle beside its images
LARGE = 2**31  # more than any row or class number
SAMPLE = 1000  # images by which the order of colours is judged, at least

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """What the file of a split holds.

    Attributes:
        letter: the layout's.
        file: its path.
        split: "train", "validation" or "test".
        content: by keys as text.
        pixels: shape (images, 84, 84, 3).
    """

    letter: str
    file: Path
    split: str
    content: Mapping[str, Any]
    pixels: Bytes | TextArray

    @property
    def count(self) -> int:
        """Of its images."""
        return self.pixels.shape[0]

    def images(self) -> Bytes:
        """The pixels as an array.

        Raises:
            ValueError: they are damaged; one line.
        """
        try:
            return self.pixels.read() if isinstance(self.pixels, TextArray) else self.pixels
        except ValueError as error:
            raise self.refused(str(error)) from None

    def refused(self, why: str) -> ValueError:
        """The error to raise."""
        return _refused(self.file, self.letter, why)

    def names(self, key: str) -> dict[str, Any]:
        """A dictionary by classes."""
        found = self.content.get(key)
        if not isinstance(found, dict):
            raise self.refused(f"has no classes in {key!r}")
        return _by_text(found)

    def numbers(self, found: object, what: str) -> NDArray[np.int64]:
        """A list or an array of whole numbers."""
        if isinstance(found, np.ndarray) and found.ndim == 1 and found.dtype.kind in "iu":
            if len(found) > self.count:  # as a list, it would take more memory than the file has bytes
                raise self.refused(f"has {self.count} images, but {len(found)} numbers as {what}")
            found = found.tolist()
        if not isinstance(found, list) or not all(type(number) is int for number in found):
            raise self.refused(f"has no whole numbers as {what}")
        return np.array([max(-1, min(number, LARGE)) for number in found], dtype=np.int64)

    def check_class(self, label: str, hint: str = "") -> None:
        """Refuse a class that is not of this split."""
        if why := misplaced(label, self.split):
            raise self.refused(f"{why}{hint}")


def _by_class(part: Part) -> list[str]:
    """The class of each row of a file of layout B."""
    labels = np.full(part.count, "", dtype=object)
    for label, rows in part.names("class_dict").items():
        part.check_class(label)
        _assign(part, labels, label, part.numbers(rows, f"rows of the class {label}"))
    free = np.flatnonzero(labels == "")
    if len(free):
        raise part.refused(f"row {free[0]} of 'image_data' is of no class in 'class_dict'")
    return list(labels)


def _assign(part: Part, labels: NDArray[np.object_], label: str, rows: NDArray[np.int64]) -> None:
    outside = rows[(rows < 0) | (rows >= len(labels))]
    if len(outside):
        raise part.refused(f"the class {label} has row {outside[0]}, but 'image_data' has {len(labels)}")
    taken = rows[labels[rows] != ""]
    if len(taken):
        raise part.refused(f"row {taken[0]} is of the class {labels[taken[0]]}, and of {label}, too")
    labels[rows] = label
    if len(np.unique(rows)) < len(rows):
        raise part.refused(f"the class {label} has a row twice")


def _by_number(part: Part) -> list[str]:
    """The class of each row of a file of layout C."""
    numbers = part.numbers(part.content.get("labels"), "'labels'")
    if len(numbers) != part.count:
        raise part.refused(f"has {part.count} images, but {len(numbers)} numbers in 'labels'")
    known = part.names("catname2label")
    named = dict(zip(part.numbers(list(known.values()), "numbers of classes").tolist(), known, strict=True))
    for number in np.unique(numbers).tolist():
        if number not in named:
            raise part.refused(f"the class number {number} has no name in 'catname2label'")
        part.check_class(named[number], " (train_phase_val and train_phase_test hold other images of those for train)")
    return [named[number] for number in numbers.tolist()]


@dataclass(frozen=True)
class Pickles:
    """A layout of this form.

    Attributes:
        letter: that it is called by.
        files: the names that the file of each split may have.
        pixels: the key of the images.
        labels: what reads the class of each image.
        left_out: files beside these that are not looked at.
    """

    letter: str
    files: Mapping[str, tuple[str, ...]]
    pixels: str
    labels: Callable[[Part], list[str]]
    left_out: tuple[str, ...] = ()

    def paths(self, folder: Path) -> dict[str, Path]:
        """The file of each split."""
        found = {split: [folder / name for name in names] for split, names in self.files.items()}
        return {split: next(filter(Path.exists, paths), paths[0]) for split, paths in found.items()}

    def scan(self, folder: Path) -> Scan:
        """The images by split and row, called "train-00000", and what is wrong with the files."""
        for split, file in self.paths(folder).items():
            attempt = try_line if file.exists() else try_list
            labels = (yield from attempt(self._labels, file, split)) or []
            for row, label in enumerate(labels):
                line, more = Line(file, row + 1, (), "record"), {CLASS_NAME: known_classes()[label].name}
                yield Image(f"{split}-{row:05d}", line, label, split, more=more)

    def _labels(self, file: Path, split: str) -> list[str]:
        return self.labels(self.part(file, split))

    def part(self, file: Path, split: str) -> Part:
        """What a file holds.

        Raises:
            ValueError: it can't be read, is refused, or holds no images; one line.
        """
        content = _by_text(_dictionary(file, self.letter))
        pixels = content.pop(self.pixels, None)
        if not isinstance(pixels, (np.ndarray, TextArray)) or pixels.dtype != np.uint8 or pixels.shape[1:] != SHAPE:
            raise _refused(file, self.letter, f"has no images of {SIDE} x {SIDE} pixels in {self.pixels!r}")
        return Part(self.letter, file, split, content, pixels)

    def seems_bgr(self, folder: Path) -> bool:
        """Whether the training images have more of their third colour than of the first: photos are more red than blue.

        Nothing in a file says in which order its colours stand, and OpenCV, by which these were made, has blue first.
        ImageNet's mean levels are 124 of red and 104 of blue, of 255.
        """
        images = self.part(self.paths(folder)["train"], "train").images()
        red, _, blue = images[:: max(1, len(images) // SAMPLE)].mean(axis=(0, 1, 2))
        return bool(len(images) >= SAMPLE and blue > red)

    def records(self, folder: Path) -> "Records":
        """The pixels of the images."""
        return Records(self, folder)


class Records:
    """Images by name, as they lie in pickles; see `Originals`."""

    side = SIDE
    channels = 3
    decoding: Decoding | None = None

    def __init__(self, layout: Pickles, folder: Path) -> None:
        self._layout, self._folder = layout, folder

    def read(self, names: Iterable[str]) -> Iterator[Bytes]:
        """The images in order, each of shape (3, 84, 84); one file at a time, as it may have to be turned from text.

        Raises:
            ValueError: a file is missing or damaged.
        """
        paths = self._layout.paths(self._folder)
        for split, some in groupby(names, lambda name: name.partition("-")[0]):
            images = self._layout.part(paths[split], split).images()
            for name in some:
                yield np.ascontiguousarray(images[int(name.partition("-")[2])].transpose(2, 0, 1))
            del images

    def damaged(self, names: Sequence[str], threads: int, progress: Paths) -> list[str]:
        """A line for each file whose pixels are text that can't be turned: the scan has looked at all else."""
        del threads
        splits = {path: split for split, path in self._layout.paths(self._folder).items()}
        listed = {name.partition("-")[0] for name in names}
        reasons = (self._why_not(file, splits[file]) for file in progress(list(splits)) if splits[file] in listed)
        return [reason for reason in reasons if reason]

    def _why_not(self, file: Path, split: str) -> str:
        try:
            self._layout.part(file, split).images()
        except ValueError as error:
            return str(error)
        return ""

    def state(self, names: Iterable[str]) -> bytes:
        """The sizes of the files, and the times of their last changes."""
        del names  # all images lie in the same files
        return file_states(Path(), map(str, self._layout.paths(self._folder).values())).tobytes()


def _dictionary(file: Path, letter: str) -> dict[Any, Any]:
    images = sum(len(known.images) for known in known_classes().values())
    try:
        if file.stat().st_size > 2 * images * 3 * SIDE**2 + ROOM:  # as text, pixels take a half more
            raise ValueError("is larger than all of miniImageNet")
        found = map_arrays(file, INSTRUCTIONS * images + ROOM // 2**10)
    except OSError as error:
        raise _refused(file, letter, f"cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise _refused(file, letter, str(error)) from None
    if not isinstance(found, dict):
        raise _refused(file, letter, "has no keys")
    return found


def _by_text(found: Mapping[Any, Any]) -> dict[str, Any]:
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in found.items()}


def _refused(file: Path, letter: str, why: str) -> ValueError:
    return ValueError(f"{file}: layout {letter}: {why}: replace it with a good copy")


OF_B, OF_C = "mini-imagenet-cache-{}.pkl", "miniImageNet_category_split_{}.pickle"
B = Pickles(
    "B",
    {"train": (OF_B.format("train"),), "validation": (OF_B.format("val"), OF_B.format("validation"))}
    | {"test": (OF_B.format("test"),)},
    "image_data",
    _by_class,
)
C = Pickles(
    "C",
    {"train": (OF_C.format("train_phase_train"),), "validation": (OF_C.format("val"),), "test": (OF_C.format("test"),)},
    "data",
    _by_number,
    left_out=(OF_C.format("train_phase_val"), OF_C.format("train_phase_test")),
)
