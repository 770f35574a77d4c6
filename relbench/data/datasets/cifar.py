"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 60,000 images of 32 px, split within their classes by their authors.

The binary archives hold records: a byte that numbers the class (in CIFAR-100 one before it numbers its superclass),
then the red, green and blue plane, row after row. The archives for Python hold the same images as pickles; these run
nothing (`untrusted_pickle`), and where a checksum is known, another file is not opened. Where a folder holds both, the
records count. Classes are numbered as their names are sorted, which is the authors' numbering.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from relbench.data.download.card import packaged_card
from relbench.data.download.checksum import wrong_sum
from relbench.data.images.decoding import Decoding
from relbench.data.images.photos import Paths, file_states
from relbench.data.parsing.annotations import Found, Image, Line, Scan, text_lines, try_line, try_list
from relbench.data.parsing.untrusted_pickle import read_arrays
from relbench.files import read_regular

SIDE = 32  # pixels
PIXELS = 3 * SIDE**2  # bytes of an image
LARGE = 2**31  # more than any class number

Bytes = NDArray[np.uint8]
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Part:
    """The images of a file.

    Attributes:
        numbers: of the classes, shape (images,); where images have a superclass, its numbers come first.
        pixels: shape (images, 3072).
    """

    numbers: tuple[NDArray[np.int64], ...]
    pixels: Bytes


@dataclass(frozen=True)
class Layout:
    """One way in which the images lie in a folder.

    Attributes:
        folder: that of all files.
        files: those with images, in order, by split.
        names: the files with names, for each kind of numbers that images have.
        keys: where pickles have numbers and names, for each kind; empty where files are no pickles.
    """

    folder: str
    files: dict[str, tuple[str, ...]]
    names: tuple[str, ...]
    keys: tuple[tuple[str, str], ...] = ()

    def paths(self, folder: Path) -> list[Path]:
        """All files, below the data set's folder."""
        return [folder / self.folder / name for name in (*chain(*self.files.values()), *self.names)]

    def part(self, file: Path) -> Part:
        """The images of a file."""
        return _pickled(file, [key for key, _ in self.keys]) if self.keys else _records(file, len(self.names))

    def class_names(self, file: Path, kind: int) -> list[str]:
        """The names that numbers of a kind stand for."""
        return _pickled_names(file, self.keys[kind][1]) if self.keys else _plain_names(file)


@dataclass(frozen=True)
class Cifar:
    """A data set of this form.

    Attributes:
        name: that of its card.
        classes: how many there are; where images have a superclass, the number of these comes first.
        layouts: in order of preference.
    """

    name: str
    classes: tuple[int, ...]
    layouts: tuple[Layout, ...]

    def lists(self, folder: Path) -> list[Path]:
        """The files that hold the images."""
        return [file for files in self._files(folder).values() for file in files]

    def scan(self, folder: Path) -> Scan:
        """The images, and what is wrong with the files.

        Images are called by split and number, as "train-00000", the same in each layout; their superclass, if they have
        one, is the column `superclass`.

        Args:
            folder: holds the folder of a layout.
        """
        names = yield from self._names(folder)
        for split, files in self._files(folder).items():
            first = 0
            for file in files:
                part = yield from _try_file(self._part, file, folder)
                if part and all(names):
                    yield from _images(file, part, names, split, first)
                first += len(part.pixels) if part else 0

    def records(self, folder: Path) -> "Records":
        """The pixels of the images."""
        return Records(self._files(folder), lambda file: self._part(file, folder).pixels)

    def _layout(self, folder: Path) -> Layout:
        """The first that is complete, or the first of which something is there, or the first of all."""
        complete = (layout for layout in self.layouts if all(path.exists() for path in layout.paths(folder)))
        begun = (layout for layout in self.layouts if (folder / layout.folder).is_dir())
        return next(chain(complete, begun, self.layouts))

    def _files(self, folder: Path) -> dict[str, list[Path]]:
        layout = self._layout(folder)
        return {split: [folder / layout.folder / name for name in names] for split, names in layout.files.items()}

    def _part(self, file: Path, folder: Path) -> Part:
        self._check_pickle(file, folder)
        return self._layout(folder).part(file)

    def _names(self, folder: Path) -> Found[list[list[str]]]:
        """The names of each kind; none where their file is damaged."""
        found = []
        for kind, name in enumerate(self._layout(folder).names):
            file = folder / self._layout(folder).folder / name
            found.append((yield from _try_file(self._checked_names, file, folder, kind)) or [])
        return found

    def _checked_names(self, file: Path, folder: Path, kind: int) -> list[str]:
        self._check_pickle(file, folder)
        names, count = self._layout(folder).class_names(file, kind), self.classes[kind]
        blank = next((number for number, name in enumerate(names) if not name.strip()), None)
        if blank is not None:
            raise _refused(file, f"name {blank + 1} is blank")
        if len(names) != count:
            raise _refused(file, f"has {len(names)} names instead of {count}")
        for name, after in pairwise(names):
            if name >= after:
                raise _refused(file, f"{after!r} stands after {name!r}, but names are in alphabetical order")
        return names

    def _check_pickle(self, file: Path, folder: Path) -> None:
        """Refuse a pickle with another checksum than the known one, before it is opened."""
        known = packaged_card(self.name).files.get(file.relative_to(folder).as_posix())
        if self._layout(folder).keys and known and (wrong := wrong_sum(file, known)):
            raise _refused(file, f"{wrong}, and pickles from elsewhere are not opened")


