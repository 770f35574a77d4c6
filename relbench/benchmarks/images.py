"""Benchmark of batches from decoded images against decoding, resizing, cropping and mirroring each file with PIL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from relbench.cores import usable_cores
from relbench.data.images.decoded import decoded_images
from relbench.data.images.photos import ImageFiles, Photos

TARGET = 10.0
"""Required speed-up, in images per second and core, of batches from decoded images over PIL."""

WIDTH, HEIGHT = 500, 375
RESIZE, CROP = 256, 224
BATCH = 128
QUALITY = 90
SCALES = ((4, 1.0), (16, 0.6), (64, 0.4), (250, 0.2))  # spots across the picture, and their weight


@dataclass(frozen=True)
class ImageSpeed:
    """Images per second, each on one thread unless said otherwise.

    Attributes:
        count: JPEG files of 500 x 375.
        file_bytes: mean size of a file.
        plain: decoded from the file, resized to 256 x 256, cropped to 224 x 224, mirrored half of the time, by PIL.
        ours: the same views as batches of bytes, from the file of decoded images, in memory as far as it fits.
        build: images decoded and written to that file, on all threads.
        threads: of the build.
    """

    count: int
    file_bytes: float
    plain: float
    ours: float
    build: float
    threads: int

    @property
    def ratio(self) -> float:
        """Speed-up over the plain way."""
        return self.ours / self.plain


def measure(count: int = 256, repeats: int = 5, *, generator: np.random.Generator) -> ImageSpeed:
    """Speed of both ways, measured in turns, so that other load on the machine affects both.

    Args:
        count: files, created in a temporary folder.
        repeats: number of passes of each way over all files; the median counts.
        generator: draws the pictures, and seeds crops.
    """
    with TemporaryDirectory(prefix="relbench-images-") as name, _one_thread():
        folder, threads = Path(name), usable_cores()
        names = _write_pictures(folder, count, generator)
        start = perf_counter()
        pixels = decoded_images(ImageFiles(folder, RESIZE, threads), names, folder)
        build = perf_counter() - start
        photos = Photos(_table(names), folder, CROP, pixels, content="")
        crops = torch.Generator().manual_seed(int(generator.integers(2**63)))
        rounds = [(_plain_seconds(folder, names, crops), _our_seconds(photos, crops)) for _ in range(repeats)]
        plain, ours = (count / median(times) for times in zip(*rounds, strict=True))
        size = sum((folder / name).stat().st_size for name in names) / count
    return ImageSpeed(count, size, plain, ours, count / build, threads)


def picture(generator: np.random.Generator) -> Image.Image:
    """Random spots of several sizes, with about as many bytes as JPEG as a photo."""
    layers = [weight * _spots(generator, across) for across, weight in SCALES]
    levels = 128 + 128 * sum(layers, np.zeros((HEIGHT, WIDTH, 3), np.float32))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _spots(generator: np.random.Generator, across: int) -> NDArray[np.float32]:
    small = generator.integers(0, 256, (max(1, across * HEIGHT // WIDTH), across, 3), dtype=np.uint8)
    large = Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    levels: NDArray[np.float32] = np.asarray(large, dtype=np.float32) / np.float32(128) - np.float32(1)
    return levels


def _write_pictures(folder: Path, count: int, generator: np.random.Generator) -> list[str]:
    names = [f"{number}.jpg" for number in range(count)]
    for name in names:
        picture(generator).save(folder / name, quality=QUALITY)
    return names


def _table(names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"name": names, "label": "spots", "split": "train"})


def _plain_seconds(folder: Path, names: Sequence[str], crops: torch.Generator) -> float:
    start = perf_counter()
    for name in names:
        _plain_view(folder / name, crops)
    return perf_counter() - start


def _plain_view(path: Path, crops: torch.Generator) -> Image.Image:
    with Image.open(path) as image:
        square = image.convert("RGB").resize((RESIZE, RESIZE), Image.Resampling.BILINEAR)
    left, top = torch.randint(RESIZE - CROP + 1, (2,), generator=crops).tolist()
    crop = square.crop((left, top, left + CROP, top + CROP))
    mirrored = torch.rand(1, generator=crops).item() < 0.5
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else crop


def _our_seconds(photos: Photos, crops: torch.Generator) -> float:
    batches = torch.split(torch.randperm(len(photos.table), generator=crops), BATCH)
    start = perf_counter()
    for indices in batches:
        photos.train_batch(indices, crops)
    return perf_counter() - start


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
