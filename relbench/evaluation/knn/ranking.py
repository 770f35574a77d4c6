"""The pass over blocks of keys: places of each query's class among its neighbours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench.evaluation.knn.approximate import Block, Keys, Working
from relbench.evaluation.knn.neighbours import Search, mapped
from relbench.evaluation.knn.order import Candidates, Folded, count_per_row, exact_columns, fold, select
from relbench.evaluation.knn.points import Booleans, Floats, Integers, Members, Points, squared_distances

QueriesDone = Callable[[int], None]

WHOLE_GALLERY = 8  # where more than 1 item in 8 is of the class, the whole gallery is sorted
FEWEST_TO_SAMPLE = 256  # queries: fewer are not worth a sample
SAMPLE = 32
FEWEST_REPEATS = 2  # of each gallery row: with more, distinct rows are worth finding
SHARE_UNSURE = 128  # where more than 1 item in 128 is undecided, more precise keys are cheaper
FIRST_OCTAVE = 4  # up to 15 positives, finding the nearest costs the same


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
    def positives(self) -> Integers:
        """(queries,) number of other gallery items of the query's class, those that it passes over left out."""
        return np.asarray(self._columns.count[self.of_query] - self.points.passed_over)

    @property
    def most(self) -> int:
        """The largest number of columns of a query's class."""
        return int(self._columns.count[self.of_query].max(initial=0))

    def members(self, queries: Integers) -> tuple[Integers, Integers]:
        """Pairs of a place in `queries` and a column of its class, those that it passes over included."""
        return self._columns.of(self.of_query[queries])

    def hits(self, queries: Integers, columns: Integers) -> Booleans:
        """(rows, width) whether a column is of the query's class; padding (-1) is not."""
        hits: Booleans = self.of_column[columns] == self.of_query[queries][:, None]
        return hits & (columns >= 0)

    @cached_property
    def _columns(self) -> Members:
        return Members(self.of_column, int(self.code.max()) + 1)


@dataclass(frozen=True)
class Outcome:
    """Results of some queries.

    Attributes:
        queries: (rows,) positions in `points.query`.
        rank: (rows,) place of the nearest item of the query's class, from 1; 0 where there is none
            or it is beyond the depth.
        shares: (2, rows) R-precision and average precision; NaN without positives.
    """

    queries: Integers
    rank: Integers
    shares: Floats


