"""Recall@K, R-precision and MAP@R, exact, without storing the neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relbench.counts import Counts
from relbench.evaluation.knn.approximate import Backend, choose_backend
from relbench.evaluation.knn.neighbours import Search, check_depth, check_whole
from relbench.evaluation.knn.outliers import among, apart
from relbench.evaluation.knn.points import Booleans, Embeddings, Floats, Integers, Points, as_array, check_points
from relbench.evaluation.knn.ranking import Classes, Evaluation, QueriesDone

_LARGEST_LABEL = 2**53  # beyond it float64 does not hold every whole number


@dataclass(frozen=True)
class QueryResults:
    """Results of retrieval for each query, in the order of the queries' rows.

    Attributes:
        labels: (queries,) class of each query.
        positives: (queries,) R: number of other gallery items of its class.
        rank: (queries,) place of the nearest item of its class, from 1; 0 if it is beyond `depth`
            or there is none.
        r_precision: (queries,) share of its class among its R nearest; NaN without positives.
        average_precision: (queries,) mean over the places 1..R of the precision up to a place
            where that place holds its class (else 0); NaN without positives.
        depth: The largest K that `rank` covers.
        ignored: (queries,) number of gallery items of the class that each query passes over beside itself; None where
            nothing was to be ignored.
    """

    labels: NDArray[Any]
    positives: Integers
    rank: Integers
    r_precision: Floats
    average_precision: Floats
    depth: int
    ignored: Integers | None = None

    def correct_at(self, k: int) -> Booleans:
        """(queries,) whether any of the k nearest is of the query's class.

        Raises:
            ValueError: k outside 1..depth, or not a whole number.
        """
        check_whole(k, "k")
        if not 1 <= k <= self.depth:
            raise ValueError(f"k = {k} is outside 1..{self.depth}: evaluate again with a larger K")
        return (self.rank > 0) & (self.rank <= k)


def retrieval_metrics(  # noqa: PLR0913 - keywords, each with its usual value
    embeddings: Embeddings,
    labels: ArrayLike,
    ks: Sequence[int] = (1, 2, 4, 8),
    *,
    query: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
    backend: Backend = "auto",
    progress: QueriesDone | None = None,
) -> dict[str, float]:
    """Recall@K, R-precision and MAP@R of image retrieval by Euclidean distance.

    Recall@K is the share of queries with at least one of the K nearest other items in their class
    (a hit rate, not the share of the class that is found). A query whose class has no other
    item in the gallery counts as a miss; R-precision and MAP@R leave such queries out. Neighbours
    are exact, ties go by row index, a query is excluded from its own neighbours by index; see
    `neighbours.nearest`.

    With `ignore`, a query also passes over the gallery items of its own class that have its own value, as it does over
    itself: images of the same camera in person re-identification (Market-1501), of the same shot or sequence in
    videos. They are neither right nor wrong, and take no place among the K nearest; items of another class count as
    wrong whatever their value. A query all of whose positives are passed over counts as one without positives.

    Other libraries differ in two places. Queries without positives are misses of Recall@K here, as the search failed;
    pytorch-metric-learning leaves them out of its precision_at_1 as of everything else, so its number is ours times
    queries over queries with positives. A K beyond the gallery is refused here, as a mistake of the caller's;
    torchmetrics silently takes the whole gallery instead, where the hit rate is 1 for every query with positives.
    Evaluations of re-identification leave queries without positives out of all metrics, so that here, too, their rank-1
    is our Recall@1 times queries over queries with positives.

    Args:
        embeddings: (n, dim) array or tensor of float16, float32 or float64, or of integers that these hold exactly;
            no gradient flows.
        labels: (n,) integers, strings, or floats that are whole numbers; as a list, array, tensor or
            pandas column.
        ks: The K of Recall@K, without repetition.
        query: (n,) boolean mask of the queries; None: all rows.
        gallery: (n,) boolean mask of the gallery; None: all rows. A row may be in both.
        ignore: (n,) integers or strings, as labels; each query passes over gallery items of its own class with its own
            value, which are neither right nor wrong; None: over itself alone.
        backend: "faiss", "torch", or "auto": torch on a GPU or a processor with AVX-512, else faiss, else torch. A
            tensor stays on its device; an array goes to a GPU if the machine has any. The result is the same.
        progress: Called with the number of queries done since the last call.

    Returns:
        `recall@K` for each K in the order given, `r_precision`, `map@r`; shares in [0, 1].

    Raises:
        ValueError: Input that `points.check_points` refuses, labels or values to ignore of another
            length or kind, or missing ones, a K that is not a whole number, out of range or repeated, a missing
            backend, or no query with positives.
        TypeError: Embeddings of other types.

    Source:
        Recall@K as in metric/utils.py of lenscloth/RKD and HitRate of torchmetrics; R-precision and
        MAP@R as in Musgrave et al., A Metric Learning Reality Check, ECCV 2020 (arXiv:2003.08505),
        section 3.2, and AccuracyCalculator of pytorch-metric-learning 2.9. Images of the query's own camera: L. Zheng
        et al., Scalable Person Re-identification: A Benchmark, ICCV 2015.

    Example:
        >>> retrieval_metrics(np.array([[0.0], [1.0], [3.0], [3.5]]), ["a", "a", "b", "b"], ks=(1,))
        {'recall@1': 1.0, 'r_precision': 1.0, 'map@r': 1.0}
    """
    results = query_results(
        embeddings, labels, ks, query=query, gallery=gallery, ignore=ignore, backend=backend, progress=progress
    )
    return means(results, ks)


def joined(parts: Sequence[QueryResults]) -> QueryResults:
    """Results of queries that were searched in parts, one after the other.

    Args:
        parts: one at least; of the same depth, and with something to be ignored in all or none.
    """
    ignored = [part.ignored for part in parts if part.ignored is not None]
    return QueryResults(
        labels=np.concatenate([part.labels for part in parts]),
        positives=np.concatenate([part.positives for part in parts]),
        rank=np.concatenate([part.rank for part in parts]),
        r_precision=np.concatenate([part.r_precision for part in parts]),
        average_precision=np.concatenate([part.average_precision for part in parts]),
        depth=parts[0].depth,
        ignored=np.concatenate(ignored) if len(ignored) == len(parts) else None,
    )


def means(results: QueryResults, ks: Sequence[int]) -> dict[str, float]:
    """Means of `query_results`, named as in `retrieval_metrics`.

    Raises:
        ValueError: No query has positives, or a K beyond `results.depth`.
    """
    if not results.positives.any():
        raise ValueError(
            "no query has another gallery item of its class, so nothing can be retrieved: check labels and masks"
        )
    metrics = {f"recall@{k}": float(results.correct_at(k).mean()) for k in ks}
    metrics["r_precision"] = float(np.nanmean(results.r_precision))
    metrics["map@r"] = float(np.nanmean(results.average_precision))
    return metrics


def recall_by_class(results: QueryResults, k: int = 1) -> Counts:
    """Queries, and correct queries at K, of each class, in ascending order of the labels.

    Raises:
        ValueError: k outside 1..results.depth, or not a whole number.
    """
    return Counts.of(results.labels, results.correct_at(k))


def query_results(  # noqa: PLR0913 - keywords, each with its usual value
    embeddings: Embeddings,
    labels: ArrayLike,
    ks: Sequence[int] = (1, 2, 4, 8),
    *,
    query: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
    backend: Backend = "auto",
    progress: QueriesDone | None = None,
) -> QueryResults:
    """Rank of the first correct neighbour, R-precision and average precision of each query.

    Arguments and errors as in `retrieval_metrics`, which averages these results, except that no query needs to have
    positives. `gallery.sharded.sharded_query_results` returns the same for a gallery that does not fit into memory.
    """
    classes = check_classes(check_points(embeddings, query, gallery), labels, ignore)
    points, depth = classes.points, check_ks(classes.points, ks)
    rank, shares = np.zeros(len(points.query), np.int64), np.zeros((2, len(points.query)))
    chosen = choose_backend(backend, embeddings)
    for queries, rows in apart(points, np.maximum(depth, classes.positives)):
        search = Search(among(points, queries, rows), chosen)
        wanted = Classes(search.points, classes.labels[rows])
        found = Evaluation(search, wanted, depth, classes.positives[queries]).run(progress)
        rank[queries], shares[:, queries] = found.rank, found.shares
    return QueryResults(
        classes.labels[points.query], classes.positives, rank, shares[0], shares[1], depth, points.ignored
    )


def check_classes(points: Points, labels: ArrayLike, ignore: ArrayLike | None) -> Classes:
    """The classes of all rows, and what queries pass over; ValueError if labels or `ignore` can't be used."""
    checked = check_labels(labels, len(points.rows))
    if ignore is None:
        return Classes(points, checked)
    pairs = (
        Classes(points, values).code for values in (checked, check_labels(ignore, len(points.rows), "values to ignore"))
    )
    group = np.unique(np.stack(list(pairs)), axis=1, return_inverse=True)[1].reshape(-1)
    return Classes(replace(points, group=group), checked)


