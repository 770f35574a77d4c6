"""The search of a shard: the R nearest items, and how many come before the nearest of the class."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from relbench.evaluation.gallery.shard import Answer, Items, Question, flattened
from relbench.evaluation.knn.approximate import Block, Keys, Working, lacking
from relbench.evaluation.knn.neighbours import Search, mapped
from relbench.evaluation.knn.order import Candidates, Folded, fold, select
from relbench.evaluation.knn.outliers import among, apart
from relbench.evaluation.knn.points import Booleans, Floats, Integers, squared_distances
from relbench.evaluation.knn.ranking import (
    FEWEST_REPEATS,
    FEWEST_TO_SAMPLE,
    SAMPLE,
    SHARE_UNSURE,
    WHOLE_GALLERY,
    count_below,
    reach,
)


@dataclass(frozen=True)
class Found:
    """Items of some queries.

    Attributes:
        queries: ``(rows,)`` positions in `points.query`.
        distances: ``(rows, k)`` of the nearest items, in exact order; infinite as padding.
        numbers: ``(rows, k)`` their numbers among all rows.
        nearer: ``(rows,)`` number of items before the nearest of the class, up to the depth.
    """

    queries: Integers
    distances: Floats
    numbers: Integers
    nearer: Integers


def search_shard(question: Question, device: str | None) -> Answer:
    """Answer a question, on a device; None: a GPU if there is any, else the processor."""
    points, chosen = question.points(), question.multiplied_by(device)
    k = min(int(question.wanted.max()), len(points.gallery))
    distances, numbers = np.empty((len(points.query), k)), np.empty((len(points.query), k), np.int64)
    nearer = np.empty(len(points.query), np.int64)
    needed = np.minimum(np.maximum(question.wanted, question.depth), points.others)
    for queries, rows in apart(points, needed):
        few = Few(
            search=Search(among(points, queries, rows), chosen),
            numbers=question.shard.numbers[rows[: len(points.gallery)]],
            k=k,
            depth=question.depth,
            first=Items(question.first.distances[queries], question.first.numbers[queries]),
            bound=question.bound[queries],
        )
        for found in few.found():
            here = queries[found.queries]
            distances[here], numbers[here], nearer[here] = found.distances, found.numbers, found.nearer
    # an item as far as the R-th of the shards before comes after it, as its number is larger
    sent = (distances < question.bound[:, None]) & (np.arange(k) < question.wanted[:, None])
    return flattened(sent.sum(axis=1), distances, numbers, nearer)


@dataclass(frozen=True)
class Few:
    """The k nearest of queries that are compared with the same rows, and what comes before the nearest of their class.

    Attributes:
        search: source of the keys.
        numbers: ``(columns,)`` numbers of the gallery's rows among all.
        k: how many are wanted.
        depth: the largest K.
        first: ``(queries,)`` the nearest of the class over all shards; none where nothing is to be counted.
        bound: ``(queries,)`` distance beyond which no item is wanted.
    """

    search: Search
    numbers: Integers
    k: int
    depth: int
    first: Items
    bound: Floats

    def found(self) -> Iterator[Found]:
        """The items of all queries, in the way that a sample of them shows to be cheapest."""
        queries = np.arange(len(self.search.points.query))
        if self.k * WHOLE_GALLERY > len(self.numbers):
            return self._all_in_order(queries)
        *cheaper, widest = self.search.types
        for working in cheaper:
            if not self._many_unsure(queries, working):
                return self.search.map_blocks(partial(self._block, working=working), queries, working)
        if self.search.distinct.repeats > FEWEST_REPEATS or self.search.distinct.whole:
            return self._all_in_order(queries)
        return self.search.map_blocks(partial(self._block, working=widest), queries, widest)

    def _many_unsure(self, queries: Integers, working: Working) -> bool:
        """Whether keys leave so many items undecided that more precise keys or distinct rows are cheaper."""
        if len(queries) < FEWEST_TO_SAMPLE:
            return False
        sample = queries[:: len(queries) // SAMPLE]
        unsure = sum(self.search.map_blocks(partial(self._unsure, working=working), sample, working))
        return unsure * SHARE_UNSURE > len(sample) * len(self.numbers)

    def _unsure(self, block: Block, working: Working) -> int:
        """Number of items that are compared one by one, beside those that are wanted."""
        folded, found, crowded = self._candidates(block, working)
        asked = np.flatnonzero(self.first.distances[block.queries] < np.inf)
        _, _, near = count_below(block, folded, asked, self._keys(block, self.first.distances, working), self.depth)
        beyond = int(np.count_nonzero(found.columns[:, self.k :] >= 0))
        return beyond + len(crowded) * int(block.keys.shape[1]) + int(near[near > 1].sum())

    def _all_in_order(self, queries: Integers) -> Iterator[Found]:
        step = self.search.distinct.step(max(self.k, self.depth))
        return mapped(self._ordered, np.split(queries, np.arange(step, len(queries), step)))

    def _block(self, block: Block, working: Working) -> Found:
        """The items of a block's queries."""
        folded, candidates, crowded = self._candidates(block, working)
        out = self._nothing(block.queries)
        self._fill(out, candidates.places, _ascending(candidates.columns))
        rows = candidates.places
        first, bound = (values[block.queries[rows]] for values in (self.first.distances, self.bound))
        # else all items before the first of the class are in the list
        deep = rows[(first < np.inf) & ((out.nearer[rows] >= self.k) | (first > bound))]
        uncounted = self._count(out, block, folded, deep, self._keys(block, self.first.distances, working))
        for rows in (crowded, uncounted):
            if len(rows):
                self._put(out, rows, self._ordered(block.queries[rows]))
        return out

    def _candidates(self, block: Block, working: Working) -> tuple[Folded, Candidates, Integers]:
        """Folded keys, items that can be among the k nearest and within the bound, and rows with too many."""
        folded = fold(block.keys, self.k)
        _, bound = reach(block, self._keys(block, self.bound, working))
        limit = np.minimum(folded.limit(block.slack, self.k), bound)
        return folded, *select(block, folded, limit, most=self.search.most(self.k))

    def _keys(self, block: Block, distances: Floats, working: Working) -> Keys:
        """(rows,) keys of items at given distances of all queries: within half the slack of those of a product.

        The bound of `approximate` covers the canonical distance, and the three roundings here: of the query's squared
        length, of the difference, and to the type of keys.
        """
        centred, largest = self.search.centred, float(np.finfo(block.keys.dtype).max) / 2
        with np.errstate(over="ignore"):  # beyond all items: the largest key says that, too
            scaled = np.ldexp(distances[block.queries], -2 * self.search.points.exponent)
        keys = scaled - lacking(centred, self.search.backend, block.queries, working)
        return np.clip(keys, -largest, largest).astype(block.keys.dtype)

    def _nothing(self, queries: Integers) -> Found:
        """Empty results, to be filled in."""
        shape = (len(queries), self.k)
        return Found(queries, np.full(shape, np.inf), np.full(shape, -1), np.zeros(len(queries), np.int64))

    def _fill(self, out: Found, rows: Integers, columns: Integers) -> None:
        """Fill in rows from columns, -1 as padding, and count those before the first of the class.

        Columns are in any order, but for those that are equally far: they ascend.
        """
        if not columns.size:
            return
        distances, numbers = self._measured(out.queries[rows], columns)
        order = np.argsort(distances, axis=1, kind="stable")[:, : self.k]
        width = slice(order.shape[1])
        out.distances[rows, width] = np.take_along_axis(distances, order, axis=1)
        out.numbers[rows, width] = np.take_along_axis(numbers, order, axis=1)
        out.nearer[rows] = self._before(out.queries[rows], distances, numbers).sum(axis=1)

    def _measured(self, queries: Integers, columns: Integers) -> tuple[Floats, Integers]:
        """Canonical distances and numbers of columns, (rows, width); infinite as padding."""
        row, place = np.nonzero(columns >= 0)
        distances, numbers = np.full(columns.shape, np.inf), np.where(columns >= 0, self.numbers[columns], -1)
        distances[row, place] = squared_distances(self.search.points, queries[row], columns[row, place])
        return distances, numbers

    def _before(self, queries: Integers, distances: Floats, numbers: Integers) -> Booleans:
        """(rows, width) which items come before the first of the class."""
        first = Items(self.first.distances[queries][:, None], self.first.numbers[queries][:, None])
        return Items(distances, numbers).are_before(first.distances, first.numbers) & (first.distances < np.inf)

    def _count(self, out: Found, block: Block, folded: Folded, rows: Integers, first: Keys) -> Integers:
        """Count items before the first of the class by their keys; returns the rows with too many near it."""
        out.nearer[rows] = self.depth
        rows, nearer, near = count_below(block, folded, rows, first, self.depth)
        out.nearer[rows] = nearer
        several = rows[(near > 0) & (near <= self.search.most(0))]
        if len(several):
            out.nearer[several] += self._before_among(block, several, first)
        return rows[near > self.search.most(0)]

    def _before_among(self, block: Block, rows: Integers, first: Keys) -> Integers:
        """(rows,) how many of the items that keys can't tell from the first of the class come before it."""
        (low, high), keys, queries = reach(block, first), block.keys[rows], block.queries[rows]
        row, column = np.nonzero((keys >= low[rows, None]) & (keys <= high[rows, None]))
        distances = squared_distances(self.search.points, queries[row], column)
        before = self._before(queries[row], distances[:, None], self.numbers[column][:, None])[:, 0]
        return np.bincount(row[before], minlength=len(rows))

    def _ordered(self, queries: Integers) -> Found:
        """The items of queries with many (nearly) equal neighbours, or that need a large part of the shard."""
        most = min(max(self.k, self.depth), len(self.numbers))
        columns = self.search.distinct.nearest_columns(queries, most)
        columns = np.where(self.search.points.is_masked(queries[:, None], columns), -1, columns)
        out = self._nothing(queries)
        self._fill(out, np.arange(len(queries)), columns)
        return out

    @staticmethod
    def _put(out: Found, rows: Integers, found: Found) -> None:
        out.distances[rows], out.numbers[rows], out.nearer[rows] = found.distances, found.numbers, found.nearer


def _ascending(columns: Integers) -> Integers:
    """Each row's columns in ascending order, with the padding, -1, in front."""
    return np.sort(columns, axis=1)
