"""The stream of a training's images: batch after batch, each a function of the seed and its step."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import torch
from torch import nn

from relbench.seeding import step_generator
from relbench.training.division import Layout
from relbench.training.prefetching import Step, prefetched


@dataclass(frozen=True)
class TrainingData:
    """Images that networks are trained and validated on.

    Attributes:
        channels: of each image.
        classes: number of them among the training images.
        labels: class number of every index that batches name.
        batch: from a step to the indices of its images; steps count from 0 at the beginning of the first stage.
        views: from indices to images, as they are trained on.
        validate: from a network and its classifier to metrics on validation images, the task's primary one among them;
            nothing where there are no such images. What else it returns is only written down.
        workers: processes that make the images of later steps meanwhile; `batch` and `views` must then be picklable.
        layout: of a batch.
    """

    channels: int
    classes: int
    labels: torch.Tensor
    batch: Callable[[int], torch.Tensor]
    views: Callable[[torch.Tensor, torch.Generator], torch.Tensor]
    validate: Callable[[nn.Module, nn.Module | None], dict[str, float]]
    workers: int = 0
    layout: Layout = field(default_factory=Layout)


@dataclass(frozen=True)
class _Steps:
    """Indices of all images of a step, and those images that this rank shows."""

    batch: Callable[[int], torch.Tensor]
    views: Callable[[torch.Tensor, torch.Generator], torch.Tensor]
    seed: int
    layout: Layout

    def __getitem__(self, step: int) -> Step:
        indices = self.batch(step)
        views = self.views(indices, step_generator(self.seed, "views", step))
        own = self.layout.own(len(indices))
        return indices, views if own is None else views[own]


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
        yield from prefetched(steps, range(start, stop), data.workers)
    else:
        yield from map(steps.__getitem__, range(start, stop))
