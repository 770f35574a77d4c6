"""Answers of all shards, merged: by distance, and by row number where distances are equal."""

import numpy as np

from relbench.evaluation.gallery.shard import Answer, Items
from relbench.evaluation.knn.points import Floats, Integers
from relbench.evaluation.knn.ranking import rank_and_shares

_NUMBERS_AT_ONCE = 1 << 20


class Merged:
    """The R nearest items of some queries so far, and how many come before the nearest of their class.

    Args:
        wanted: ``(queries,)`` R, 1 or more.
    """

    def __init__(self, wanted: Integers) -> None:
        shape = (len(wanted), int(wanted.max()))
        self._wanted = wanted
        self._distances, self._numbers = np.full(shape, np.inf), np.full(shape, -1)
        self._nearer = np.zeros(len(wanted), np.int64)

    @property
    def bound(self) -> Floats:
        """``(queries,)`` distance of the R-th nearest so far; infinite while there are fewer."""
        return self._distances[np.arange(len(self._wanted)), self._wanted - 1]

    def add(self, answer: Answer) -> None:
        """Take in what the next shard has found, all of whose items have larger numbers than those before."""
        self._nearer += answer.nearer
        start = np.cumsum(answer.count) - answer.count
        rows = np.flatnonzero(answer.count)
        step = max(1, _NUMBERS_AT_ONCE // (2 * self._distances.shape[1]))
        for part in np.split(rows, np.arange(step, len(rows), step)):
            if len(part):
                self._add(part, *_padded(answer.items, start[part], answer.count[part]))

    def _add(self, rows: Integers, distances: Floats, numbers: Integers) -> None:
        distances = np.hstack([self._distances[rows], distances])
        numbers = np.hstack([self._numbers[rows], numbers])
        # two sorted lists one after the other, which a stable sort merges, with equal distances in the order of numbers
        order = np.argsort(distances, axis=1, kind="stable")[:, : self._distances.shape[1]]
        self._distances[rows] = np.take_along_axis(distances, order, axis=1)
        self._numbers[rows] = np.take_along_axis(numbers, order, axis=1)

    def results(self, code: Integers, query_code: Integers, depth: int) -> tuple[Integers, Floats]:
        """Rank of the nearest of the class, 0 beyond the depth; R-precision and average precision.

        Args:
            code: ``(n,)`` class of each row.
            query_code: ``(queries,)`` class of each query.
            depth: the largest K.

        Returns:
            ``(queries,)`` and ``(2, queries)``.
        """
        rank, shares = np.zeros(len(self._wanted), np.int64), np.zeros((2, len(self._wanted)))
        step = max(1, _NUMBERS_AT_ONCE // self._distances.shape[1])
        for start in range(0, len(rank), step):
            part = slice(start, start + step)
            hits = (code[self._numbers[part]] == query_code[part, None]) & (self._numbers[part] >= 0)
            rank[part], shares[:, part] = rank_and_shares(hits, self._wanted[part])
        counted = self._wanted < depth
        rank[counted] = self._nearer[counted] + 1
        rank[rank > depth] = 0
        return rank, shares


def _padded(items: Items, start: Integers, count: Integers) -> tuple[Floats, Integers]:
    """``(rows, width)`` distances and numbers of lists of items; infinite and -1 as padding."""
    places = np.arange(int(count.max()))
    filled = places < count[:, None]
    spots = np.where(filled, start[:, None] + places, 0)
    return np.where(filled, items.distances[spots], np.inf), np.where(filled, items.numbers[spots], -1)
