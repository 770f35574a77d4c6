"""Embeddings that were read, or computed, as a few-shot task measures them: with counts by episode."""

import numpy as np

from relbench.evaluation.measured import Measurement
from relbench.evaluation.retrieval import check_labels
from relbench.evaluation.stored import Stored
from relbench.experiment import FewShot
from relbench.tasks.few_shot import FewShotTask


def measured_episodes(stored: Stored, settings: FewShot) -> Measurement:
    """Accuracies over episodes that are drawn from all images, and half of their 95 % intervals.

    The episodes follow from the settings and the labels alone, and are the same for any embeddings of these images.

    Args:
        stored: embeddings and labels; images that a data set separates into queries and a gallery are all the same.
        settings: of the episodes.

    Raises:
        ValueError: embeddings or labels that can't be used, or too few classes or images.
    """
    labels = check_labels(stored.labels, len(stored.embeddings))
    metrics, counts = FewShotTask(settings).score(stored.embeddings, labels, "test")
    queries = sum(next(iter(counts.values())).trials)
    return Measurement(
        metrics=metrics,
        counts=counts,
        queries=queries,
        classes=len(np.unique(labels)),
        group=FewShotTask.group,
    )
