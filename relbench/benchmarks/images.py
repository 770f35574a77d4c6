"""Benchmark of batches from decoded images against decoding, resizing, cropping and mirroring each file with PIL."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import now, ratio, timed
from relbench.data.images.decoded import decoded_images
from relbench.data.images.photos import ImageFiles, Photos

TARGET = 10.0
"""Required speed-up, in images per second and core, of batches from decoded images over PIL."""

WIDTH, HEIGHT = 500, 375
RESIZE, CROP = 256, 224
BATCH = 128
QUALITY = 90
SCALES = ((4, 1.0), (16, 0.6), (64, 0.4), (250, 0.2))  # spots across the picture, and their weight


def figures(count: int = 256, rounds: int = 5) -> Iterator[Figure]:
    """Speed of batches from decoded images, beside the plain way, and of decoding them once.

    Args:
        count: JPEG files of 500 x 375, created in a temporary folder.
        rounds: passes of each way over all files.
    """
    generator = np.random.default_rng(0)
    with TemporaryDirectory(prefix="relbench-images-") as name:
        folder = Path(name)
        names, crops = _write_pictures(folder, count, generator), torch.Generator().manual_seed(0)
        size = sum((folder / name).stat().st_size for name in names) / count
        start = now()
        pixels = decoded_images(ImageFiles(folder, RESIZE, threads=1), names, folder)
        build = now() - start
        photos = Photos(_table(names), folder, CROP, pixels, content="")
        plain, ours = partial(_plain_views, folder, names, crops), partial(_our_views, photos, crops)
        crops_alone = partial(_our_crops, photos, crops)
        times = timed({"plain": plain, "ours": ours, "crops": crops_alone}, rounds, warm=0)
        files = f"views of {WIDTH} x {HEIGHT} JPEGs of {size / 1000:.0f} kB"
        yield ratio(
            f"{files}, decoded: times as fast as PIL", times["plain"], times["ours"], target=TARGET, bound="at least"
        )
        yield ratio(f"{files}, decoded: time beside crops that a device mirrors", times["ours"], times["crops"])
        yield Figure(name=f"{files}, decoded once to disk", value=count / build, unit="per s")


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


def _plain_views(folder: Path, names: Sequence[str], crops: torch.Generator) -> None:
    """Each decoded from its file, resized to 256 x 256, cropped to 224 x 224, mirrored half of the time, by PIL."""
    for name in names:
        _plain_view(folder / name, crops)


def _plain_view(path: Path, crops: torch.Generator) -> Image.Image:
    with Image.open(path) as image:
        square = image.convert("RGB").resize((RESIZE, RESIZE), Image.Resampling.BILINEAR)
    left, top = torch.randint(RESIZE - CROP + 1, (2,), generator=crops).tolist()
    crop = square.crop((left, top, left + CROP, top + CROP))
    mirrored = torch.rand(1, generator=crops).item() < 0.5
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else crop


def _our_views(photos: Photos, crops: torch.Generator) -> None:
    """The same views as batches of bytes, from the file of decoded images, in memory as far as it fits."""
    for indices in torch.split(torch.randperm(len(photos.table), generator=crops), BATCH):
        photos.train_batch(indices, crops)


def _our_crops(photos: Photos, crops: torch.Generator) -> None:
    """What is left for the host where a device mirrors them."""
    for indices in torch.split(torch.randperm(len(photos.table), generator=crops), BATCH):
        photos.pending_batch(indices, crops)