class Records:
    """Images by name, as they lie in files; see `Originals`."""

    side = SIDE
    channels = 3
    decoding: Decoding | None = None

    def __init__(self, files: dict[str, list[Path]], pixels: Callable[[Path], Bytes]) -> None:
        self._files, self._pixels = files, pixels

    def read(self, names: Iterable[str]) -> Iterator[Bytes]:
        """The images in order, each of shape (3, 32, 32); all of a split are read at once.

        Raises:
            ValueError: a file is missing or damaged.
        """
        images: dict[str, Bytes] = {}
        for name in names:
            split, _, number = name.partition("-")
            if split not in images:
                images[split] = np.concatenate([self._pixels(file) for file in self._files[split]])
            yield images[split][int(number)].reshape(3, SIDE, SIDE)

    def damaged(self, names: Sequence[str], threads: int, progress: Paths) -> list[str]:
        """None: the scan has read all files."""
        del names, threads, progress
        return []

    def state(self, names: Iterable[str]) -> bytes:
        """The sizes of the files, and the times of their last changes."""
        del names  # all images lie in the same files
        return b"".join(file_states(Path(), map(str, files)).tobytes() for files in self._files.values())


def _images(file: Path, part: Part, names: Sequence[Sequence[str]], split: str, first: int) -> Scan:
    """The images of a file; or the first that has a number without a name."""
    for numbers, known in zip(part.numbers, names, strict=True):
        unknown = np.flatnonzero((numbers < 0) | (numbers >= len(known)))
        if len(unknown):
            yield from try_line(_refuse_number, file, unknown, numbers, len(known))
            return
    *above, classes = part.numbers
    for at, number in enumerate(classes.tolist()):
        more = {"superclass": names[0][int(above[0][at])]} if above else {}
        line = Line(file, at + 1, (), "record")
        yield Image(f"{split}-{first + at:05d}", line, names[-1][number], split, more=more)


def _refuse_number(file: Path, unknown: NDArray[np.int64], numbers: NDArray[np.int64], count: int) -> None:
    line, number = Line(file, int(unknown[0]) + 1, (), "record"), numbers[unknown[0]]
    more = f" ({len(unknown):,} records have such numbers)" if len(unknown) > 1 else ""
    raise line.refused(f"has class number {number}, but there are {count}, from 0{more}")


def _records(file: Path, kinds: int) -> Part:
    """The images of a file of records, which begin with a number of each kind."""
    content, size = np.frombuffer(_content(file), np.uint8), kinds + PIXELS
    if not len(content) or len(content) % size:
        raise _refused(file, f"has {len(content):,} bytes, no whole number of records of {size:,}")
    records = content.reshape(-1, size)
    return Part(tuple(records[:, kind].astype(np.int64) for kind in range(kinds)), records[:, kinds:])


def _pickled(file: Path, keys: Sequence[str]) -> Part:
    """The images of a pickle."""
    found = _dictionary(file)
    pixels = found.get("data")
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (PIXELS,):
        raise _refused(file, f"has no images of {SIDE} x {SIDE} pixels in 'data'")
    return Part(tuple(_numbers(file, found, key, len(pixels)) for key in keys), np.ascontiguousarray(pixels))


def _numbers(file: Path, found: dict[str, Any], key: str, count: int) -> NDArray[np.int64]:
    numbers = found.get(key)
    if not isinstance(numbers, list) or len(numbers) != count or not all(type(each) is int for each in numbers):
        raise _refused(file, f"has {count:,} images, but not as many class numbers in {key!r}")
    return np.array([max(-1, min(each, LARGE)) for each in numbers], dtype=np.int64)


def _pickled_names(file: Path, key: str) -> list[str]:
    names = _dictionary(file).get(key)
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise _refused(file, f"has no list of names in {key!r}")
    return names


def _dictionary(file: Path) -> dict[str, Any]:
    """What a pickle holds, by keys, which may be bytes."""
    try:
        found = read_arrays(_content(file))
    except ValueError as error:
        raise _refused(file, str(error)) from None
    if not isinstance(found, dict):
        raise _refused(file, "has no keys")
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in found.items()}


def _plain_names(file: Path) -> list[str]:
    """A name a line; blank lines at the end are none."""
    lines = text_lines(file)
    while lines and not lines[-1].strip():
        del lines[-1]
    return lines


def _content(file: Path) -> bytes:
    try:
        return read_regular(file)
    except OSError as error:
        raise _refused(file, f"cannot be read ({error.strerror})") from None


def _refused(file: Path, why: str) -> ValueError:
    return ValueError(f"{file} {why}: replace it with a good copy")


def _try_file(
    work: Callable[Concatenate[Path, Arguments], Result], file: Path, *args: Arguments.args, **more: Arguments.kwargs
) -> Found[Result | None]:
    """Work on a file. That it is missing is no damage in itself: whoever looks at the folder says so."""
    return (yield from (try_line if file.exists() else try_list)(work, file, *args, **more))


CIFAR10 = Cifar(
    "cifar10",
    classes=(10,),
    layouts=(
        Layout(
            "cifar-10-batches-bin",
            {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)},
            names=("batches.meta.txt",),
        ),
        Layout(
            "cifar-10-batches-py",
            {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)},
            names=("batches.meta",),
            keys=(("labels", "label_names"),),
        ),
    ),
)
CIFAR100 = Cifar(
    "cifar100",
    classes=(20, 100),
    layouts=(
        Layout(
            "cifar-100-binary",
            {"train": ("train.bin",), "test": ("test.bin",)},
            names=("coarse_label_names.txt", "fine_label_names.txt"),
        ),
        Layout(
            "cifar-100-python",
            {"train": ("train",), "test": ("test",)},
            names=("meta", "meta"),
            keys=(("coarse_labels", "coarse_label_names"), ("fine_labels", "fine_label_names")),
        ),
    ),
)
