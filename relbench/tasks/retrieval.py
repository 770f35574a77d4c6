"""What a network gives on the test classes of a data set: embeddings, metrics, counts by class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from relbench.data.table import ImageSource, indices_of, roles_of
from relbench.evaluation import QueryResults, means, query_results, recall_by_class
from relbench.models import embed
from relbench.results.records import ClassCounts

EVALUATION_BATCH = 500  # images
KEPT_BYTES = 2**31  # of views for evaluation, that are made once and kept: all of CUB-200-2011 at 224 px take half


class CachedViews:
    """A source of images that remembers its views for evaluation, as they are asked for at every validation.

    Args:
        source: makes them.
        room: bytes that may be kept; what comes after is made anew each time.
    """

    def __init__(self, source: ImageSource, room: int = KEPT_BYTES) -> None:
        self.source, self._room = source, room
        self.table, self.shape = source.table, source.shape
        self.content, self.data_hash = source.content, source.data_hash
        self.train_batch = source.train_batch
        self._kept: dict[bytes, torch.Tensor] = {}

    def test_batch(self, indices: torch.Tensor) -> torch.Tensor:
        """The views for evaluation; not to be written to."""
        name = indices.numpy().tobytes()
        if name in self._kept:
            return self._kept[name]
        views = self.source.test_batch(indices)
        if views.nbytes <= self._room:
            self._room -= views.nbytes
            self._kept[name] = views
        return views


@dataclass(frozen=True)
class Measured:
    """What a network gives on the test classes.

    Attributes:
        embeddings: (images, dim), in the order of the table's indices.
        metrics: Recall@K, R-precision and MAP@R, in [0, 1].
        by_class: Recall@1 as counts.
    """

    embeddings: NDArray[np.float32]
    metrics: dict[str, float]
    by_class: ClassCounts


def measure_test(network: torch.nn.Module, source: ImageSource, ks: Sequence[int], device: torch.device) -> Measured:
    """Embed the test images in batches and measure retrieval among them.

    Args:
        network: from images to embeddings, on the device.
        source: of the images; some may only ask, or only be found.
        ks: the Ks of Recall@K.
        device: where the network is.
    """
    indices = indices_of(source.table, "test")
    labels = source.table["label"].to_numpy(dtype=str)[indices]
    query, gallery = roles_of(source.table, indices)
    embeddings = embed(network, evaluation_batches(source, indices), device)
    answers = query_results(torch.from_numpy(embeddings).to(device), labels, ks, query=query, gallery=gallery)
    return Measured(embeddings, means(answers, ks), _by_class(answers))


def evaluation_batches(source: ImageSource, indices: NDArray[np.int64]) -> Iterator[torch.Tensor]:
    """The views for evaluation of these images, as many at a time as memory has room for; none of none."""
    parts = torch.split(torch.from_numpy(indices), EVALUATION_BATCH) if len(indices) else ()
    return (source.test_batch(part) for part in parts)


def _by_class(answers: QueryResults) -> ClassCounts:
    counts = recall_by_class(answers)
    return ClassCounts(
        classes=tuple(counts.labels.tolist()),
        queries=tuple(counts.queries.tolist()),
        correct=tuple(counts.correct.tolist()),
    )