@dataclass(frozen=True)
class Evaluation:
    """A pass over the blocks of keys.

    Only the R nearest are sorted, R being the number of positives, which is small. Further out a rank
    needs no order: it is one more than the number of nearer items, which are counted. Where R is no
    small part of the gallery, the whole gallery is sorted, by float64 keys.

    Attributes:
        search: Source of the keys.
        classes: Classes of queries and gallery.
        depth: The largest K.
        positives: (queries,) R.
    """

    search: Search
    classes: Classes
    depth: int
    positives: Integers

    def run(self, progress: QueriesDone | None) -> Outcome:
        """Evaluate all queries."""
        rank, shares = np.zeros(len(self.positives), np.int64), np.zeros((2, len(self.positives)))
        for outcome in self._outcomes():
            rank[outcome.queries] = outcome.rank
            shares[:, outcome.queries] = outcome.shares
            if progress is not None:
                progress(len(outcome.queries))
        rank[rank > self.depth] = 0
        shares[:, self.positives == 0] = np.nan
        return Outcome(np.arange(len(self.positives)), rank, shares)

    def _outcomes(self) -> Iterator[Outcome]:
        """Results by size of the class, so that queries of a block need similar numbers of neighbours."""
        large = self.positives * WHOLE_GALLERY > len(self.search.points.gallery)
        octaves = np.where(large, -1, np.maximum(np.frexp(self.positives)[1], FIRST_OCTAVE))
        for octave in np.unique(octaves):
            queries = np.flatnonzero(octaves == octave)
            if octave < 0:
                yield from self._all_in_order(queries)
            else:
                yield from self._nearest_in_order(queries)

    def _nearest_in_order(self, queries: Integers) -> Iterator[Outcome]:
        """Evaluate queries by sorting their R nearest, in the way that a sample of them shows to be cheapest."""
        *cheaper, widest = self.search.types
        for working in cheaper:
            if not self._many_unsure(queries, working):
                return self.search.map_blocks(self._block, queries, working)
        if self.search.distinct.repeats > FEWEST_REPEATS or self.search.distinct.whole:
            return self._all_in_order(queries)
        return self.search.map_blocks(self._block, queries, widest)

    def _many_unsure(self, queries: Integers, working: Working) -> bool:
        """Whether keys leave so many items undecided that more precise keys or distinct rows are cheaper."""
        if len(queries) < FEWEST_TO_SAMPLE:
            return False
        sample = queries[:: len(queries) // SAMPLE]
        unsure = sum(self.search.map_blocks(self._unsure, sample, working))
        return unsure * SHARE_UNSURE > len(sample) * len(self.search.points.gallery)

    def _unsure(self, block: Block) -> int:
        """Number of items that would have to be compared one by one."""
        folded, first, limit = self._folded(block)
        most = self.search.most(self._most(block.queries))
        found, crowded = select(block, folded, limit, np.flatnonzero(first <= limit), most)
        unsure = found.near_next & self._matters(found)[:, 1:]
        deep = np.flatnonzero((first > limit) & (first < np.inf))
        _, _, near = count_below(block, folded, deep, first, self.depth)
        return int(np.count_nonzero(unsure) + near[near > 1].sum() + len(crowded) * block.keys.shape[1])

    def _most(self, queries: Integers) -> int:
        return max(int(self.positives[queries].max(initial=0)), 1)

    def _all_in_order(self, queries: Integers) -> Iterator[Outcome]:
        """Evaluate queries by the distinct rows of the gallery."""
        step = self.search.distinct.step(max(self.depth, self._most(queries)))
        parts = np.split(queries, np.arange(step, len(queries), step))
        yield from mapped(self._ordered, parts)

    def _ordered(self, queries: Integers) -> Outcome:
        out = _nothing(queries)
        self._order_all(out, np.arange(len(queries)))
        return out

    def _block(self, block: Block) -> Outcome:
        """Evaluate the queries of a block; ranks may exceed the depth, shares are 0 without positives."""
        out = _nothing(block.queries)
        folded, first, limit = self._folded(block)
        shallow = np.flatnonzero(first <= limit)
        crowded = self._order_nearest(out, block, folded, shallow, limit)
        deep = np.setdiff1d(np.flatnonzero((out.rank == 0) & (first < np.inf)), crowded)
        uncounted = self._count_nearer(out, block, folded, deep, first)
        self._order_all(out, np.concatenate([crowded, uncounted]))
        return out

    def _folded(self, block: Block) -> tuple[Folded, Keys, Keys]:
        """Folded keys, the smallest key of the class, and a limit of the keys of the R nearest."""
        most = self._most(block.queries)
        folded = fold(block.keys, most)
        return folded, self._first_key(block), folded.limit(block.slack, most)

    def _first_key(self, block: Block) -> Keys:
        """(rows,) the smallest key of the class; infinite without positives."""
        row, column = self.classes.members(block.queries)
        first = np.full(len(block.queries), np.inf, block.keys.dtype)
        np.minimum.at(first, row, block.keys[row, column])
        return first

    def _order_nearest(self, out: Outcome, block: Block, folded: Folded, rows: Integers, limit: Keys) -> Integers:
        """Fill in rows with a hit among the R nearest; returns the rows that are too crowded."""
        found, crowded = select(block, folded, limit, rows, self.search.most(self._most(block.queries)))
        columns = exact_columns(self.search.points, found, self._matters(found))
        self._fill(out, found.places, self.classes.hits(found.queries, columns))
        return crowded

    def _matters(self, found: Candidates) -> Booleans:
        """Items whose order can change which of the places up to R are hits."""
        slack = found.slack[:, None]
        last = np.clip(self.positives[found.queries], 1, found.keys.shape[1]) - 1
        limit = np.take_along_axis(found.keys, last[:, None], axis=1) + slack
        asked = self.classes.hits(found.queries, found.columns) & (found.keys <= limit)
        before = np.maximum.accumulate(np.where(asked, found.keys, -np.inf), axis=1)
        after = np.minimum.accumulate(np.where(asked, found.keys, np.inf)[:, ::-1], axis=1)
        return (found.keys <= before + slack) | (found.keys >= after[:, ::-1] - slack)

    def _fill(self, out: Outcome, rows: Integers, hits: Booleans) -> None:
        """Rank and shares from which of the nearest are of the class; the rank stays 0 if none of the R nearest is."""
        out.rank[rows], out.shares[:, rows] = rank_and_shares(hits, self.positives[out.queries[rows]])

    def _count_nearer(self, out: Outcome, block: Block, folded: Folded, rows: Integers, first: Keys) -> Integers:
        """Fill in ranks up to the depth by counting; returns the rows that are too crowded."""
        rows, nearer, near = count_below(block, folded, rows, first, self.depth)
        out.rank[rows] = nearer + 1
        several = rows[(near > 1) & (near <= self.search.most(0))]
        if len(several):
            out.rank[several] += self._places(block, several, first)
        return rows[near > self.search.most(0)]

    def _places(self, block: Block, rows: Integers, first: Keys) -> Integers:
        """Place, from 0, of the first hit among items that keys can't tell apart from the class's smallest key."""
        (low, high), keys, queries = reach(block, first), block.keys[rows], block.queries[rows]
        row, column = np.nonzero((keys >= low[rows, None]) & (keys <= high[rows, None]))
        distances = squared_distances(self.search.points, queries[row], column)
        order = np.lexsort((column, distances, row))
        hit = self.classes.of_column[column[order]] == self.classes.of_query[queries[row]]
        firsts, places = np.flatnonzero(hit), np.arange(len(queries))
        return firsts[np.searchsorted(row[firsts], places)] - np.searchsorted(row, places)

    def _order_all(self, out: Outcome, rows: Integers) -> None:
        """Fill in rows that need many neighbours, or that have many (nearly) equal neighbours."""
        if len(rows):
            queries = out.queries[rows]
            most = max(self.depth, self._most(queries))
            hits = self.classes.hits(queries, self.search.distinct.nearest_columns(queries, most))
            self._fill(out, rows, hits)
            out.rank[rows] = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)


