"""Retrieval among images of classes that training never showed: is the nearest other image of the same class?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch

from relbench.counts import Counts
from relbench.data.samplers import ClassBalancedSampler
from relbench.data.table import ImageSource, check_classes, indices_of, roles_of
from relbench.evaluation import means, recall_by_class, retrieval_metrics
from relbench.experiment import Net, Training
from relbench.models import Classifier, build_classifier
from relbench.tasks.shares import embeddings_of, results_of
from relbench.tasks.task import Measured, Model, not_as_counted, not_shares


@dataclass(frozen=True)
class RetrievalTask:
    """Recall@K, R-precision and MAP@R among the test images, by Euclidean distance of embeddings.

    Attributes:
        ks: the Ks of Recall@K on test images. Validation asks for Recall@1 alone, as it may have few images.
    """

    ks: tuple[int, ...]
    primary = "recall@1"
    trial = "query image"
    group = "test class"
    not_covered = ""
    balanced = True
    has_head = False
    without_head = ""
    by_neighbours = True
    growth = 2  # every image is compared with every other

    def check(self, table: pd.DataFrame) -> None:
        """Refuse splits that share a class, or where Recall@K can't be measured.

        Raises:
            ValueError: one line that says what to do.
        """
        try:
            check_classes(table, "disjoint")
        except ValueError as error:
            raise ValueError(
                f"{error} for retrieval: choose data.split = classes where there is such a split"
            ) from None
        for split in ("test", "validation"):
            check_split(table, split, self._ks_on(split))

    def sampler(self, labels: torch.Tensor, seed: int, training: Training) -> ClassBalancedSampler:
        """Batches of several images of several classes; each is drawn alone."""
        return ClassBalancedSampler(labels, training.batch_size, training.images_per_class, seed)

    def episode(self, training: Training) -> None:
        """None: batches are no episodes."""

    def steps_of_epoch(self, images: int, training: Training) -> int:
        """Refused: batches are drawn each alone."""
        del images, training
        raise ValueError("retrieval draws each batch alone, and has no epochs: say how many steps to train")

    def head(self, net: Net, size: int, classes: int, seed: int) -> Classifier:
        """A linear classifier, for losses that take logits: it answers no query."""
        return build_classifier(net, size, classes, seed)

    def evaluate(self, model: Model, source: ImageSource, split: str) -> Measured:
        """Embed the images of a split in batches and measure retrieval among them; some may only ask, or be found."""
        indices, ks = indices_of(source.table, split), self._ks_on(split)
        labels = source.table["label"].to_numpy(dtype=str)[indices]
        query, gallery = roles_of(source.table, indices)
        embeddings = embeddings_of(model, source, indices)
        found = results_of(model.ranks, torch.from_numpy(embeddings).to(model.device), labels, ks, query, gallery)
        return Measured(embeddings, means(found, ks), recall_by_class(found))

    def contradictions(self, metrics: Mapping[str, float], counts: Mapping[str, Counts]) -> Iterator[str]:
        """What is no share, falls with K, or is not what the counts say."""
        yield from not_shares(metrics)
        recalls = sorted((int(name.partition("@")[2]), metrics[name]) for name in metrics if name.startswith("recall@"))
        if any(less > more for (_, less), (_, more) in pairwise(recalls)):
            yield "Recall@K falls where K grows"
        yield from not_as_counted(metrics, counts)

    def rehearse(self, dim: int, images: int, device: torch.device) -> None:
        """Search random embeddings, five of each class."""
        rows = torch.rand(images, dim, generator=torch.Generator().manual_seed(0)).to(device)
        retrieval_metrics(rows, torch.arange(images).numpy() // 5, ks=(1,))

    def _ks_on(self, split: str) -> tuple[int, ...]:
        return self.ks if split == "test" else (1,)


def check_split(table: pd.DataFrame, split: str, ks: tuple[int, ...]) -> None:
    """Refuse a split where Recall@K can't be measured; one without images is fine.

    Args:
        table: of the images.
        split: its name.
        ks: the Ks of Recall@K.

    Raises:
        ValueError: fewer images than the largest K asks for, or no two of one class.
    """
    indices = indices_of(table, split)
    if not len(indices):
        return
    query, gallery = roles_of(table, indices)
    labels = table["label"].to_numpy(dtype=str)[indices]
    found, counts = np.unique(labels[gallery], return_counts=True)
    sizes = dict(zip(found.tolist(), counts.tolist(), strict=True))
    if not any(sizes.get(labels[at], 0) > gallery[at] for at in np.flatnonzero(query)):
        raise ValueError(f"no {split} image has another image of its class to be found: use larger classes")
    others = int(gallery.sum() - np.any(query & gallery))
    if others < max(ks):
        raise ValueError(
            f"Recall@K is asked for K = {max(ks)}, but a {split} image has {others} others: use more classes"
        )
