"""Recall@K, R-precision and MAP@R, exact and without ever storing the neighbours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from relbench.evaluation.approximate import Backend, Keys, choose_backend
from relbench.evaluation.neighbours import Search, check_depth
from relbench.evaluation.order import Candidates, count_per_row, exact_columns, key_limit, select
from relbench.evaluation.points import (
    Booleans,
    Embeddings,
    Floats,
    Integers,
    Points,
    check_points,
    squared_distances,
)

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Answers:
    """What retrieval gave for each query, in the order of the queries' rows.

    Attributes:
        labels: (queries,) class of each query.
        partners: (queries,) R: how many other gallery items are of its class.
        rank: (queries,) place of the nearest item of its class, from 1; 0 if it is beyond `depth`
            or there is none.
        r_precision: (queries,) share of its class among its R nearest; NaN without a partner.
        average_precision: (queries,) mean over the places 1..R of the precision up to a place
            where that place holds its class (else 0); NaN without a partner.
        depth: The largest K that `rank` can answer for.
    """

    labels: NDArray[Any]
    partners: Integers
    rank: Integers
    r_precision: Floats
    average_precision: Floats
    depth: int

    def correct_at(self, k: int) -> Booleans:
        """(queries,) whether one of the k nearest is of the query's class.

        Raises:
            ValueError: k outside 1..depth.
        """
        if not 1 <= k <= self.depth:
            raise ValueError(f"k = {k} is outside 1..{self.depth}: evaluate again with a larger K")
        return (self.rank > 0) & (self.rank <= k)


@dataclass(frozen=True)
class ClassCounts:
    """Recall@K by class, whole counts: what a paired test of two models needs.

    Attributes:
        labels: (classes,) ascending labels of the queries.
        queries: (classes,) number of queries.
        correct: (classes,) how many of them had their class among the K nearest.
    """

    labels: NDArray[Any]
    queries: Integers
    correct: Integers


def retrieval_metrics(
    embeddings: Embeddings,
    labels: ArrayLike,
    ks: Sequence[int] = (1, 2, 4, 8),
    *,
    query: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
    backend: Backend = "auto",
    progress: Progress | None = None,
) -> dict[str, float]:
    """Recall@K, R-precision and MAP@R of image retrieval by Euclidean distance.

    Recall@K is the share of queries with at least one of the K nearest other items in their class
    (a hit rate, not the share of the class that is found). A query whose class has no other
    item in the gallery counts as a miss. R-precision and MAP@R leave such queries out. Neighbours
    are exact, ties go by row index, a query is left out of its own neighbours by index; see
    `neighbours.nearest`.

    Args:
        embeddings: (n, dim) float16, float32 or float64 array or tensor; no gradient flows.
        labels: (n,) integers or strings.
        ks: The K of Recall@K, without repetition.
        query: (n,) boolean mask of the rows that ask; None: all.
        gallery: (n,) boolean mask of the rows that may be found; None: all. A row may be in both.
        backend: "faiss", "torch", or "auto": torch where a GPU is at hand, else faiss, else torch.
            The answer is the same.
        progress: Called with the number of queries done since the last call.

    Returns:
        `recall@K` for each K in the order given, `r_precision`, `map@r`; shares in [0, 1].

    Raises:
        ValueError: Input that `points.check_points` refuses, labels of another length or kind, a K
            out of range or repeated, a missing backend, or no query with a partner.
        TypeError: Embeddings that are not floating-point.

    Source:
        Recall@K as in metric/utils.py of lenscloth/RKD and HitRate of torchmetrics; R-precision and
        MAP@R as in Musgrave et al., A Metric Learning Reality Check, ECCV 2020 (arXiv:2003.08505),
        section 3.2, and AccuracyCalculator of pytorch-metric-learning 2.9.

    Example:
        >>> retrieval_metrics(np.array([[0.0], [1.0], [3.0], [3.5]]), ["a", "a", "b", "b"], ks=(1,))
        {'recall@1': 1.0, 'r_precision': 1.0, 'map@r': 1.0}
    """
    answers = per_query(embeddings, labels, ks, query=query, gallery=gallery, backend=backend, progress=progress)
    return summarise(answers, ks)


def summarise(answers: Answers, ks: Sequence[int]) -> dict[str, float]:
    """Means of `per_query`, under the names that `retrieval_metrics` gives them.

    Raises:
        ValueError: No query has a partner, or a K beyond `answers.depth`.
    """
    if not answers.partners.any():
        raise ValueError(
            "no query has another gallery item of its class, so nothing can be retrieved: check labels and masks"
        )
    metrics = {f"recall@{k}": float(answers.correct_at(k).mean()) for k in ks}
    metrics["r_precision"] = float(np.nanmean(answers.r_precision))
    metrics["map@r"] = float(np.nanmean(answers.average_precision))
    return metrics


def recall_by_class(answers: Answers, k: int = 1) -> ClassCounts:
    """Count queries and correct ones at K for each class.

    Raises:
        ValueError: k outside 1..answers.depth.
    """
    labels, code, queries = np.unique(answers.labels, return_inverse=True, return_counts=True)
    correct = np.bincount(code.reshape(-1)[answers.correct_at(k)], minlength=len(labels))
    return ClassCounts(labels, queries, correct)


def per_query(
    embeddings: Embeddings,
    labels: ArrayLike,
    ks: Sequence[int] = (1, 2, 4, 8),
    *,
    query: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
    backend: Backend = "auto",
    progress: Progress | None = None,
) -> Answers:
    """Rank of the first correct neighbour, R-precision and average precision of each query.

    Arguments and errors as in `retrieval_metrics` (which is the mean of this), except that
    queries without any partner are allowed.
    """
    points = check_points(embeddings, query, gallery)
    depth = _check_ks(points, ks)
    classes = Classes(points, _check_labels(labels, len(points.rows)))
    search = Search(points, choose_backend(backend, embeddings))
    return Evaluation(search, classes, depth).run(progress)


def _check_ks(points: Points, ks: Sequence[int]) -> int:
    if not ks or len(set(ks)) != len(ks):
        raise ValueError(f"ks = {tuple(ks)} must name at least one K, each once: correct the list")
    for k in ks:
        check_depth(points, k, "K")
    return max(ks)


def _check_labels(labels: ArrayLike, rows: int) -> NDArray[Any]:
    if isinstance(labels, torch.Tensor):
        labels = labels.detach().cpu().numpy()
    array = np.asarray(labels)
    if array.dtype.kind not in "iuUSb":
        raise ValueError(f"labels must be integers or strings, not {array.dtype}: convert them")
    if array.shape != (rows,):
        raise ValueError(
            f"labels have the shape {array.shape}, but there are {rows} embeddings: pass one label per embedding"
        )
    return array


@dataclass(frozen=True)
class Classes:
    """Which gallery items are of each query's class.

    Attributes:
        points: The rows.
        labels: (n,) label of each row.
    """

    points: Points
    labels: NDArray[Any]

    @cached_property
    def code(self) -> Integers:
        """(n,) the labels as 0, 1, ..."""
        return np.unique(self.labels, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @cached_property
    def of_column(self) -> Integers:
        """(columns,) class of each gallery item."""
        return self.code[self.points.gallery]

    @cached_property
    def of_query(self) -> Integers:
        """(queries,) class of each query."""
        return self.code[self.points.query]

    @cached_property
    def partners(self) -> Integers:
        """(queries,) how many other gallery items are of the query's class."""
        own = (self.points.own_column >= 0).astype(np.int64)
        return np.asarray(self._count[self.of_query] - own)

    def members(self, queries: Integers) -> tuple[Integers, Integers]:
        """Pairs of a place in `queries` and a column of its class (its own column included)."""
        count = self._count[self.of_query[queries]]
        start = (np.cumsum(self._count) - self._count)[self.of_query[queries]]
        row = np.repeat(np.arange(len(queries)), count)
        offset = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        return row, self._columns[start[row] + offset]

    def hits(self, queries: Integers, columns: Integers) -> Booleans:
        """(rows, width) whether a column is of the query's class; padding (-1) is not."""
        hits: Booleans = self.of_column[columns] == self.of_query[queries][:, None]
        return hits & (columns >= 0)

    @cached_property
    def _count(self) -> Integers:
        return np.bincount(self.of_column, minlength=int(self.code.max()) + 1)

    @cached_property
    def _columns(self) -> Integers:
        return np.argsort(self.of_column, kind="stable")


