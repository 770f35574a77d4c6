"""Decoded images kept on disk, so that training does not wait for JPEG decoding.

One file for all images of a data set, of `cache_bytes`: numpy's format, uint8, shape (images, 3, side, side), in the
order of their names. Channels come first because batches have them first: a crop is then copied row by row.

The file's name holds a hash of all that decides on its content: the images' names, sizes and times of change, the
side, how it is decoded and resized, PIL's version and that of this format. An image whose size or time changes thus
makes another file. The folder of the images is not part of it, so both can be moved. It is safe to delete: it is built
again.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import PIL
from numpy.typing import NDArray
from rich.filesize import decimal

from relbench.data.decoding import Decoding
from relbench.data.photos import RESAMPLING, ImageFiles, file_states
from relbench.files import clear_unfinished, free_space, open_regular, written_whole
from relbench.locks import lock

VERSION = 1  # counts up when the same images would give another file
HEADER = 128  # bytes: numpy's, for any number of images

Progress = Callable[[Iterable[str]], Iterable[str]]


def cache_bytes(count: int, side: int) -> int:
    """Size of the file for so many images of so many pixels' side."""
    return HEADER + count * 3 * side**2


class DecodedImages:
    """Reads images from the file, which is mapped into memory: nothing is loaded that is not looked at.

    Args:
        path: of the file.
        names: of all images in it, in any order.
        side: of each image in pixels.
        decoding: how the images were decoded.

    Raises:
        ValueError: the file is damaged, or not of these images.
    """

    def __init__(self, path: Path, names: Iterable[str], side: int, decoding: Decoding | None = None) -> None:
        self.side, self.decoding = side, decoding
        self._place = {name: place for place, name in enumerate(sorted(names))}
        self._images = _opened(path, len(self._place), side)

    def read(self, names: Iterable[str]) -> Iterator[NDArray[np.uint8]]:
        """The images in order, each a view of the file, shape (3, side, side)."""
        return (self._images[self._place[name]] for name in names)


def decoded_images(files: ImageFiles, names: Sequence[str], folder: Path, progress: Progress = iter) -> DecodedImages:
    """Open the decoded images; build the file first if it is not there.

    A process that dies while building leaves nothing that is taken for whole; the next build clears it away. If
    another process is building in the folder, this one waits for it.

    Args:
        files: decodes, with as many threads as it has.
        names: of all images of the data set; to use only some of them needs no file of their own.
        folder: where the file is kept.
        progress: wraps the names being decoded, for a progress bar.

    Raises:
        ValueError: an image is missing or can't be decoded, the disk has no room, the folder can't be written, or the
            file is damaged.
    """
    path = decoded_path(files, names, folder)
    if not path.exists():
        _clear(folder)  # it may be large
        _check_space(folder, len(names), files.side)
        with _alone(folder):
            if not path.exists():
                _build(path, files, sorted(names), progress)
    return DecodedImages(path, names, files.side, files.decoding)


def decoded_path(files: ImageFiles, names: Iterable[str], folder: Path) -> Path:
    """Where the decoded images are, or would be kept.

    Raises:
        ValueError: an image is missing.
    """
    ordered = sorted(names)
    digest = hashlib.sha256(repr((VERSION, PIL.__version__, RESAMPLING.name, files.side, ordered)).encode())
    digest.update(file_states(files.folder, ordered).tobytes())
    if files.decoding is not None:  # also where nothing is set: earlier versions decoded by another rule
        digest.update(files.decoding.model_dump_json().encode())
    return folder / f"decoded-{files.side}px-{digest.hexdigest()[:16]}.npy"


def _build(path: Path, files: ImageFiles, ordered: Sequence[str], progress: Progress) -> None:
    """Written from start to end, not through a map: on a full disk that would kill the process."""
    try:
        with written_whole(path) as temporary, temporary.open("wb") as file:
            file.write(_header(len(ordered), files.side))
            for _, image in zip(progress(ordered), files.read(ordered), strict=True):
                file.write(image.data)
    except OSError as error:
        raise ValueError(_unwritable(path.parent, error)) from None


def _check_space(folder: Path, count: int, side: int) -> None:
    """Before the folder is made: nothing is left of what can't be done."""
    needed, free = cache_bytes(count, side), free_space(folder)
    if needed > free:
        raise ValueError(
            f"the {count:,} decoded images need {decimal(needed)}, and {folder} has {decimal(free)} free: "
            "keep them elsewhere, or go without (training then decodes the files again and again)"
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
    return f"decoded images can't be written to {folder} ({error.strerror}): keep them elsewhere, or go without"


def _header(count: int, side: int) -> bytes:
    header = BytesIO()
    shape = (count, 3, side, side)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _opened(path: Path, count: int, side: int) -> NDArray[np.uint8]:
    """Compares the header as it stands: numpy's reader makes errors of many kinds of a damaged one."""
    with open_regular(path) as file:
        whole = file.read(HEADER) == _header(count, side) and path.stat().st_size == cache_bytes(count, side)
    if not whole:
        raise ValueError(
            f"{path} is damaged: its size or header is not that of {count:,} images of {side} px; "
            "delete it, and the images are decoded again"
        )
    return np.asarray(np.memmap(path, np.uint8, mode="r", offset=HEADER, shape=(count, 3, side, side)))
