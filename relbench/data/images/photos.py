"""Photos: image files, resized to a square, then cropped and mirrored. What the real data sets are fed by.

As the authors of RKD do it (lenscloth/RKD@0a6c3c0, with torchvision's transforms of PIL's images): RGB,
resized to 256 x 256 whatever the aspect (PIL's bilinear resampling, which averages where it shrinks), a random crop of
224 x 224 mirrored half of the time in training, the centre crop for evaluation. How files become RGB: see `decoding`.

If asked for, training crops are of a random area and aspect, and resized, as by torchvision's RandomResizedCrop. But
they are taken from the same square, where torchvision's are taken from the file as it is: the square has lost the
picture's own aspect, and all that is finer than its pixels.

Batches are bytes: converting and normalising happen on the device, once per batch.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from relbench.data.images.augmentation import random_boxes
from relbench.data.images.decoding import FORMATS, Decoding, UnsuitableError, rgb
from relbench.data.images.on_device import flipped
from relbench.data.random_views import Numbers, PendingViews
from relbench.data.table import Shape, table_hash

RESAMPLING = Image.Resampling.BILINEAR

Item = TypeVar("Item")
Result = TypeVar("Result")
Paths = Callable[[Iterable[Path]], Iterable[Path]]
"""Wraps paths of files that are looked at, for a progress bar."""


class Pixels(Protocol):
    """Decoded images by their name in the table."""

    side: int  # pixels
    channels: int
    decoding: Decoding | None  # how they were decoded

    def read(self, names: Iterable[str]) -> Iterator[NDArray[np.uint8]]:
        """The images in order, each of shape (channels, side, side), RGB or grey; not to be written to.

        Raises:
            ValueError: an image can't be decoded.
        """
        ...


class Originals(Pixels, Protocol):
    """Images as they were published, in files or records: what is slow, or not an array, to read again and again."""

    def state(self, names: Iterable[str]) -> bytes:
        """What differs once one of these images may have changed.

        Raises:
            ValueError: an image is missing.
        """
        ...


class Records(Originals, Protocol):
    """Images whose names are no paths of files: several lie in a file, or are made of one."""

    def damaged(self, names: Sequence[str], threads: int, progress: Paths) -> list[str]:
        """A line for each file that can't be read, none where the scan of the lists has read them all.

        Args:
            names: of the images to look at.
            threads: that read at once.
            progress: wraps the files, for a progress bar.
        """
        ...


class Crop(NamedTuple):
    """A part of an image, in pixels, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool


