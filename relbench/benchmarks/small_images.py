"""Benchmark of views of small images, made for a whole batch, against torchvision's transforms of each image by PIL.

As training has them: 50,000 images of 32 px in a file that is mapped into memory, in random order, in batches of 128.
The plain way begins with images that PIL has in memory already, and ends with a tensor of each; ours ends with a batch
of bytes, which the network's device turns into numbers. That is a part of the work, and measured apart: without
torchvision's `ToTensor`, and with the conversion of our batches.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import Compose, RandomCrop, RandomHorizontalFlip, RandomResizedCrop, ToTensor

from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import ratio, timed
from relbench.data.images.decoded import decoded_images
from relbench.data.images.decoding import Decoding
from relbench.data.images.small import SmallImages
from relbench.transforms import SmallTransform

TARGET = 20.0
"""Required speed-up, in views per second and core, of batches of padded crops over torchvision and PIL."""

SIDE, PAD, BATCH = 32, 4, 128
PLAIN = 2000  # images of a round of the plain way

View = Callable[[Any], Any]


class _Noise:
    """Made-up images."""

    side = SIDE
    channels = 3
    decoding: Decoding | None = None

    def __init__(self, count: int) -> None:
        self.pictures = np.random.default_rng(0).integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)

    def read(self, names: Iterable[str]) -> Iterator[NDArray[np.uint8]]:
        """The images in order."""
        return iter(self.pictures[: len(list(names))])

    def state(self, names: Iterable[str]) -> bytes:
        """They never change."""
        return str(len(list(names))).encode()


def figures(count: int = 50_000, rounds: int = 7) -> Iterator[Figure]:
    """Speed of padded crops, and of crops that are resized, beside the plain way.

    Args:
        count: images.
        rounds: of each way, all images by ours, some by the plain one.
    """
    noise, names = _Noise(count), [f"{number:05d}" for number in range(count)]
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in noise.pictures[:PLAIN]]
    table = pd.DataFrame({"name": names, "label": "noise", "split": "train"})
    with TemporaryDirectory(prefix="relbench-images-") as folder:
        pixels = decoded_images(noise, names, Path(folder))
        yield from _padded(SmallImages(table, pixels, SIDE, SmallTransform(pad=PAD), ""), pictures, rounds)
        reflected = SmallImages(table, pixels, SIDE, SmallTransform(pad=PAD, padding="reflect"), "")
        crop = RandomCrop(SIDE, padding=PAD, padding_mode="reflect")
        yield _against("padded by reflection", crop, reflected, pictures, rounds)
        resized = SmallImages(table, pixels, SIDE, SmallTransform(crop="resized"), "")
        yield _against("of random areas, resized", RandomResizedCrop(SIDE), resized, pictures, rounds)


def _padded(source: SmallImages, pictures: Sequence[Image.Image], rounds: int) -> Iterator[Figure]:
    crop, flip = RandomCrop(SIDE, padding=PAD), RandomHorizontalFlip()
    forms = {
        "plain": partial(_each, pictures, Compose([crop, flip, ToTensor()])),
        "without": partial(_each, pictures, Compose([crop, flip])),
        "ours": partial(_ours, source, lambda batch: batch),
        "numbers": partial(_ours, source, lambda batch: batch.float().div_(255)),
    }
    times = _per_view(forms, len(source.table), len(pictures), rounds)
    name = f"views of {SIDE} px, padded and cropped: times as fast as torchvision's of PIL's images"
    yield ratio(name, times["plain"], times["ours"], target=TARGET, bound="at least", why=WHY)
    yield ratio(f"{name}, both as bytes", times["without"], times["ours"])
    yield ratio(f"{name}, both as numbers", times["plain"], times["numbers"])


WHY = (
    "torchvision ends with ToTensor, ours with bytes, which become numbers on the network's device; the lines below "
    "compare equal ends"
)


def _against(what: str, crop: View, source: SmallImages, pictures: Sequence[Image.Image], rounds: int) -> Figure:
    forms = {
        "plain": partial(_each, pictures, Compose([crop, RandomHorizontalFlip(), ToTensor()])),
        "ours": partial(_ours, source, lambda batch: batch),
    }
    times = _per_view(forms, len(source.table), len(pictures), rounds)
    return ratio(f"views of {SIDE} px, {what}: times as fast", times["plain"], times["ours"])


def _per_view(forms: Mapping[str, Callable[[], None]], ours: int, plain: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of a view in each round."""
    counts = {"plain": plain, "without": plain, "ours": ours, "numbers": ours}
    times = timed(forms, rounds, warm=0)
    return {name: [seconds / counts[name] for seconds in taken] for name, taken in times.items()}


def _each(pictures: Sequence[Image.Image], view: View) -> None:
    for picture in pictures:
        view(picture)


def _ours(source: SmallImages, end: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """All images in a random order, by batches."""
    generator = torch.Generator().manual_seed(0)
    for indices in torch.split(torch.randperm(len(source.table), generator=generator), BATCH):
        end(source.train_batch(indices, generator))
