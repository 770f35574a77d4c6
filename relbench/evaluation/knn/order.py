"""From approximate keys to the exact order of the nearest items.

The order is defined once: ascending canonical squared distance (`points.squared_distances`), equal
distances by gallery column. Keys only narrow down which items must be compared that way.
"""

from dataclasses import dataclass

import numpy as np

from relbench.evaluation.knn.approximate import Keys
from relbench.evaluation.knn.points import Booleans, Floats, Integers, Points, squared_distances

_GROUPS_PER_NEIGHBOUR = 8  # folding stops here: fewer groups would admit too many items
_FEWEST_GROUPS = 1024


@dataclass(frozen=True)
class Candidates:
    """Items that can be among the k nearest, for some queries; padded at the end.

    Attributes:
        places: (rows,) places of the queries in their block.
        queries: (rows,) positions in `points.query`.
        columns: (rows, width) gallery columns by ascending key; -1 is padding.
        keys: (rows, width) their keys; infinite for padding.
        slack: (rows,) keys further apart than this are in true order.
    """

    places: Integers
    queries: Integers
    columns: Integers
    keys: Keys
    slack: Floats

    @property
    def near_next(self) -> Booleans:
        """(rows, width - 1) whether an item's key is too close to the next item's to decide their order."""
        reach = self.keys[:, :-1] + self.slack[:, None]
        return (self.keys[:, 1:] <= reach) & (self.columns[:, 1:] >= 0)


def kth_key_bound(keys: Keys, k: int) -> Keys:
    """An upper bound of each row's k-th smallest key, usually close to it.

    Columns are folded onto each other by minimum, which leaves the smallest key of each group of
    columns; k groups whose smallest key is at most t contain k keys that are at most t. Folding
    takes a few sequential passes; selecting from the whole row would be many times slower.

    Args:
        keys: (rows, columns).
        k: From 1; infinity where there are fewer columns.
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
    queries: Integers, keys: Keys, slack: Floats, limit: Keys, most: int | None = None, *, stable: bool = False
) -> tuple[Candidates, Integers]:
    """All items with keys up to a limit.

    Args:
        queries: (rows,) positions in `points.query`.
        keys: (rows, columns) keys, infinite where an item is masked.
        slack: (rows,) twice the error bound of the keys.
        limit: (rows,) from `key_limit`.
        most: Rows with more candidates than this are left to `Distinct`; None: no limit.
        stable: Whether equal keys are ordered by column; else in any order.

    Returns:
        The candidates of the rows within the limit, and the places of the rows beyond it.
    """
    chosen = keys <= limit[:, None]
    count = count_per_row(chosen)
    within = count <= (keys.shape[1] if most is None else most)
    kept, crowded = np.flatnonzero(within), np.flatnonzero(~within)
    if len(crowded):
        queries, slack, count = queries[kept], slack[kept], count[kept]
        keys, chosen = keys[kept], chosen[kept]
    return Candidates(kept, queries, *_by_key(keys, chosen, count, stable=stable), slack), crowded


def count_per_row(flags: Booleans) -> Integers:
    """(rows,) how many flags of each row are set."""
    # row by row, numpy counts in machine words; along an axis it adds up single flags
    return np.array([np.count_nonzero(row) for row in flags], dtype=np.int64)


def places_of(flags: Booleans, count: Integers) -> tuple[Integers, Integers, Integers]:
    """Row and column of each set flag, row by row, and its number within its row.

    Args:
        flags: (rows, columns).
        count: (rows,) from `count_per_row`.
    """
    spots = np.flatnonzero(flags)
    row = np.repeat(np.arange(len(flags)), count)
    return row, spots - row * flags.shape[1], np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)


def _by_key(keys: Keys, chosen: Booleans, count: Integers, *, stable: bool) -> tuple[Integers, Keys]:
    """(rows, width) columns of the chosen items by ascending key, and their keys."""
    row, column, place = places_of(chosen, count)
    shape = (len(keys), int(count.max(initial=1)))
    columns, found = np.full(shape, -1), np.full(shape, np.inf, keys.dtype)
    columns[row, place], found[row, place] = column, keys[row, column]
    order = np.argsort(found, axis=1, kind="stable" if stable else None)
    return np.take_along_axis(columns, order, 1), np.take_along_axis(found, order, 1)


def exact_columns(points: Points, candidates: Candidates, matters: Booleans | None = None) -> Integers:
    """The candidates' columns in exact order.

    Only runs of items that are closer to their neighbour in the list than the slack are compared
    by canonical distance.

    Args:
        points: The rows.
        candidates: Items by ascending key.
        matters: (rows, width) items whose order is wanted; with each item it must include every item
            within the slack. The others stay in the order of keys. None: all.

    Returns:
        (rows, width) columns; -1 is padding.
    """
    joined = candidates.near_next
    if matters is not None:
        joined &= matters[:, 1:] & matters[:, :-1]
    return resolve(points, candidates.queries, candidates.columns, joined)[0]


def resolve(points: Points, queries: Integers, columns: Integers, joined: Booleans) -> tuple[Integers, Booleans]:
    """Put runs of items that keys can't tell apart in exact order.

    Args:
        points: The rows.
        queries: (rows,) positions in `points.query`.
        columns: (rows, width) the gallery column that an item is compared by, by ascending key; -1 is padding.
        joined: (rows, width - 1) whether an item is in a run with the next.

    Returns:
        (rows, width) columns in exact order, and (rows, width - 1) whether an item is exactly as far as the next.
    """
    if not joined.any():
        return columns, joined
    columns, equal = columns.copy(), np.zeros(joined.shape, bool)
    edge = np.zeros((len(joined), 1), bool)
    after = np.hstack([edge, joined])
    tied = after | np.hstack([joined, edge])
    row, place, _ = places_of(tied, count_per_row(tied))
    run = np.cumsum(~after[row, place])
    column = columns[row, place]
    distances = squared_distances(points, queries[row], column)
    order = np.lexsort((column, distances, run))  # runs keep their places
    columns[row, place] = column[order]
    same = (np.diff(run) == 0) & (np.diff(distances[order]) == 0)
    equal[row[:-1][same], place[:-1][same]] = True
    return columns, equal
