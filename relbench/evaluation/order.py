"""From approximate keys to the exact order of the nearest items.

The order is defined once: ascending canonical squared distance (`points.squared_distances`), equal
distances by gallery column. Keys only narrow down which items must be compared that way.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from relbench.evaluation.approximate import Centred, Keys
from relbench.evaluation.points import Booleans, Floats, Integers, Points, squared_distances

_GROUPS_PER_NEIGHBOUR = 8  # folding stops here: fewer groups would let too many items through
_FEWEST_GROUPS = 1024
_NUMBERS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Candidates:
    """Items that can be among the k nearest, for some queries; padded at the end.

    Attributes:
        queries: (rows,) positions in `points.query`.
        columns: (rows, width) gallery columns by ascending key; -1 is padding.
        keys: (rows, width) their keys; infinite for padding.
        slack: (rows,) keys further apart than this are in true order.
    """

    queries: Integers
    columns: Integers
    keys: Keys
    slack: Floats

    @property
    def near_next(self) -> Booleans:
        """(rows, width - 1) whether an item's key decides nothing against the next one's."""
        reach = self.keys[:, :-1] + self.slack[:, None]
        return (self.keys[:, 1:] <= reach) & (self.columns[:, 1:] >= 0)


def kth_key_bound(keys: Keys, k: int) -> Keys:
    """An upper bound of each row's k-th smallest key, usually close to it.

    Columns are folded onto each other by minimum, which leaves one smallest key per group of
    columns; k groups whose smallest key is at most t hold k keys that are at most t. Folding is
    a few sequential passes, where selecting from the whole row would be many times as slow.

    Args:
        keys: (rows, columns).
        k: From 1; beyond the columns there is no bound, so infinity.
    """
    if k > keys.shape[1]:
        return np.full(len(keys), np.inf, keys.dtype)
    while keys.shape[1] // 2 >= max(_FEWEST_GROUPS, _GROUPS_PER_NEIGHBOUR * k):
        half = keys.shape[1] // 2
        keys = np.minimum(keys[:, :half], keys[:, half : 2 * half])
    return np.partition(keys, k - 1, axis=1)[:, k - 1]


def key_limit(keys: Keys, slack: Floats, k: int) -> Keys:
    """(rows,) finite keys that no item of the true k nearest exceeds.

    Such an item has a key of at most the k-th smallest key plus the slack.
    """
    limit = (kth_key_bound(keys, k) + slack).astype(keys.dtype)
    return np.minimum(limit, np.finfo(keys.dtype).max)


def select(
    queries: Integers, keys: Keys, slack: Floats, limit: Keys, most: int | None = None
) -> tuple[Candidates, Integers]:
    """All items with keys up to a limit.

    Args:
        queries: (rows,) positions in `points.query`.
        keys: (rows, columns) keys, infinite where an item is masked.
        slack: (rows,) twice the error bound of the keys.
        limit: (rows,) as `key_limit` returns it.
        most: Rows with more candidates than this are left to `Distinct`; None: no limit.

    Returns:
        The candidates of the rows within the limit, and the queries beyond it.
    """
    chosen = keys <= limit[:, None]
    count = count_per_row(chosen)
    kept = np.flatnonzero(count <= (keys.shape[1] if most is None else most))
    crowded = np.delete(queries, kept)
    if len(crowded):
        queries, slack, count = queries[kept], slack[kept], count[kept]
        keys, chosen = keys[kept], chosen[kept]
    return _pad(queries, keys, slack, chosen, count), crowded


def count_per_row(flags: Booleans) -> Integers:
    """(rows,) how many flags of each row are set."""
    # row by row, counting runs over machine words; along an axis it adds up single flags
    return np.array([np.count_nonzero(row) for row in flags], dtype=np.int64)


def _pad(queries: Integers, keys: Keys, slack: Floats, chosen: Booleans, count: Integers) -> Candidates:
    row, column = np.divmod(np.flatnonzero(chosen), keys.shape[1])
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    shape = (len(keys), int(count.max(initial=1)))
    columns, found = np.full(shape, -1), np.full(shape, np.inf, keys.dtype)
    columns[row, place], found[row, place] = column, keys[row, column]
    order = np.argsort(found, axis=1, kind="stable")
    columns, found = np.take_along_axis(columns, order, 1), np.take_along_axis(found, order, 1)
    return Candidates(queries, columns, found, slack)


def exact_columns(points: Points, candidates: Candidates, matters: Booleans | None = None) -> Integers:
    """The candidates' columns in exact order.

    Only runs of items that are closer to their neighbour in the list than the slack are compared
    by canonical distance.

    Args:
        points: The rows.
        candidates: Items by ascending key.
        matters: (rows, width) items whose order is asked for; it must hold, with each item, every
            item within the slack. The others stay where their key puts them. None: all.

    Returns:
        (rows, width) columns; -1 is padding.
    """
    joined = candidates.near_next
    if matters is not None:
        joined &= matters[:, 1:] & matters[:, :-1]
    rows = np.flatnonzero(joined.any(axis=1))
    columns = candidates.columns.copy()
    if len(rows):
        columns[rows] = _resolve(points, candidates.queries[rows], columns[rows], joined[rows])
    return columns


def _resolve(points: Points, queries: Integers, columns: Integers, joined: Booleans) -> Integers:
    edge = np.zeros((len(joined), 1), bool)
    tied = np.hstack([joined, edge]) | np.hstack([edge, joined])
    run = np.cumsum(np.hstack([edge, ~joined]), axis=1)
    row, place = np.nonzero(tied)
    distances = np.zeros(columns.shape)
    distances[row, place] = squared_distances(points, queries[row], columns[row, place])
    order = np.lexsort((columns, distances, run), axis=1)
    return np.take_along_axis(columns, order, axis=1)


@dataclass(frozen=True)
class Distinct:
    """The gallery without repeated rows, for queries with crowds of (nearly) equal neighbours.

    Attributes:
        centred: The rows.
    """

    centred: Centred

    def nearest_columns(self, queries: Integers, k: int) -> Integers:
        """The k nearest of each query, by float64 keys.

        Distances are computed once per distinct row, so a collapsed embedding costs no more than
        a healthy one.

        Args:
            queries: (rows,) positions in `points.query`.
            k: How many neighbours.

        Returns:
            (rows, k) gallery columns; -1 where a query has fewer others.
        """
        step = max(1, _NUMBERS_AT_ONCE // max(len(self._groups[0]), k))
        parts = [self._nearest_of_few(queries[start : start + step], k) for start in range(0, len(queries), step)]
        return np.concatenate(parts) if parts else np.empty((0, k), np.int64)

    def _nearest_of_few(self, queries: Integers, k: int) -> Integers:
        points = self.centred.points
        # one more than asked for: the query's own distinct row may hold nothing but itself
        slack = self.centred.slack(queries, np.float64)
        keys = self._keys(queries)
        found, _ = select(queries, keys, slack, key_limit(keys, slack, k + 1))
        row, place = np.nonzero(found.columns >= 0)
        distinct = found.columns[row, place]
        distances = squared_distances(points, queries[row], self._groups[0][distinct])
        source, column = self._expand(distinct, k + 1)
        row, distances = row[source], distances[source]
        other = column != points.own_column[queries[row]]
        row, column, distances = row[other], column[other], distances[other]
        order = np.lexsort((column, distances, row))
        return _leading(row[order], column[order], len(queries), k)

    def _keys(self, queries: Integers) -> Floats:
        points = self.centred.points
        rows = self.centred.exact(points.query[queries])
        return np.asarray(self._squares - 2 * (rows @ self._gallery.T))

    @cached_property
    def _groups(self) -> tuple[Integers, Integers, Integers]:
        """A column of each distinct row; all columns, grouped by row; where each group starts."""
        points = self.centred.points
        rows = points.rows[points.gallery]
        _, first, inverse, count = np.unique(rows, axis=0, return_index=True, return_inverse=True, return_counts=True)
        members = np.argsort(inverse.reshape(-1), kind="stable")
        return first, members, np.concatenate([[0], np.cumsum(count)])

    @cached_property
    def _gallery(self) -> Floats:
        return self.centred.exact(self.centred.points.gallery[self._groups[0]])

    @cached_property
    def _squares(self) -> Floats:
        return np.square(self.centred.norms[self.centred.points.gallery[self._groups[0]]])

    def _expand(self, distinct: Integers, most: int) -> tuple[Integers, Integers]:
        """Columns of distinct rows, at most the first `most` of each, and where each comes from."""
        _, members, start = self._groups
        count = np.minimum(start[distinct + 1] - start[distinct], most)
        source = np.repeat(np.arange(len(distinct)), count)
        offset = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
        return source, members[start[distinct[source]] + offset]


def _leading(row: Integers, column: Integers, rows: int, k: int) -> Integers:
    """The first k columns of each row of a list that is sorted by row."""
    count = np.bincount(row, minlength=rows)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    out = np.full((rows, k), -1)
    kept = place < k
    out[row[kept], place[kept]] = column[kept]
    return out
