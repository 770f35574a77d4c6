"""What a shard is asked and what it answers: plain data, which other processes and nodes receive and send."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from relbench.evaluation.gallery.sources import Rows, Source
from relbench.evaluation.knn.approximate import Backend, choose_backend
from relbench.evaluation.knn.points import Booleans, Floats, Integers, Points, place_among, squared_distances
from relbench.evaluation.knn.ranking import Classes

_PAIRS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Images:
    """Some of the rows, as items of a shard or as queries.

    Attributes:
        rows: their embeddings.
        numbers: ``(n,)`` ascending numbers of the rows among all.
        code: ``(n,)`` their classes as whole numbers.
        group: ``(n,)`` numbers of `knn.points.Points`, which say what queries pass over; None: themselves alone.
    """

    rows: Source
    numbers: Integers
    code: Integers
    group: Integers | None = None


@dataclass(frozen=True)
class Items:
    """An item for each query, or none.

    Attributes:
        distances: ``(queries,)`` canonical squared distances; infinite where there is none.
        numbers: ``(queries,)`` numbers of the rows among all.
    """

    distances: Floats
    numbers: Integers

    def are_before(self, distances: Floats, numbers: Integers) -> Booleans:
        """Whether they come before others of the same shape: they are nearer, or as near and have a smaller number."""
        as_near = (self.distances == distances) & (self.numbers < numbers)
        return np.asarray((self.distances < distances) | as_near)


@dataclass(frozen=True)
class Question:
    """What a shard is asked.

    Attributes:
        shard: the items.
        queries: in ascending order of their numbers.
        wanted: ``(queries,)`` R, 1 or more.
        first: the nearest item of the class over all shards; none where nothing is to be counted.
        bound: ``(queries,)`` distance of the R-th nearest of the shards before; infinite where there are fewer.
        depth: the largest K.
        dtype: type of floats of all rows.
        backend: as in `retrieval.query_results`.
    """

    shard: Images
    queries: Images
    wanted: Integers
    first: Items
    bound: Floats
    depth: int
    dtype: np.dtype[Any]
    backend: Backend = "auto"

    def points(self) -> Points:
        """The shard's rows, followed by those of the queries, read now."""
        items, queries = len(self.shard.numbers), len(self.queries.numbers)
        own = place_among(self.queries.numbers, self.shard.numbers)
        rows = load((self.shard.rows, self.queries.rows), self.dtype)
        return Points(rows, items + np.arange(queries), np.arange(items), own, self._group())

    def _group(self) -> Integers | None:
        """Of the shard's rows, and those of the queries."""
        if self.shard.group is None or self.queries.group is None:
            return None
        return np.concatenate([self.shard.group, self.queries.group])

    def multiplied_by(self, device: str | None) -> tuple[str, torch.device]:
        """The backend, and its device; None: a GPU if there is any."""
        return choose_backend(self.backend, np.empty(0) if device is None else torch.empty(0, device=device))


@dataclass(frozen=True)
class Answer:
    """What a shard answers.

    Attributes:
        count: ``(queries,)`` how many items follow of each query: the R nearest of the shard, as far as they are nearer
            than the bound.
        items: of the first query, then of the second, and so on; each the nearest first.
        nearer: ``(queries,)`` how many items of the shard come before the first of the class; from the depth on, the
            depth or more.
    """

    count: Integers
    items: Items
    nearer: Integers


def load(sources: Sequence[Source], dtype: np.dtype[Any]) -> Rows:
    """Rows of several sources, one after another, in memory."""
    rows = np.empty((sum(source.shape[0] for source in sources), sources[0].shape[1]), dtype)
    start = 0
    for source in sources:
        for piece in source.pieces():
            rows[start : start + len(piece)] = piece
            start += len(piece)
    return rows


def nearest_of_class(question: Question, _device: str | None) -> Items:
    """The nearest item of each query's class in a shard, but for those that the query passes over."""
    points = question.points()
    classes = Classes(points, np.concatenate([question.shard.code, question.queries.code]))
    step = max(1, _PAIRS_AT_ONCE // (classes.most + 1))
    found = [
        _nearest_member(classes, np.arange(start, min(start + step, len(question.wanted))))
        for start in range(0, len(question.wanted), step)
    ]
    columns = np.concatenate([each.numbers for each in found])
    return Items(np.concatenate([each.distances for each in found]), question.shard.numbers[columns])


def _nearest_member(classes: Classes, queries: Integers) -> Items:
    """The nearest column of the class."""
    points = classes.points
    row, column = classes.members(queries)
    other = ~points.is_masked(queries[row], column)
    row, column = row[other], column[other]
    distances = squared_distances(points, queries[row], column)
    order = np.lexsort((column, distances, row))
    nearest, places = np.unique(row, return_index=True)
    found = Items(np.full(len(queries), np.inf), np.zeros(len(queries), np.int64))
    found.distances[nearest], found.numbers[nearest] = distances[order[places]], column[order[places]]
    return found


def earlier(left: Items, right: Items) -> Items:
    """For each query the item that comes before the other."""
    before = left.are_before(right.distances, right.numbers)
    return Items(np.where(before, left.distances, right.distances), np.where(before, left.numbers, right.numbers))


def none_yet(queries: int) -> Items:
    """No item for any query."""
    return Items(np.full(queries, np.inf), np.full(queries, np.iinfo(np.int64).max))


def flattened(count: Integers, distances: NDArray[np.float64], numbers: Integers, nearer: Integers) -> Answer:
    """An answer from padded ``(queries, width)`` arrays."""
    filled = np.arange(distances.shape[1]) < count[:, None]
    return Answer(count, Items(distances[filled], numbers[filled]), nearer)