def check_ks(points: Points, ks: Sequence[int]) -> int:
    """The largest K; ValueError if one is out of range, no whole number or repeated, or there is none."""
    check_list(ks)
    for k in ks:
        check_depth(points, k, "K")
    return int(max(ks))


def check_list(ks: Sequence[int]) -> None:
    """Refuse what is no list of Ks whatever the gallery: ValueError if one is no whole number or repeated, or none."""
    if not np.iterable(ks) or not len(ks):
        raise ValueError(f"ks = {ks} must be a list of at least one K: correct it")
    for k in ks:
        check_whole(k, "K")
    if len(set(ks)) != len(ks):
        raise ValueError(f"ks = {tuple(ks)} must name each K once: correct the list")


def check_labels(labels: ArrayLike, rows: int, name: str = "labels") -> NDArray[Any]:
    """Labels as an array; refuses another length or kind, and missing labels.

    Args:
        labels: what was passed.
        rows: how many there must be.
        name: what messages call them.

    Raises:
        ValueError: the labels can't be used; one line that says what to do.
    """
    array = as_array(labels)
    if array.shape != (rows,):
        raise ValueError(
            f"{name} have the shape {array.shape}, but there are {rows} embeddings: pass one per embedding"
        )
    if array.dtype.kind in "OU":
        # from the original: numpy turns a NaN among strings into the string "nan"
        return _only_texts(np.asarray(labels, dtype=object), name)
    if array.dtype.kind == "f":
        return _only_whole(array, name)
    if array.dtype.kind not in "iuSb":
        raise ValueError(f"{name} must be integers or strings, not {array.dtype}: convert them")
    return array


def _only_whole(labels: NDArray[np.floating[Any]], name: str) -> NDArray[np.int64]:
    strange = ~(np.isfinite(labels) & (labels == np.rint(labels)) & (np.abs(labels) <= _LARGEST_LABEL))
    if strange.any():
        row = int(strange.argmax())
        raise ValueError(
            f"{name} must be whole numbers, but row {row} holds {labels[row]}: convert them to integers or strings, or "
            "leave out rows without one"
        )
    return labels.astype(np.int64)


def _only_texts(labels: NDArray[np.object_], name: str) -> NDArray[np.str_]:
    strange = [row for row, label in enumerate(labels) if not isinstance(label, str)]
    if strange:
        # a missing label says more than an integer among strings
        row = next((row for row in strange if not isinstance(labels[row], int)), strange[0])
        raise ValueError(
            f"{name} are neither an array of integers nor all strings: row {row} holds {labels[row]!r} "
            f"({type(labels[row]).__name__}); convert them, or leave out rows without one"
        )
    return labels.astype(str)
