"""The stream of a training's images: batch after batch, each a function of the seed and its step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from relbench.seeding import step_generator


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
    """

    channels: int
    classes: int
    labels: torch.Tensor
    batch: Callable[[int], torch.Tensor]
    views: Callable[[torch.Tensor, torch.Generator], torch.Tensor]
    validate: Callable[[nn.Module, nn.Module | None], dict[str, float]]


def stream(data: TrainingData, seed: int, start: int, stop: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Indices and images of each step.

    Args:
        data: what batches and views are made of.
        seed: of the run.
        start: the first step, counted from 0 at the beginning of the first stage.
        stop: the step before which to end.
    """
    for step in range(start, stop):
        indices = data.batch(step)
        yield indices, data.views(indices, step_generator(seed, "views", step))
