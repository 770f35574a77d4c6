"""Decoded images kept on disk, so that training does not wait for JPEG decoding.

One file for all images of a data set, of `cache_bytes`: numpy's format, uint8, shape (images, channels, side, side), in
the order of their names. Channels come before rows because batches have them so: a crop is then copied row by row.
After the images comes a hash of each, by which an image is checked when a process first reads it: a tenth of a
millisecond once, where decoding takes several each time.

The file's name holds a hash of all that decides on its content: the images' names, sizes and times of change, the
side, how it is decoded and resized, PIL's version and that of this format. An image whose size or time changes thus
makes another file. The folder of the images is not part of it, so both can be moved. It is safe to delete: it is built
again.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL
from numpy.typing import NDArray
from rich.filesize import decimal

from relbench.data.images.decoding import Decoding
from relbench.data.images.photos import RESAMPLING, Originals
from relbench.data.table import Progress
from relbench.files import atomic_write, clear_unfinished, free_space, open_regular
from relbench.locks import lock

VERSION = 2  # counts up when the same images would make another file
HEADER = 128  # bytes: numpy's, for any number of images
HASH = 16  # bytes of each image's SHA-256
ELSEWHERE = (
    "keep them elsewhere (relbench data fetch --cache); photos, not small images, can go without (training then "
    "decodes the files again and again)"
)

Size = tuple[int, int, int, int]
"""Of the array of all images: their number, channels, height and width."""


def cache_bytes(count: int, side: int, channels: int = 3) -> int:
    """Bytes of the file for a number of images, given their side in pixels."""
    return HEADER + count * (channels * side**2 + HASH)


class DecodedImages:
    """Reads images from the file, which is mapped into memory: nothing is loaded that is not looked at.

    Args:
        path: of the file.
        names: of all images in it, in any order.
        side: of each image in pixels.
        decoding: how the images were decoded.
        channels: of each image.

    Raises:
        ValueError: the file is damaged, or not of these images.
    """

    def __init__(
        self, path: Path, names: Iterable[str], side: int, decoding: Decoding | None = None, channels: int = 3
    ) -> None:
        self.side, self.decoding, self.channels = side, decoding, channels
        self._place = {name: place for place, name in enumerate(sorted(names))}
        self._path = path
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        """Without the images: another process maps the same file, and checks what it reads of it."""
        return {name: value for name, value in vars(self).items() if name not in ("images", "_hashes", "_checked")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    def _open(self) -> None:
        shape = (len(self._place), self.channels, self.side, self.side)
        self.images, self._hashes = _opened(self._path, shape)  # the images as an array of this shape
        self._checked = np.zeros(len(self._place), bool)

    def read(self, names: Iterable[str]) -> Iterator[NDArray[np.uint8]]:
        """The images in order, each a view of the file, shape (channels, side, side).

        Raises:
            ValueError: an image is not what was written.
        """
        return map(self._image, names)

    def places(self, names: Iterable[str]) -> NDArray[np.int64]:
        """The places of these images in the array of all."""
        return np.array([self._place[name] for name in names], dtype=np.int64)

    def hashes(self, names: Iterable[str]) -> list[bytes]:
        """The hash of each of these images, all of which are read and checked.

        Raises:
            ValueError: an image is not what was written.
        """
        return [self._checked_hash(name) for name in names]

    def check(self, progress: Progress = iter) -> None:
        """Read all images once.

        Args:
            progress: wraps their names, for a progress bar.

        Raises:
            ValueError: an image is not what was written.
        """
        for name in progress(sorted(self._place)):
            self._image(name)

    def _checked_hash(self, name: str) -> bytes:
        self._image(name)
        return self._hash_at(self._place[name])

    def _hash_at(self, place: int) -> bytes:
        return self._hashes[place * HASH : (place + 1) * HASH]

    def _image(self, name: str) -> NDArray[np.uint8]:
        place = self._place[name]
        image: NDArray[np.uint8] = self.images[place]
        if not self._checked[place]:
            if _hash(image) != self._hash_at(place):
                raise ValueError(
                    f"{self._path} is damaged: its picture of {name} has another hash than when it was decoded; "
                    "delete the file, and the images are decoded again"
                )
            self._checked[place] = True
        return image


def decoded_images(
    originals: Originals, names: Sequence[str], folder: Path, progress: Progress = iter
) -> DecodedImages:
    """Open the decoded images; build the file if it is not there, and check all of it if it is.

    A process that dies while building leaves nothing that is taken for whole; the next build clears it away. If
    another process is building in the folder, it is waited for.

    Args:
        originals: the images, decoded with as many threads as they are given.
        names: of all images of the data set; to use only some of them needs no file of their own.
        folder: where the file is kept.
        progress: wraps the names being decoded or checked, for a progress bar.

    Raises:
        ValueError: an image is missing or can't be decoded, the disk has no room, the folder can't be written, or the
            file is damaged.
    """
    path = decoded_path(originals, names, folder)
    was_there = path.exists()
    if not was_there:
        _clear(folder)  # it may be large
        _check_space(folder, len(names), cache_bytes(len(names), originals.side, originals.channels))
        with _alone(folder):
            if not path.exists():
                _build(path, originals, sorted(names), progress)
    images = DecodedImages(path, names, originals.side, originals.decoding, originals.channels)
    if was_there:
        images.check(progress)
    return images


def kept_sides(folder: Path) -> list[int]:
    """Sides of the decoded images that a folder has files of, perhaps of images as they were before."""
    names = (re.fullmatch(r"decoded-([0-9]{1,6})px-.*\.npy", path.name) for path in folder.glob("decoded-*.npy"))
    return sorted({int(name[1]) for name in names if name})


def decoded_path(originals: Originals, names: Iterable[str], folder: Path) -> Path:
    """The path of the decoded images, there or not.

    Raises:
        ValueError: an image is missing.
    """
    ordered = sorted(names)
    digest = hashlib.sha256(repr((VERSION, PIL.__version__, RESAMPLING.name, originals.side, ordered)).encode())
    digest.update(originals.state(ordered))
    if originals.decoding is not None:  # also where nothing is set: earlier versions decoded by another rule
        digest.update(originals.decoding.model_dump_json().encode())
    return folder / f"decoded-{originals.side}px-{digest.hexdigest()[:16]}.npy"


def _build(path: Path, originals: Originals, ordered: Sequence[str], progress: Progress) -> None:
    """Written from start to end, not through a map: on a full disk that would kill the process."""
    try:
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            file.write(_header((len(ordered), originals.channels, originals.side, originals.side)))
            hashes = []
            for _, image in zip(progress(ordered), originals.read(ordered), strict=True):
                hashes.append(_hash(image))
                file.write(image.data)
            file.write(b"".join(hashes))
    except OSError as error:
        raise ValueError(_unwritable(path.parent, error)) from None


def _check_space(folder: Path, count: int, needed: int) -> None:
    """Before the folder is made: nothing is left of what can't be done."""
    free = free_space(folder)
    if needed > free:
        raise ValueError(
            f"the {count:,} decoded images need {decimal(needed)}, and {folder} has {decimal(free)} free: {ELSEWHERE}"
        )


