"""Recall@K, R-precision and MAP@R as a metric that a training loop fills batch by batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.distributed as dist
from numpy.typing import ArrayLike, NDArray
from torch import nn

from relbench.evaluation.knn.approximate import Backend
from relbench.evaluation.knn.points import Embeddings, as_array
from relbench.evaluation.measured import Measurement, measure
from relbench.evaluation.retrieval import check_labels, check_list
from relbench.ranks import Ranks

Array = NDArray[Any]
Columns = dict[str, Array]


class Recall(nn.Module):
    """Metric of retrieval that gathers embeddings batch by batch, for a loop of Lightning or a plain one.

    `update` keeps embeddings and labels on the host, as they are given and without gradient; `compute` searches them
    all at once, exactly, and returns what `retrieval_metrics` does. Nothing is part of the `state_dict`, and moving the
    module moves nothing.

    Where `torch.distributed` is initialised, `compute` gathers what all ranks have, which must all call it, and returns
    the same numbers on each. A `DistributedSampler` repeats images so that all ranks have as many: give `update` the
    indices of the images in the data set, and each image counts once, in the order of the indices, so that the numbers
    are those of a single process. Without indices, repeated images find each other, and the numbers are too high.

    Args:
        ks: The K of Recall@K, without repetition.
        backend: As in `retrieval_metrics`.

    Raises:
        ValueError: A K that is no whole number or repeated, or none: before a training that it would spoil.

    Example:
        >>> recall = Recall(ks=(1,))
        >>> for embeddings, labels in [([[0.0], [9.0]], ["a", "b"]), ([[1.0], [9.5]], ["a", "b"])]:
        ...     recall.update(embeddings, labels)
        >>> recall.compute()
        {'recall@1': 1.0, 'r_precision': 1.0, 'map@r': 1.0}
        >>> recall.reset()

        In a `LightningModule` whose `__init__` has `self.recall = Recall()`:

        >>> def validation_step(self, batch, batch_number):
        ...     images, labels, indices = batch
        ...     self.recall.update(self(images), labels, indices)
        >>> def on_validation_epoch_end(self):
        ...     self.log_dict(self.recall.compute())
        ...     self.recall.reset()
    """

    def __init__(self, ks: Sequence[int] = (1, 2, 4, 8), *, backend: Backend = "auto") -> None:
        super().__init__()
        check_list(ks)
        self.ks = tuple(ks)
        self.backend = backend
        self._batches: list[Columns] = []

    def update(
        self,
        embeddings: Embeddings | ArrayLike,
        labels: ArrayLike,
        indices: ArrayLike | None = None,
        *,
        query: ArrayLike | None = None,
        gallery: ArrayLike | None = None,
        ignore: ArrayLike | None = None,
    ) -> None:
        """Keep a batch; of an empty one there is nothing to keep.

        Args:
            embeddings: (batch, dim) array or tensor on any device.
            labels: (batch,) classes: integers or strings.
            indices: (batch,) whole numbers that name the images, such as their places in the data set; in all batches
                or in none. What has an index that was there already is left out.
            query: (batch,) which of them are queries; likewise in all batches or in none, where all are.
            gallery: (batch,) which of them are in the gallery; likewise.
            ignore: (batch,) integers or strings by which queries pass over gallery items; likewise, or nothing is.

        Raises:
            ValueError: Arrays of other shapes, or that other batches lack.
        """
        given = {"embeddings": embeddings, "indices": indices, "query": query, "gallery": gallery}
        # a copy: the loop may fill the same memory again
        batch = {name: np.array(as_array(value)) for name, value in given.items() if value is not None}
        _check_shapes(batch)
        if not len(batch["embeddings"]):
            return
        of_classes = {"labels": labels, "values to ignore": ignore}
        rows = len(batch["embeddings"])
        batch |= {
            name: np.array(check_labels(values, rows, name))
            for name, values in of_classes.items()
            if values is not None
        }
        if self._batches:
            _refuse_other_columns(self._batches[0], batch)
        self._batches.append(batch)

    forward = update

    def measurement(self) -> Measurement:
        """What `compute` returns the metrics of, with scores by class.

        Raises:
            ValueError: No batch was kept, an index has two labels, ranks were given different columns, or what
                `retrieval_metrics` refuses.
        """
        columns = _once(_joined([batch for part in _ranks().objects(self._batches) for batch in part]))
        return measure(
            columns["embeddings"],
            columns["labels"],
            self.ks,
            query=columns.get("query"),
            gallery=columns.get("gallery"),
            ignore=columns.get("values to ignore"),
            backend=self.backend,
        )

    def compute(self) -> dict[str, float]:
        """`recall@K` for each K, `r_precision` and `map@r`, in [0, 1], of all batches since the last `reset`.

        Raises:
            ValueError: What `measurement` refuses.
        """
        return dict(self.measurement().metrics)

    def reset(self) -> None:
        """Forget all batches."""
        self._batches = []

    def extra_repr(self) -> str:
        """Its settings, for `repr`."""
        return f"ks={self.ks}, backend={self.backend!r}"


def _ranks() -> Ranks:
    """Those of torch.distributed, where it is initialised."""
    if not (dist.is_available() and dist.is_initialized()):
        return Ranks()
    return Ranks(dist.get_rank(), dist.get_world_size())


def _check_shapes(batch: Columns) -> None:
    embeddings = batch["embeddings"]
    if embeddings.ndim != 2:
        raise ValueError(f"embeddings of a batch must have the shape (batch, dim), not {embeddings.shape}")
    for name, array in batch.items():
        if name != "embeddings" and array.shape != embeddings.shape[:1]:
            raise ValueError(f"{name}: {array.shape} values for {len(embeddings)} embeddings: pass one each")
    if "indices" in batch and batch["indices"].dtype.kind not in "iu":
        raise ValueError(f"indices must be whole numbers, not {batch['indices'].dtype}: pass places in the data set")


def _refuse_other_columns(first: Columns, batch: Columns) -> None:
    if first.keys() != batch.keys():
        name = sorted(first.keys() ^ batch.keys())[0]
        raise ValueError(f"some batches have {name}, others do not: pass them to every update, or to none")
    before, now = first["embeddings"].shape[1], batch["embeddings"].shape[1]
    if before != now:
        raise ValueError(f"embeddings of a batch have {now} dimensions, those before {before}: reset in between")
    for name in first:
        if (first[name].dtype.kind == "U") != (batch[name].dtype.kind == "U"):
            raise ValueError(f"{name} are integers in some batches and strings in others: convert them")


def _joined(batches: Sequence[Columns]) -> Columns:
    """All batches, one after the other."""
    if not batches:
        raise ValueError("there is nothing to compute: update with the embeddings of the test images first")
    for batch in batches[1:]:  # those of other ranks
        _refuse_other_columns(batches[0], batch)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _once(columns: Columns) -> Columns:
    """Each image once, in the order of the indices, where there are any."""
    if "indices" not in columns:
        return columns
    indices, labels = columns["indices"], columns["labels"]
    _, first, place = np.unique(indices, return_index=True, return_inverse=True)
    expected = labels[first][place.reshape(-1)]
    row = int((labels != expected).argmax())
    if labels[row] != expected[row]:
        raise ValueError(
            f"index {indices[row]} stands for images of two classes, {str(expected[row])!r} and {str(labels[row])!r}: "
            "pass places in the whole data set"
        )
    return {name: values[first] for name, values in columns.items()}
