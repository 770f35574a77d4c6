"""Nearest items where rows occur again and again, as in collapsed embeddings: each distinct row is compared once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from relbench.evaluation.knn.approximate import Block, Centred, mask
from relbench.evaluation.knn.order import fold, resolve, select
from relbench.evaluation.knn.points import Booleans, Floats, Integers

_NUMBERS_AT_ONCE = 1 << 19
_LARGEST_BITS = 60  # of a key and a row's number together; a query's own key has one bit more
_EXACT_BITS = 53  # of whole numbers in float64
_WHOLE_ROW = 8  # from an eighth of the gallery on, sorting all of it is faster than choosing


@dataclass(frozen=True)
class Distinct:
    """The gallery without repeated rows, for queries with many (nearly) equal neighbours.

    Where rows are whole numbers of few digits, up to a power of two, as codes and counts are, keys are the distances
    themselves: ties are known without a comparison, however many there are.

    Attributes:
        centred: The rows.
    """

    centred: Centred

    def nearest_columns(self, queries: Integers, k: int) -> Integers:
        """The k nearest of each query, by float64 keys.

        Distances are computed once per distinct row, so collapsed embeddings cost no more than
        others.

        Args:
            queries: (rows,) positions in `points.query`.
            k: Number of neighbours.

        Returns:
            (rows, k) gallery columns; of a query that has fewer others, then -1, or what it passes over.
        """
        step = self.step(k)
        parts = [self._nearest_of_few(queries[start : start + step], k) for start in range(0, len(queries), step)]
        return np.concatenate(parts) if parts else np.empty((0, k), np.int64)

    def step(self, k: int) -> int:
        """Number of queries that are processed at once."""
        return max(1, _NUMBERS_AT_ONCE // max(len(self._first), k))

    def _nearest_of_few(self, queries: Integers, k: int) -> Integers:
        # distinct rows may hold nothing but the query, and what it passes over as itself
        spare = int(self.centred.points.passed_over[queries].max(initial=1))
        wanted = k if self._all_differ else k + spare
        few = (k + spare) * _WHOLE_ROW < len(self._first)
        groups, joined = self._chosen(queries, wanted) if few else self._sorted(queries)
        columns = groups if self._all_differ else np.where(groups >= 0, self._first[groups], -1)
        columns, equal = (columns, joined) if self.whole else resolve(self.centred.points, queries, columns, joined)
        if self._all_differ:
            return columns[:, :k]
        whole = k * _WHOLE_ROW > len(self.centred.points.gallery)
        return (
            self._spread(queries, columns, equal)[:, :k] if whole else self._expanded(queries, columns, equal, k, spare)
        )

    def _chosen(self, queries: Integers, wanted: int) -> tuple[Integers, Booleans]:
        """Distinct rows that can be among the nearest, by ascending key; which are in a run with the next."""
        points = self.centred.points
        keys = self._rows(points.query[queries]) @ self._gallery.T
        keys *= -2
        keys += self._squares
        if self._all_differ:
            mask(keys, points, queries)
        block, folded = Block(queries, keys, self._slack(queries)), fold(keys, wanted)
        found, _ = select(block, folded, folded.limit(block.slack, wanted), stable=self.whole)
        return found.columns, found.near_next

    def _sorted(self, queries: Integers) -> tuple[Integers, Booleans]:
        """All distinct rows by ascending key, and which are in a run with the next.

        Keys are whole numbers with a row's number in their last digits: sorting them is several times as fast as
        sorting the order of floats. The matrix product itself returns them scaled and shifted to lie between 0 and 1.
        """
        points, digits = self.centred.points, max(1, (len(self._first) - 1).bit_length())
        rows, slack, scale = self._rows(points.query[queries]), self._slack(queries), self._scale(queries, digits)
        squares = np.square(rows).sum(axis=1)
        left = np.column_stack([-2 * rows, np.ones(len(rows)), squares + slack]) * scale[:, None]
        keys = (left @ self._widened.T).astype(np.int64)
        if self._all_differ:
            keys[points.masked(queries)] = 1 << (_LARGEST_BITS + 1 - digits)
        keys <<= digits
        keys |= np.arange(len(self._first))
        keys.sort(axis=1)
        groups = keys & ((1 << digits) - 1)
        keys >>= digits
        # rounding down loses a digit, except of whole numbers
        unsure = np.ceil(slack * scale).astype(np.int64) + (not self.whole)
        return groups, np.diff(keys, axis=1) <= unsure[:, None]

    def _slack(self, queries: Integers) -> Floats:
        return np.zeros(len(queries)) if self.whole else self.centred.slack(queries, "float64")

    def _scale(self, queries: Integers, digits: int) -> Floats:
        """(queries,) factors that make distances whole numbers with room for a row's number."""
        if self.whole:
            return np.full(len(queries), 4.0**self._digits)
        largest = np.square(self.centred.norms[self.centred.points.query[queries]] + self.centred.longest)
        return np.asarray(2.0 ** (_LARGEST_BITS - digits) / np.where(largest > 0, largest, np.inf))

    @cached_property
    def whole(self) -> bool:
        """Whether all distances and products are whole numbers, in some unit, that float64 holds exactly."""
        return self._digits >= 0 and self.centred.points.is_whole(self._digits)

    @property
    def _digits(self) -> int:
        """Binary digits of a coordinate up to which every sum of a distance fits beside a row's number."""
        points = self.centred.points
        room = min(_EXACT_BITS, _LARGEST_BITS - len(points.gallery).bit_length())
        return (room - (4 * points.dim).bit_length()) // 2

    def _rows(self, rows: Integers) -> Floats:
        """Rows as they are multiplied: centred, except whole numbers."""
        return self.centred.points.scaled(rows) if self.whole else self.centred.exact(rows)

    def _spread(self, queries: Integers, columns: Integers, equal: Booleans) -> Integers:
        """All items, from all distinct rows, those that the query passes over last."""
        points, digits = self.centred.points, (len(self.centred.points.gallery) - 1).bit_length()
        group = self._groups[2]
        place = np.cumsum(np.hstack([np.zeros((len(equal), 1), bool), ~equal]), axis=1)
        places = np.empty_like(place)
        np.put_along_axis(places, group[columns], place, axis=1)
        items = places[:, group]
        items[points.masked(queries)] = len(group)
        items <<= digits
        items |= np.arange(len(group))
        items.sort(axis=1)
        items &= (1 << digits) - 1
        return items

    def _expanded(self, queries: Integers, columns: Integers, equal: Booleans, k: int, spare: int) -> Integers:
        """Items, from distinct rows, without those that queries pass over, at most `spare` of each."""
        row, place = np.nonzero(columns >= 0)
        source, column = self._members(columns[row, place], k + spare)
        run = np.cumsum(~np.hstack([np.zeros((len(equal), 1), bool), equal])[row, place])[source]
        row = row[source]
        other = ~self.centred.points.is_masked(queries[row], column)
        row, run, column = row[other], run[other], column[other]
        if equal.any():
            order = np.lexsort((column, run))
            row, column = row[order], column[order]
        return _leading(row, column, len(queries), k)

    @cached_property
    def _groups(self) -> tuple[Integers, Integers, Integers]:
        """(groups,) first column and number of columns of each distinct row; (columns,) the row's group."""
        points = self.centred.points
        rows = points.rows[points.gallery] + 0.0  # -0.0 becomes 0.0
        whole = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).reshape(-1)
        _, first, group, count = np.unique(whole, return_index=True, return_inverse=True, return_counts=True)
        return first, count, group.reshape(-1)

    @cached_property
    def repeats(self) -> float:
        """How often a row occurs in the gallery, on average."""
        return len(self.centred.points.gallery) / len(self._first)

    @cached_property
    def _all_differ(self) -> bool:
        return len(self._groups[0]) == len(self.centred.points.gallery)

    @cached_property
    def _first(self) -> Integers:
        """A column of each distinct row: in the order of columns where all rows differ."""
        return np.arange(len(self._groups[0])) if self._all_differ else self._groups[0]

    @cached_property
    def _by_group(self) -> tuple[Integers, Integers]:
        """All columns, grouped by row, and where each group starts."""
        _, count, group = self._groups
        return np.argsort(group, kind="stable"), np.cumsum(count) - count

    @cached_property
    def _gallery(self) -> Floats:
        return self._rows(self.centred.points.gallery[self._first])

    @cached_property
    def _squares(self) -> Floats:
        return np.asarray(np.square(self._gallery).sum(axis=1))

    @cached_property
    def _widened(self) -> Floats:
        """The gallery with a column of squared lengths and a column of ones."""
        return np.column_stack([self._gallery, self._squares, np.ones(len(self._first))])

    def _members(self, first: Integers, most: int) -> tuple[Integers, Integers]:
        """Columns whose rows equal those of some columns, at most the first `most` of each, and their sources."""
        _, count, group = self._groups
        members, start = self._by_group
        count = np.minimum(count[group[first]], most)
        source = np.repeat(np.arange(len(first)), count)
        offset = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
        return source, members[start[group[first[source]]] + offset]


def _leading(row: Integers, column: Integers, rows: int, k: int) -> Integers:
    """The first k columns of each row of a list that is sorted by row."""
    count = np.bincount(row, minlength=rows)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    out = np.full((rows, k), -1)
    kept = place < k
    out[row[kept], place[kept]] = column[kept]
    return out
