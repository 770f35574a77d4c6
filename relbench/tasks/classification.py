"""Classification of new images of the classes that were trained on: which class has the largest logit?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relbench.counts import Counts
from relbench.data.samplers import EpochSampler, batches_of_epoch
from relbench.data.table import ImageSource, check_classes, indices_of, labels_of
from relbench.evaluation import class_means, classification_metrics, correct, nearest_class_mean
from relbench.evaluation.knn.points import Floats
from relbench.experiment import Classification, Net, Training
from relbench.models import Classifier, build_classifier, evaluating
from relbench.tasks.shares import embeddings_of
from relbench.tasks.task import Measured, Model, not_as_counted, not_shares

NEAREST_MEAN = "ncm_accuracy"  # the metric of class means


@dataclass(frozen=True)
class ClassificationTask:
    """Accuracy of a linear head on the embeddings; of the nearest class mean for networks without a head.

    Attributes:
        settings: of the task.
    """

    settings: Classification
    primary = "accuracy"
    trial = "test image"
    group = "test class"
    not_covered = ""
    balanced = False
    has_head = True
    without_head = "classified by the nearest class mean of the training images"
    by_neighbours = False
    growth = 1

    def check(self, table: pd.DataFrame) -> None:
        """Refuse splits of different classes, or a single class.

        Raises:
            ValueError: one line that says what to do.
        """
        try:
            check_classes(table, "shared")
        except ValueError as error:
            raise ValueError(
                f"{error} for classification: choose data.split = images where there is such a split"
            ) from None
        classes = labels_of(table, indices_of(table, "train"))[1]
        if len(classes) < 2:
            raise ValueError(f"classification needs at least 2 classes, but there is only {classes[0]!r}: use more")

    def sampler(self, labels: Tensor, seed: int, training: Training) -> EpochSampler:
        """Shuffled epochs."""
        return EpochSampler(len(labels), training.batch_size, seed, drop_last=self._drops)

    def episode(self, training: Training) -> None:
        """None: batches are no episodes."""

    def steps_of_epoch(self, images: int, training: Training) -> int:
        """Its batches."""
        return batches_of_epoch(images, training.batch_size, drop_last=self._drops)

    @property
    def _drops(self) -> bool:
        return self.settings.last_batch == "drop"

    def head(self, net: Net, size: int, classes: int, seed: int) -> Classifier:
        """A linear layer."""
        return build_classifier(net, size, classes, seed)

    def evaluate(self, model: Model, source: ImageSource, split: str) -> Measured:
        """Embed the images of a split in batches, and classify them.

        Without a head, as after a stage whose losses take no logits, the logits are inner products with class means of
        the training images (`nearest_class_mean`).
        """
        indices = indices_of(source.table, split)
        labels, names = labels_of(source.table, indices)
        embeddings = embeddings_of(model, source, indices)
        found = {NEAREST_MEAN: _by_mean(model, source, embeddings)} if self._takes_means(model, split) else {}
        logits = _by_head(model.head, embeddings, model.device) if model.head else found[NEAREST_MEAN]
        metrics = classification_metrics(logits, labels)
        if self.settings.class_means and split == "test":
            metrics[NEAREST_MEAN] = float(correct(found[NEAREST_MEAN], labels).mean())
        counts = Counts.of([names[label] for label in labels], correct(logits, labels))
        return Measured(embeddings, metrics, counts)

    def _takes_means(self, model: Model, split: str) -> bool:
        return model.head is None or (self.settings.class_means and split == "test")

    def contradictions(self, metrics: Mapping[str, float], counts: Mapping[str, Counts]) -> Iterator[str]:
        """What is no share, more often right at first than among five, or not what the counts say."""
        yield from not_shares(metrics)
        if metrics.get("top5", 1.0) < metrics.get(self.primary, 0.0):
            yield "top5 is below accuracy"
        yield from not_as_counted(metrics, counts)

    def rehearse(self, dim: int, images: int, device: torch.device) -> None:
        """Score random embeddings by a random head of 100 classes."""
        generator = torch.Generator().manual_seed(0)
        rows, head = (torch.rand(count, dim, generator=generator).to(device) for count in (images, 100))
        classification_metrics(rows @ head.T, torch.arange(images, device=device) % 100)


def _by_head(head: nn.Module, embeddings: NDArray[np.float32], device: torch.device) -> Floats:
    """Logits of embeddings by a trained head."""
    with evaluating(head):
        logits: Tensor = head(torch.from_numpy(embeddings).to(device))
    return logits.double().cpu().numpy()


def _by_mean(model: Model, source: ImageSource, embeddings: NDArray[np.float32]) -> Floats:
    """Logits of embeddings by the class means of the training images."""
    indices = indices_of(source.table, "train")
    labels, names = labels_of(source.table, indices)
    return nearest_class_mean(embeddings, class_means(embeddings_of(model, source, indices), labels, len(names)))
