"""The protocol of a task, and what measuring a network results in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from relbench.counts import Counts
from relbench.experiment import Net, Training
from relbench.ranks import ALONE, Ranks

if TYPE_CHECKING:  # settings and rows are read without these
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from relbench.data.table import ImageSource
    from relbench.episodes import Episode


@dataclass(frozen=True)
class Model:
    """A network that is to be measured.

    Attributes:
        network: from images to embeddings, on the device.
        device: where it is.
        head: from embeddings to logits; None where none was trained along.
        ranks: that share the work; all of them measure the same network.
    """

    network: "torch.nn.Module"
    device: "torch.device"
    head: "torch.nn.Module | None" = None
    ranks: Ranks = ALONE


@dataclass(frozen=True)
class Measured:
    """The result of measuring a network on a split.

    Attributes:
        embeddings: (images, dim), in the order of the table's indices.
        metrics: by name; shares in [0, 1], the only unit that summaries and reports know.
        counts: of the primary metric.
        other_counts: of other metrics that are shares of trials, too, by name.
    """

    embeddings: "NDArray[np.float32]"
    metrics: dict[str, float]
    counts: Counts
    other_counts: dict[str, Counts] = field(default_factory=dict)


class Task(Protocol):
    """What the engine and the reports need to know of a task.

    Attributes:
        trial: what is right or wrong, in the words of a report.
        group: what the trials of a group of `Counts` have in common, likewise.
        not_covered: what intervals over new groups say nothing of, though a reader may think so, a sentence of a
            report; "" where the groups are all that another test would have others of.
        balanced: whether a batch has `images_per_class` images of each of its classes: elsewhere that setting has no
            say, and no list or table shows it.
        has_head: whether a network that was trained with a head is measured, and counted, with it.
        without_head: how a network that has no head is measured, in the words of a report, such as "by its neighbours";
            "" where a head has no part in what is measured.
        by_neighbours: whether a trial is right if the nearest other test image is of its class, so that a report can
            show what was found.
        growth: the power of the number of images that the time of scoring grows with.
    """

    trial: str
    group: str
    not_covered: str
    balanced: bool
    has_head: bool
    without_head: str
    by_neighbours: bool
    growth: int

    @property
    def primary(self) -> str:
        """The metric that models are compared by, and that a step or a learning rate is chosen by.

        A share of trials, the higher the better.
        """
        ...

    def check(self, table: "pd.DataFrame") -> None:
        """Refuse a table of images that the task can't be trained or measured on.

        Raises:
            ValueError: its splits do not promise what the task needs, or it has too few images or classes.
        """
        ...

    def sampler(self, labels: "torch.Tensor", seed: int, training: Training) -> "Callable[[int], torch.Tensor]":
        """The batch of each step: positions of training images among those given.

        A batch follows from the seed and the number of its step alone, which counts from 0 at the beginning of the
        first stage, so that a training that goes on later sees what would have come next. Random numbers come from
        `relbench.seeding.step_generator`; what spans batches, such as the order of an epoch, from that of the epoch.
        What is returned can be pickled, as worker processes draw batches, too.

        Args:
            labels: class numbers of the training images.
            seed: of the run.
            training: the settings that a batch follows from.

        Raises:
            ValueError: there are fewer classes or images than a batch needs.
        """
        ...

    def episode(self, training: Training) -> "Episode | None":
        """The layout of a batch, where batches are episodes of few-shot learning.

        Args:
            training: the settings that a batch follows from.

        Raises:
            ValueError: no episode follows from them.
        """
        ...

    def steps_of_epoch(self, images: int, training: Training) -> int:
        """The steps in which training sees every image once.

        Args:
            images: number of training images.
            training: the settings that a batch follows from.

        Raises:
            ValueError: the task has no epochs, or there are too few images for a batch.
        """
        ...

    def head(self, net: Net, size: int, classes: int, seed: int) -> "torch.nn.Module":
        """A new head, from embeddings to logits of the training classes; built where a loss takes them.

        Args:
            net: settings of the network below it.
            size: side of its images in pixels.
            classes: of the training images.
            seed: of the run.
        """
        ...

    def evaluate(self, model: Model, source: "ImageSource", split: str) -> Measured:
        """Measure a network on the images of a split.

        All metrics are measured on the test split; on the validation split the primary one is enough.

        Raises:
            ValueError: it can't be measured.
        """
        ...

    def contradictions(self, metrics: Mapping[str, float], counts: Mapping[str, Counts]) -> Iterator[str]:
        """What can't be in metrics that are read from a file.

        Args:
            metrics: by name.
            counts: likewise, those that were kept.
        """
        ...

    def rehearse(self, dim: int, images: int, device: "torch.device") -> None:
        """Score made-up embeddings, for whoever wants to know how long that takes."""
        ...


def not_shares(metrics: Mapping[str, float]) -> Iterator[str]:
    """Which numbers are not in [0, 1]."""
    for name, value in metrics.items():
        if not 0 <= value <= 1:
            yield f"{name} = {value} is not in [0, 1]"


def not_as_counted(metrics: Mapping[str, float], counts: Mapping[str, Counts]) -> Iterator[str]:
    """Which metrics are not the shares that their counts add up to."""
    for name, counted in counts.items():
        if abs(metrics.get(name, -1) - counted.share) > 1e-9:
            yield f"{name} is not what its counts add up to, {counted.share}"
