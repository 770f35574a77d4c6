"""Random views made on a device: what is left for the host, what travels, and whether they are those of the CPU.

Images are noise in memory, as those of a data set are that is read a second time; reading them is a part of both ways.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import torch

from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import ratio, seconds, timed
from relbench.data.glyphs.textured import Painting
from relbench.data.glyphs.views import Distortion
from relbench.data.images.augmentation import ON_CPU, ON_DEVICE, SmallViews
from relbench.data.random_views import CPU, PendingViews, RandomViews, pending_views
from relbench.training.computing import computing
from relbench.transforms import SmallTransform

BATCH, KEPT = 128, 512  # images of a batch, and of the data set
EVERY = SmallTransform(padding="reflect", rotation=15, jitter=0.4)
RESIZED = SmallTransform(crop="resized")
ROUNDING = 1e-4  # levels being in [0, 1]


class Kind(NamedTuple):
    """Views of a kind of data set.

    Attributes:
        maker: of the views.
        shape: of an image as it is kept.
        apart: the largest difference between levels of a GPU and of the CPU that is let pass.
    """

    maker: RandomViews
    shape: tuple[int, int, int]
    apart: float = 0.0


KINDS: Mapping[str, Kind] = {
    "small images, padded and cropped": Kind(SmallViews(SmallTransform(), 32), (3, 32, 32)),
    "small images, padded, cropped, turned and coloured": Kind(SmallViews(EVERY, 32), (3, 32, 32)),
    "small images, cropped and resized": Kind(SmallViews(RESIZED, 32), (3, 32, 32)),
    "images of 84 px, cropped and resized": Kind(SmallViews(RESIZED, 84), (3, 84, 84), apart=1),
    "Glyphs": Kind(Distortion(28, 1.0), (1, 56, 56), apart=ROUNDING),
    "textured Glyphs of 112 px": Kind(Painting(112, 1.0), (1, 112, 112), apart=1),
}


def figures(rounds: int = 5, kinds: Mapping[str, Kind] = KINDS) -> Iterator[Figure]:
    """The host's share of a batch, the bytes that travel, and both forms of crops and flips on the CPU.

    Args:
        rounds: of each way.
        kinds: of views.
    """
    for name, kind in kinds.items():
        pending = _pending(kind)
        times = timed({"views": partial(_made, pending), "numbers": pending}, rounds)
        yield ratio(f"{name}: host's time of a batch, its views beside numbers alone", times["views"], times["numbers"])
        travels = pending().nbytes / _made(pending).nbytes
        yield Figure(name=f"{name}: bytes of images and numbers beside those of views", value=travels)
        if isinstance(kind.maker, SmallViews):
            yield _forms(name, kind.maker, pending(), rounds)


def _forms(name: str, maker: SmallViews, batch: PendingViews, rounds: int) -> Figure:
    forms = {form: partial(maker.made, batch.images, batch.numbers, form) for form in (ON_CPU, ON_DEVICE)}
    times = timed({"numpy": forms[ON_CPU], "torch": forms[ON_DEVICE]}, rounds)
    return ratio(f"{name}, on the CPU: time by torch, as on a device, beside numpy", times["torch"], times["numpy"])


def on_device(device: str, rounds: int = 5, kinds: Mapping[str, Kind] = KINDS) -> Iterator[Figure]:
    """How far views are from those of the CPU, and the time that a device takes.

    Args:
        device: "cpu" or "cuda".
        rounds: timings.
        kinds: of views.
    """
    there = torch.device(device)
    for name, kind in kinds.items():
        batch = _pending(kind)()
        with computing(1, "tf32"):
            apart = float((batch.on(there).cpu().double() - batch.on(CPU).double()).abs().max())
        yield Figure(name=f"{name}, {device} against CPU: levels apart", value=apart, unit="", target=kind.apart)
        waiting = batch.to(there)
        times = timed({"views": partial(kind.maker.make, waiting.images, waiting.numbers)}, rounds, device)
        yield seconds(f"{name}, {device}: views of {BATCH} images that are there", times["views"])


def _pending(kind: Kind) -> partial[PendingViews]:
    """Reads a batch and draws for it."""
    generator = torch.Generator().manual_seed(0)
    kept = torch.randint(256, (KEPT, *kind.shape), dtype=torch.uint8, generator=generator)
    batch = torch.randperm(KEPT, generator=generator)[:BATCH]
    return partial(pending_views, kind.maker, kept.__getitem__, batch, generator)


def _made(pending: partial[PendingViews]) -> torch.Tensor:
    return pending().on(CPU)
