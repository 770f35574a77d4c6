"""From approximate keys to the exact order of the nearest items.

The order is defined once: ascending canonical squared distance (`points.squared_distances`), equal
distances by gallery column. Keys only narrow down which items must be compared that way.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from relbench.evaluation.knn.approximate import Block, Keys
from relbench.evaluation.knn.points import Booleans, Floats, Integers, Points, squared_distances

_GROUPS_PER_NEIGHBOUR = 8  # folding stops here: fewer groups would admit too many items
_FEWEST_GROUPS = 1024
_NARROW = 256
_SHARE_GATHERED = 16  # up to one key in 16 is picked out faster than all are compared


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


@dataclass(frozen=True)
class Folded:
    """Keys, and the smallest of each group of columns.

    Columns are folded onto each other by minimum, in a few sequential passes. That bounds the k-th smallest key, as k
    groups whose smallest key is at most t contain k keys that are at most t, and only groups whose smallest key is
    within a limit need to be searched. Selecting from whole rows would be many times slower.

    Attributes:
        keys: (rows, columns).
        smallest: (rows, groups) smallest key of each group of columns.
        members: (groups, most) columns of each group; -1 is padding.
    """

    keys: Keys
    smallest: Keys
    members: Integers

    def kth_bound(self, k: int) -> Keys:
        """(rows,) an upper bound of the k-th smallest key, usually close to it; infinite where there are fewer."""
        if k > self.smallest.shape[1]:
            return np.full(len(self.keys), np.inf, self.keys.dtype)
        return np.partition(self.smallest, k - 1, axis=1)[:, k - 1]

    def limit(self, slack: Floats, k: int) -> Keys:
        """(rows,) finite keys that no item of the true k nearest exceeds.

        Such an item has a key of at most the k-th smallest key plus the slack.
        """
        limit = (self.kth_bound(k) + slack).astype(self.keys.dtype)
        return np.minimum(limit, np.finfo(self.keys.dtype).max)

    def within(self, rows: Integers, limit: Keys) -> tuple[Integers, Integers]:
        """Place in `rows` and column of each key up to its row's limit, row by row.

        Args:
            rows: Which rows of the block.
            limit: Of all rows of the block.
        """
        limit = limit[rows]
        groups = np.flatnonzero(self.smallest[rows] <= limit[:, None])
        if len(groups) * self.members.shape[1] * _SHARE_GATHERED > len(rows) * self.keys.shape[1]:
            return _divided(np.flatnonzero(_some(self.keys, rows) <= limit[:, None]), self.keys.shape[1])
        place, group = _divided(groups, self.smallest.shape[1])
        columns = self.members[group]
        near = (self.keys[rows[place][:, None], columns] <= limit[place][:, None]) & (columns >= 0)
        return _divided(np.sort((place[:, None] * self.keys.shape[1] + columns)[near]), self.keys.shape[1])


def fold(keys: Keys, k: int) -> Folded:
    """Keys folded into as few groups as leave the bound of the k-th smallest key close to it.

    Args:
        keys: (rows, columns).
        k: From 1.
    """
    widths, smallest = [keys.shape[1]], keys
    while widths[-1] // 2 >= max(_FEWEST_GROUPS, _GROUPS_PER_NEIGHBOUR * k):
        half = widths[-1] // 2
        rest = smallest[:, widths[-1] - half :]
        smallest = smallest[:, : widths[-1] - half].copy()
        np.minimum(smallest[:, :half], rest, out=smallest[:, :half])
        widths.append(widths[-1] - half)
    return Folded(keys, smallest, _members(tuple(widths)))


@lru_cache(maxsize=16)
def _members(widths: tuple[int, ...]) -> Integers:
    """(groups, most) columns that were folded onto each other, -1 as padding, from the widths along the way."""
    members = np.arange(widths[-1])[:, None]
    for wide, narrow in zip(widths[-2::-1], widths[:0:-1], strict=True):
        other = np.where((members >= 0) & (members + narrow < wide), members + narrow, -1)
        members = np.hstack([members, other])
    return members


def _divided(spots: Integers, width: int) -> tuple[Integers, Integers]:
    """Row and column of positions in a flat array of rows."""
    rows = spots // width
    return rows, spots - rows * width


def _some(keys: Keys, rows: Integers) -> Keys:
    """Some rows; no copy where all are selected."""
    return keys if len(rows) == len(keys) else keys[rows]


def select(
    block: Block,
    folded: Folded,
    limit: Keys,
    rows: Integers | None = None,
    most: int | None = None,
    *,
    stable: bool = False,
) -> tuple[Candidates, Integers]:
    """All items with keys up to a limit.

    Args:
        block: The queries, and their keys, infinite where an item is masked.
        folded: The same keys.
        limit: Of all queries of the block, from `Folded.limit`.
        rows: Places of the queries in the block; None: all.
        most: Rows with more candidates than this are left to `Distinct`; None: no limit.
        stable: Whether equal keys are ordered by column; else in any order.

    Returns:
        The candidates of the rows within the limit, and the places in the block of the rows beyond it.
    """
    rows = np.arange(len(block.keys)) if rows is None else rows
    row, column = folded.within(rows, limit)
    count = np.bincount(row, minlength=len(rows))
    within = count <= (block.keys.shape[1] if most is None else most)
    kept = rows[within]
    if not within.all():
        chosen = within[row]
        row, column, count = (np.cumsum(within) - 1)[row[chosen]], column[chosen], count[within]
    ordered = _by_key(column, block.keys[kept[row], column], count, stable=stable)
    return Candidates(kept, block.queries[kept], *ordered, block.slack[kept]), rows[~within]


def count_per_row(flags: Booleans) -> Integers:
    """(rows,) how many flags of each row are set."""
    # row by row, numpy counts in machine words; along an axis it adds up single flags, without a call for each row
    if flags.shape[1] < _NARROW:
        return np.asarray(flags.sum(axis=1))
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


def _by_key(column: Integers, key: Keys, count: Integers, *, stable: bool) -> tuple[Integers, Keys]:
    """(rows, width) columns by ascending key, and their keys, from lists of them row by row."""
    shape = (len(count), int(count.max(initial=1)))
    filled = np.arange(shape[1]) < count[:, None]
    columns, keys = np.full(shape, -1), np.full(shape, np.inf, key.dtype)
    columns[filled], keys[filled] = column, key
    order = np.argsort(keys, axis=1, kind="stable" if stable else None)
    return np.take_along_axis(columns, order, 1), np.take_along_axis(keys, order, 1)


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