def rank_and_shares(hits: Booleans, wanted: Integers) -> tuple[Integers, Floats]:
    """Place of the first hit among the R nearest, from 1, or 0; R-precision and average precision, 0 where R is 0.

    Args:
        hits: (rows, width) whether each of the nearest is of the query's class, the nearest first.
        wanted: (rows,) R.

    Returns:
        (rows,) and (2, rows).
    """
    places = np.arange(1, 1 + min(hits.shape[1], int(wanted.max(initial=0))))
    hits = hits[:, : len(places)] & (places <= wanted[:, None])
    rank = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0) if len(places) else np.zeros(len(hits), np.int64)
    precision = np.cumsum(hits, axis=1, dtype=np.float64)
    precision /= places
    precision *= hits
    # in sequence, so that the width of the padding can't change the rounding
    summed = np.cumsum(precision, axis=1, out=precision)[:, -1:].sum(axis=1)
    return rank, np.stack([count_per_row(hits), summed]) / np.maximum(wanted, 1)


def _nothing(queries: Integers) -> Outcome:
    """Empty results, to be filled in."""
    return Outcome(queries, np.zeros(len(queries), np.int64), np.zeros((2, len(queries))))


def count_below(
    block: Block, folded: Folded, rows: Integers, first: Keys, depth: int
) -> tuple[Integers, Integers, Integers]:
    """Rows whose rank can be within the depth, how many items are nearer, and how many keys can't tell apart.

    Items are counted row by row: a row's flags then stay in the processor's nearest cache.

    Args:
        block: The queries, and their keys.
        folded: The same keys: as many groups as have a nearer item, as many items are nearer, at least.
        rows: Which rows to look at.
        first: Smallest key of the class, of all rows of the block.
        depth: The largest K.
    """
    low, high = reach(block, first)
    rows = rows[count_per_row(folded.smallest[rows] < low[rows, None]) < depth]
    nearer = np.array([np.count_nonzero(block.keys[row] < low[row]) for row in rows], np.int64)
    rows, nearer = rows[nearer < depth], nearer[nearer < depth]
    within = np.array([np.count_nonzero(block.keys[row] <= high[row]) for row in rows], np.int64)
    return rows, nearer, within - nearer


def reach(block: Block, keys: Keys) -> tuple[Keys, Keys]:
    """Limits between which the keys of each row can't be told apart from a given key of it."""
    low, high = (keys + shift for shift in (-block.slack, block.slack))
    return low.astype(keys.dtype), high.astype(keys.dtype)