class ImageFiles:
    """Decodes the files anew each time.

    Args:
        folder: what the names are relative to.
        side: of the square that every image is resized to, in pixels.
        threads: that decode at once; PIL lets go of Python's lock meanwhile.
        decoding: see `decoding.rgb`.
    """

    channels = 3

    def __init__(self, folder: Path, side: int, threads: int, decoding: Decoding | None = None) -> None:
        self.folder, self.side, self.decoding = folder, side, decoding
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)

    def __getstate__(self) -> dict[str, Any]:
        """Without the threads: another process has its own."""
        return {name: value for name, value in vars(self).items() if name != "_pool"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._pool = ThreadPoolExecutor(self._threads)

    def read(self, names: Iterable[str]) -> Iterator[NDArray[np.uint8]]:
        """The images in order; the first that can't be decoded ends it."""

        def square(name: str) -> NDArray[np.uint8]:
            return decoded(self.folder / name, self.side, self.decoding)

        return in_order(self._pool, 2 * self._threads, square, names)

    def state(self, names: Iterable[str]) -> bytes:
        """The sizes of the files, and the times of their last changes."""
        return file_states(self.folder, names).tobytes()


class Photos:
    """Image files as a source of images.

    Args:
        table: checked; `name` is a path relative to the folder.
        folder: where the files are.
        size: side of the network's input in pixels.
        pixels: the decoded images of (at least) the table's names; their side is what crops are taken from.
        content: hash of what defines the data set.
        mirror: mirror half of the training views.
        resized_crop: crop training views as `augmentation.random_boxes` says, and resize them to `size`.

    Raises:
        ValueError: the crop is larger than the images, or a file is missing.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        folder: Path,
        size: int,
        pixels: Pixels,
        content: str,
        *,
        mirror: bool = True,
        resized_crop: bool = False,
    ) -> None:
        if size > pixels.side:
            raise ValueError(f"can't crop {size} px from images of {pixels.side} px: set data.size to less")
        self.table, self.content = table, content
        self.shape = Shape(channels=3, size=size)
        self._names = table["name"].tolist()
        # The sizes of the files, not their pixels: cheap at every start. That pixels decode is for `verify` to see.
        chosen = pixels.decoding.parts if pixels.decoding else []
        self.data_hash = table_hash(table, [file_states(folder, self._names)[:, 0].tobytes(), *chosen])
        self._pixels = pixels
        self._margin = pixels.side - size
        self._mirrored_share = 0.5 if mirror else 0.0
        self._resized_crop = resized_crop

    def train_batch(
        self, indices: torch.Tensor, generator: torch.Generator, only: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Random crops, half of them mirrored (or none), uint8, shape (len(indices), 3, size, size), or of a part.

        All numbers of a batch are drawn together: all tops, all lefts (or all boxes, where crops are resized), then all
        numbers that decide on mirroring. So the views do not depend on who decodes the images, or on how many threads;
        and without mirroring the crops are the same.

        Args:
            indices: of the batch's images.
            generator: the source of all random numbers.
            only: places in the batch of the images that are decoded and cropped; None for all.

        Raises:
            ValueError: an image can't be decoded.
        """
        indices, boxes, mirrored = self._drawn(indices, generator, only)
        crops = zip(*boxes.tolist(), mirrored.tolist(), strict=True)
        return self._views(indices, [Crop(*crop) for crop in crops])

    def pending_batch(
        self, indices: torch.Tensor, generator: torch.Generator, only: torch.Tensor | None = None
    ) -> PendingViews:
        """Crops that are still to be mirrored: they are smaller than the images, and are copied from them anyway.

        Raises:
            ValueError: an image can't be decoded.
        """
        indices, boxes, mirrored = self._drawn(indices, generator, only)
        crops = [Crop(top, left, height, width, mirrored=False) for top, left, height, width in boxes.T.tolist()]
        return PendingViews(self._views(indices, crops), {"mirrored": mirrored}, _mirrored)

    def _drawn(
        self, indices: torch.Tensor, generator: torch.Generator, only: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Indices, boxes of shape (4, images), and which are mirrored, all of the places `only`."""
        boxes = self._boxes(len(indices), generator)
        mirrored = torch.rand(len(indices), generator=generator) < self._mirrored_share
        return (indices, boxes, mirrored) if only is None else (indices[only], boxes[:, only], mirrored[only])

    def _boxes(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Top, left, height and width of random crops, shape (4, count)."""
        if self._resized_crop:
            return random_boxes(count, self._pixels.side, generator)
        places = torch.randint(self._margin + 1, (2, count), generator=generator)
        return torch.cat([places, torch.full((2, count), self.shape.size)])

    def test_batch(self, indices: torch.Tensor) -> torch.Tensor:
        """Centre crops (half a pixel rounded to even, as torchvision's CenterCrop), otherwise as in training."""
        centre, size = round(self._margin / 2), self.shape.size
        return self._views(indices, [Crop(centre, centre, size, size, mirrored=False)] * len(indices))

    def _views(self, indices: torch.Tensor, crops: Sequence[Crop]) -> torch.Tensor:
        """Copies each view's pixels once, from where they were decoded to their place in the batch."""
        size = self.shape.size
        batch = torch.empty(len(indices), 3, size, size, dtype=torch.uint8)
        images = self._pixels.read([self._names[line] for line in indices.tolist()])
        for view, image, crop in zip(batch.numpy(), images, crops, strict=True):
            part = image[:, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
            if part.shape != view.shape:
                part = resized(part, size)
            view[:] = part[:, :, ::-1] if crop.mirrored else part
        return batch


def _mirrored(crops: torch.Tensor, numbers: Numbers) -> torch.Tensor:
    """Crops, mirrored as drawn; the same bytes on all devices."""
    return flipped(crops, numbers["mirrored"])


def resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """An image resized to a square, shape (3, size, size), as `decoded` does it: each colour by itself, as PIL does."""
    planes = [Image.fromarray(np.ascontiguousarray(plane)).resize((size, size), RESAMPLING) for plane in image]
    return np.stack([np.asarray(plane) for plane in planes])


def decoded(path: Path, side: int, decoding: Decoding | None = None) -> NDArray[np.uint8]:
    """Decode a file and resize it to a square.

    Args:
        path: of the file.
        side: of the square in pixels.
        decoding: see `decoding.rgb`.

    Returns:
        RGB, shape (3, side, side).

    Raises:
        ValueError: one line with the path: the file is missing, damaged, truncated, too large, no image, or refused by
            `decoding.rgb`.

    Source:
        What torchvision's `Resize((side, side))` does to an image of PIL: `image.resize` with bilinear resampling.
    """
    with refused_by_path(path):
        square = rgb(path, decoding).resize((side, side), RESAMPLING)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


@contextmanager
def refused_by_path(path: Path) -> Iterator[None]:
    """The errors of decoding a file, as one line with its path.

    Raises:
        ValueError: the file is missing, damaged or no image, or the image can't be used.
    """
    try:
        yield
    except UnsuitableError as error:
        raise ValueError(f"{path} can't be used: {error}") from None
    except Exception as error:  # noqa: BLE001 - on damaged files PIL's decoders raise errors of nearly any kind
        raise ValueError(f"{path} can't be decoded ({reason(error)}): restore the file") from None


def undecodable(
    paths: Sequence[Path],
    threads: int,
    progress: Paths = iter,
    decode: Callable[[Path], object] = rgb,
) -> list[tuple[Path, str]]:
    """Decode all files, and name those that can't be decoded, each with the reason.

    That a file decodes does not mean that it is whole: a JPEG damaged in its pixels often decodes to other pixels. Only
    a checksum shows that.

    Args:
        paths: of the files.
        threads: that decode at once.
        progress: wraps the paths, for a progress bar.
        decode: a file, or an error of any kind.
    """
    with ThreadPoolExecutor(threads) as pool:
        reasons = in_order(pool, 2 * threads, lambda path: _why_not(path, decode), paths)
        return [(path, why) for path, why in zip(progress(paths), reasons, strict=True) if why]


def file_states(folder: Path, names: Iterable[str]) -> NDArray[np.int64]:
    """Size in bytes, and time of the last change in nanoseconds, of each file: shape (files, 2).

    Raises:
        ValueError: a file is missing, or may not be looked at.
    """
    states = [_state(folder / name) for name in names]
    return np.array([(state.st_size, state.st_mtime_ns) for state in states], dtype=np.int64).reshape(-1, 2)


def _state(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise ValueError(f"the table of images names {path}, which can't be read ({reason(error)})") from None


def _why_not(path: Path, decode: Callable[[Path], object]) -> str | None:
    try:
        decode(path)
    except Exception as error:  # noqa: BLE001 - see `decoded`
        return reason(error)
    return None


def reason(error: Exception) -> str:
    """The reason why an image can't be decoded, in one line, without its path."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is none of {', '.join(FORMATS)}"
    words = error.strerror if isinstance(error, OSError) else None
    return " ".join((words or str(error) or type(error).__name__).split())


def in_order(
    pool: ThreadPoolExecutor, ahead: int, work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Like `pool.map`, but only so far ahead of its reader: thousands of images would not fit into memory."""
    rest = iter(items)
    pending = deque(pool.submit(work, item) for item in islice(rest, ahead))
    while pending:
        result = pending.popleft().result()
        pending.extend(pool.submit(work, item) for item in islice(rest, 1))
        yield result