def _clear(folder: Path) -> None:
    """Delete what killed processes left half-written."""
    try:
        if folder.is_dir():
            clear_unfinished(folder)
    except OSError as error:
        raise ValueError(_unwritable(folder, error)) from None


def _alone(folder: Path) -> IO[str]:
    """No other process builds in the folder meanwhile."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return lock(folder, wait=True)
    except OSError as error:
        raise ValueError(_unwritable(folder, error)) from None


def _unwritable(folder: Path, error: OSError) -> str:
    return f"decoded images can't be written to {folder} ({error.strerror}): {ELSEWHERE}"


def _header(shape: Size) -> bytes:
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _hash(image: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(image.reshape(-1).data).digest()[:HASH]


def _opened(path: Path, shape: Size) -> tuple[NDArray[np.uint8], bytes]:
    """The images and their hashes.

    Compares the header as it stands: numpy's reader raises errors of many kinds for damaged headers.
    """
    count, channels, side, _ = shape
    size = cache_bytes(count, side, channels)
    with open_regular(path) as file:
        whole = file.read(HEADER) == _header(shape) and path.stat().st_size == size
        file.seek(size - count * HASH)
        hashes = file.read()
    if not whole:
        raise ValueError(
            f"{path} is damaged: its size or header is not that of {count:,} images of {side} px; "
            "delete it, and the images are decoded again"
        )
    return np.asarray(np.memmap(path, np.uint8, mode="r", offset=HEADER, shape=shape)), hashes
