"""A task of the tests, which shares nothing with retrieval: new images of classes that training showed.

An image is taken for one of the class whose training images have the nearest mean embedding.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from relbench.counts import Counts
from relbench.data.cached_views import evaluation_batches
from relbench.data.table import check_classes, indices_of, labels_of
from relbench.experiment import TaskSettings
from relbench.models import embed
from relbench.seeding import step_generator
from relbench.tasks.task import Measured, not_shares


class NearestMean(TaskSettings):
    """How far the means are trusted is a setting that only this task has."""

    kind: Literal["nearest_mean"] = "nearest_mean"
    images: int = 8  # of each class that its mean is taken of


@dataclass(frozen=True)
class Epochs:
    """Every image once, then all of them in another order, which follows from the number of the epoch."""

    images: int
    batch_size: int
    seed: int

    def __call__(self, step):
        epoch, batch = divmod(step, self.images // self.batch_size)
        order = torch.randperm(self.images, generator=step_generator(self.seed, "batches", epoch))
        return order.split(self.batch_size)[batch]


@dataclass(frozen=True)
class NearestMeanTask:
    """Accuracy on images that training never showed, of classes that it did."""

    images: int
    primary = "accuracy"
    trial = "test image"
    group = "class"
    not_covered = ""
    balanced = False
    has_head = True
    without_head = "classified by the nearest mean"
    by_neighbours = False
    growth = 1

    def check(self, table):
        check_classes(table, "shared")

    def sampler(self, labels, seed, training):
        return Epochs(len(labels), training.batch_size, seed)

    def episode(self, training):
        return None

    def steps_of_epoch(self, images, training):
        return images // training.batch_size

    def head(self, net, size, classes, seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return torch.nn.Linear(net.dim, classes)

    def evaluate(self, model, source, split):
        (known, numbers, classes), (asked, truth, _) = (self._seen(model, source, name) for name in ("train", split))
        means = np.stack([known[numbers == number][: self.images].mean(axis=0) for number in range(len(classes))])
        right = ((asked[:, None] - means) ** 2).sum(axis=2).argmin(axis=1) == truth
        named = [classes[number] for number in truth]
        counts = Counts.of(named, right)
        worst = min(good / all_ for good, all_ in zip(counts.correct, counts.trials, strict=True))
        return Measured(asked, {"worst_class": worst, "accuracy": counts.share}, counts)

    def _seen(self, model, source, split):
        indices = indices_of(source.table, split)
        return embed(model.network, evaluation_batches(source, indices), model.device), *labels_of(
            source.table, indices
        )

    def contradictions(self, metrics, counts):
        yield from not_shares(metrics)
        if counts and metrics["accuracy"] != counts["accuracy"].share:
            yield "its counts do not add up to the accuracy"

    def rehearse(self, dim, images, device):
        (torch.rand(images, 1, dim, device=device) - torch.rand(10, dim, device=device)).norm(dim=2).argmin(dim=1)