@dataclass(frozen=True)
class Outcome:
    """Part of `Answers`, for the queries of one block.

    Attributes:
        queries: (rows,) positions in `points.query`.
        rank: (rows,) as in `Answers`, not yet cut at the depth.
        shares: (2, rows) R-precision and average precision.
    """

    queries: Integers
    rank: Integers
    shares: Floats


@dataclass(frozen=True)
class Evaluation:
    """One pass over the blocks of keys.

    Only the R nearest are put in order, R being the size of the query's class: few. Further out a
    rank needs no order, it is one more than the number of nearer items, and that is counted.

    Attributes:
        search: Where keys come from.
        classes: What is correct.
        depth: The largest K.
    """

    search: Search
    classes: Classes
    depth: int

    def run(self, progress: Progress | None) -> Answers:
        """Evaluate all queries."""
        partners = self.classes.partners
        rank, shares = np.zeros(len(partners), np.int64), np.zeros((2, len(partners)))
        for outcome in self.search.map_blocks(self._block):
            rank[outcome.queries] = outcome.rank
            shares[:, outcome.queries] = outcome.shares
            if progress is not None:
                progress(len(outcome.queries))
        rank[rank > self.depth] = 0
        shares[:, partners == 0] = np.nan
        labels = self.classes.labels[self.search.points.query]
        return Answers(labels, partners, rank, shares[0], shares[1], self.depth)

    def _block(self, queries: Integers, keys: Keys) -> Outcome:
        out = Outcome(queries, np.zeros(len(queries), np.int64), np.zeros((2, len(queries))))
        first = self._first_key(queries, keys)
        slack = self.search.slack[queries]
        most = max(int(self.classes.partners[queries].max()), 1)
        limit = key_limit(keys, slack, most)
        shallow = np.flatnonzero(first <= limit)
        crowded = self._order_nearest(out, shallow, _rows(keys, shallow), limit[shallow])
        deep = np.setdiff1d(np.flatnonzero((out.rank == 0) & (first < np.inf)), crowded)
        uncounted = self._count_nearer(out, deep, _rows(keys, deep), first[deep])
        self._order_all(out, np.concatenate([crowded, uncounted]))
        return out

    def _first_key(self, queries: Integers, keys: Keys) -> Floats:
        """(rows,) the smallest key of the class; infinite without a partner."""
        row, column = self.classes.members(queries)
        first = np.full(len(queries), np.inf)
        np.minimum.at(first, row, keys[row, column])
        return first

    def _order_nearest(self, out: Outcome, rows: Integers, keys: Keys, limit: Keys) -> Integers:
        """Fill in rows with a hit among the R nearest; returns the rows too crowded for that."""
        queries = out.queries[rows]
        most = self.search.most(int(self.classes.partners[out.queries].max()))
        found, crowded = select(queries, keys, self.search.slack[queries], limit, most)
        self._fill(out, found.queries, exact_columns(self.search.points, found, self._matters(found)))
        places: Integers = crowded - out.queries[0]
        return places

    def _matters(self, found: Candidates) -> Booleans:
        """Items whose order can change which of the places up to R are hits."""
        slack = found.slack[:, None]
        last = np.minimum(self.classes.partners[found.queries], found.keys.shape[1]) - 1
        limit = np.take_along_axis(found.keys, last[:, None], axis=1) + slack
        asked = self.classes.hits(found.queries, found.columns) & (found.keys <= limit)
        before = np.maximum.accumulate(np.where(asked, found.keys, -np.inf), axis=1)
        after = np.minimum.accumulate(np.where(asked, found.keys, np.inf)[:, ::-1], axis=1)
        return (found.keys <= before + slack) | (found.keys >= after[:, ::-1] - slack)

    def _fill(self, out: Outcome, queries: Integers, columns: Integers) -> None:
        """Rank and shares from the R nearest, in exact order; the rank stays 0 without a hit."""
        wanted = self.classes.partners[queries]
        place = np.arange(columns.shape[1])
        hits = self.classes.hits(queries, columns) & (place < wanted[:, None])
        precision = np.cumsum(hits, axis=1) / (place + 1)
        rows = queries - out.queries[0]
        out.rank[rows] = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)
        # one after another, so that the width of the padding can't change a rounding
        summed = np.cumsum(hits * precision, axis=1)[:, -1]
        out.shares[:, rows] = np.stack([hits.sum(axis=1), summed]) / wanted

    def _count_nearer(self, out: Outcome, rows: Integers, keys: Keys, first: Floats) -> Integers:
        """Fill in ranks up to the depth by counting; returns the rows too crowded for that."""
        queries = out.queries[rows]
        slack = self.search.slack[queries]
        low, high = ((first + shift).astype(np.float32) for shift in (-slack, slack))
        nearer = count_per_row(keys < low[:, None])
        within = np.flatnonzero(nearer < self.depth)
        near = _rows(keys, within) <= high[within, None]
        unsure = count_per_row(near) - nearer[within]
        out.rank[rows[within]] = nearer[within] + 1
        several = (unsure > 1) & (unsure <= self.search.most(0))
        chosen = within[several]
        near = near[several] & (keys[chosen] >= low[chosen, None])
        out.rank[rows[chosen]] += self._places(queries[chosen], near)
        return rows[within[unsure > self.search.most(0)]]

    def _places(self, queries: Integers, near: Booleans) -> Integers:
        """Place, from 0, of the first hit among items that keys can't tell apart."""
        row, column = np.divmod(np.flatnonzero(near), near.shape[1])
        distances = squared_distances(self.search.points, queries[row], column)
        order = np.lexsort((column, distances, row))
        hit = self.classes.of_column[column[order]] == self.classes.of_query[queries[row]]
        firsts, places = np.flatnonzero(hit), np.arange(len(queries))
        return firsts[np.searchsorted(row[firsts], places)] - np.searchsorted(row, places)

    def _order_all(self, out: Outcome, rows: Integers) -> None:
        """Fill in rows whose neighbours are (nearly) equal in masses."""
        if not len(rows):
            return
        queries = out.queries[rows]
        most = int(self.classes.partners[queries].max())
        columns = self.search.distinct.nearest_columns(queries, max(self.depth, most))
        self._fill(out, queries, columns)
        hits = self.classes.hits(queries, columns)
        out.rank[rows] = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)


def _rows(keys: Keys, rows: Integers) -> Keys:
    """Some rows, without a copy where it is all of them."""
    return keys if len(rows) == len(keys) else keys[rows]
