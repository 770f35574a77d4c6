"""The stream of a training's images: batch after batch, each a function of the seed and its step."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from relbench.data.random_views import PendingViews
from relbench.seeding import step_generator
from relbench.training.division import Layout
from relbench.training.prefetching import Step, prefetched


class BatchViews(Protocol):
    """Images of a batch as they are trained on, or what they are made of."""

    def __call__(
        self, indices: torch.Tensor, generator: torch.Generator, only: torch.Tensor | None = None, /
    ) -> torch.Tensor | PendingViews:
        """Those of some places of the batch, None for all, by numbers drawn for the whole batch."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """Images that networks are trained and validated on.

    Attributes:
        channels: of each image.
        classes: number of them among the training images.
        labels: class number of every index that batches name.
        batch: from a step to the indices of its images; steps count from 0 at the beginning of the first stage.
        views: from indices to images, as they are trained on, or to what these are made of on the device.
        validate: from a network and its classifier to metrics on validation images, the task's primary one among them;
            nothing where there are no such images. What else it returns is only written down.
        workers: processes that make the images of later steps meanwhile; `batch` and `views` must then be picklable.
        layout: of a batch.
    """

    channels: int
    classes: int
    labels: torch.Tensor
    batch: Callable[[int], torch.Tensor]
    views: BatchViews
    validate: Callable[[nn.Module, nn.Module | None], dict[str, float]]
    workers: int = 0
    layout: Layout = field(default_factory=Layout)


@dataclass(frozen=True)
class _Steps:
    """Indices of all images of a step, and those images that this rank shows."""

    batch: Callable[[int], torch.Tensor]
    views: BatchViews
    seed: int
    layout: Layout

    def __getitem__(self, step: int) -> Step:
        indices = self.batch(step)
        return indices, self.views(indices, step_generator(self.seed, "views", step), self.layout.own(len(indices)))


def stream(data: TrainingData, seed: int, start: int, stop: int) -> Generator[Step, None, None]:
    """Indices and images of each step, the same whoever makes them.

    To be closed where it is left before its end: worker processes end with it.

    Args:
        data: what batches and views are made of.
        seed: of the run.
        start: the first step, counted from 0 at the beginning of the first stage.
        stop: the step before which to end.
    """
    steps = _Steps(data.batch, data.views, seed, data.layout)
    if data.workers and start < stop:
        yield from prefetched(steps, range(start, stop), data.workers, data.layout.ranks.count)
    else:
        yield from map(steps.__getitem__, range(start, stop))
