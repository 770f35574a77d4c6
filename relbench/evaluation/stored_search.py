"""Embeddings in files, measured: in one piece, or in shards where they are asked for or too large."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from relbench.counts import Counts
from relbench.evaluation.array_files import Array, readable
from relbench.evaluation.beside import Beside, followed, refuse_other_rows
from relbench.evaluation.classification import TOP, classification_metrics, correct
from relbench.evaluation.gallery.plan import half_of_free_memory
from relbench.evaluation.gallery.sharded import Sharding, sharded_query_results
from relbench.evaluation.gallery.sources import Joined, RowsInFile, Source, layout_of, rows_in_file, rows_in_memory
from relbench.evaluation.measured import Measurement, measurement_of
from relbench.evaluation.retrieval import check_labels, query_results
from relbench.evaluation.stored import MASKS, Files, Stored, naming_files, read_beside, read_files
from relbench.memory import free_for_this_process

_COPIES = 12  # of embeddings, where float32 is not precise enough for them

Rows = Array | RowsInFile | Joined

Advance = Callable[[int, int], None]
"""Called with the number of queries done since the last call, and of all queries."""


def stored_metrics(
    path: Path,
    labels_path: Path | None,
    ks: Sequence[int],
    advance: Advance | None = None,
    sharding: Sharding | None = None,
) -> dict[str, float]:
    """Metrics of embeddings in files, as `retrieval.retrieval_metrics` computes them.

    Args:
        path: As in `read_embeddings`.
        labels_path: As in `read_embeddings`.
        ks: As in `measured_files`, and so on.
        advance: As there.
        sharding: As there.

    Raises:
        ValueError: As there.
    """
    return dict(measured_files(Files(path, labels_path), ks, advance, sharding).metrics)


def measured_files(
    files: Files, ks: Sequence[int], advance: Advance | None = None, sharding: Sharding | None = None
) -> Measurement:
    """Measurement of retrieval with embeddings in files.

    Args:
        files: Where they are.
        ks: The K of Recall@K, without repetition.
        advance: Called with the number of queries done since the last call, and of all queries.
        sharding: How the gallery is searched in shards, with the same numbers; None: in one piece, or in shards within
            half of the free memory where one piece might not fit into it. Of embeddings in .npy files only parts are
            then in memory.

    Raises:
        ValueError: What `read_embeddings`, `retrieval_metrics` or `sharded_query_results` refuses; the message names
            the files.
    """
    rows, beside = _opened(files, in_parts=sharding is not None)
    with naming_files(*files.paths):
        return _measured(rows, beside, ks, advance, sharding)


def measured_embeddings(
    stored: Stored, ks: Sequence[int], advance: Advance | None = None, sharding: Sharding | None = None
) -> Measurement:
    """Measurement of retrieval with embeddings that were read, or computed; arguments and errors as above."""
    return _measured(stored.embeddings, stored.beside, ks, advance, sharding)


def measured_logits(stored: Stored) -> Measurement:
    """Measurement of classification by logits, which stand in the place of embeddings; labels are class numbers.

    Raises:
        ValueError: What `classification_metrics` refuses.
    """
    metrics = classification_metrics(stored.embeddings, stored.labels)
    labels = check_labels(stored.labels, len(stored.embeddings))
    right = {"accuracy": correct(stored.embeddings, labels), "top5": correct(stored.embeddings, labels, TOP)}
    counts = {metric: Counts.of(labels, flags) for metric, flags in right.items()}
    return Measurement(
        metrics=metrics, counts=counts, queries=len(labels), classes=len(next(iter(counts.values())).groups)
    )


def _measured(
    rows: Rows, beside: Beside, ks: Sequence[int], advance: Advance | None, sharding: Sharding | None
) -> Measurement:
    query, gallery = (beside.masks.get(name) for name in MASKS)
    total, items = (_chosen(mask, beside.labels) for mask in (query, gallery))

    def progress(done: int) -> None:
        if advance is not None:
            advance(done, total)

    how: dict[str, Any] = {"query": query, "gallery": gallery, "ignore": beside.ignore, "progress": progress}
    if sharding is None and not isinstance(rows, RowsInFile | Joined) and not _is_large(rows.nbytes):
        return measurement_of(query_results(rows, beside.labels, ks, **how), ks, items)
    chosen = sharding or Sharding(half_of_free_memory())
    return measurement_of(sharded_query_results(rows, beside.labels, ks, sharding=chosen, **how), ks, items)


def _chosen(mask: Array | None, labels: Array) -> int:
    """How many images a mask selects; all, without one."""
    return labels.size if mask is None else int(np.count_nonzero(mask))


def _opened(files: Files, *, in_parts: bool) -> tuple[Rows, Beside]:
    """Embeddings, and what belongs to them; those in .npy files are left there if they are read in parts, or large."""
    own = replace(files, gallery=None)
    if files.gallery is None:
        return _opened_alone(own, in_parts=in_parts)
    both = [_opened_alone(each, in_parts=in_parts) for each in (own, files.gallery)]
    (queries, of_queries), (gallery, of_gallery) = both
    with naming_files(*files.paths):
        refuse_other_rows(queries, gallery)
        beside = followed(of_queries, of_gallery, queries.shape[0], gallery.shape[0])
        if isinstance(queries, np.ndarray) and isinstance(gallery, np.ndarray):
            return np.concatenate([queries, gallery]), beside
        return Joined((_as_source(queries), _as_source(gallery))), beside


def _as_source(rows: Array | RowsInFile) -> Source:
    return rows if isinstance(rows, RowsInFile) else rows_in_memory(rows)


def _opened_alone(files: Files, *, in_parts: bool) -> tuple[Array | RowsInFile, Beside]:
    path = files.embeddings
    if path.suffix == ".npy" and path.is_file() and (in_parts or _is_large(path.stat().st_size)):
        beside = read_beside(files, None)
        with readable(path):
            layout = layout_of(path)
        with naming_files(*files.paths):
            return rows_in_file(path, layout), beside
    stored = read_files(files)
    return stored.embeddings, stored.beside


def _is_large(size: int) -> bool:
    """Whether embeddings might not fit into the free memory as often as they can be needed: as given, and widened."""
    return size * _COPIES > free_for_this_process()
