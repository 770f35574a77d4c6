"""Separate searches without the outliers that spoil the precision of fast distances.

The error of a fast distance grows with the longest row (`approximate`). A query within some length of the middle finds
every row within that length, at most two lengths away, before any beyond three: those are left out of its gallery, and
only short rows remain. Where lengths are heavy-tailed, as in Cauchy's distribution, each band of lengths has a gallery.
"""

from collections.abc import Iterator

import numpy as np

from relbench.evaluation.knn.points import Booleans, Floats, Integers, Points

_FIRST_BAND = 2.0  # medians of all lengths
_NEXT_BAND = 4.0  # times the last
_BEYOND = 3.0  # times a band's length
_FAR = 4.0  # times: how much longer than all that remain the longest row must be to be worth a search
_SMALLEST_SHARE = 1 / 64  # of the queries: fewer are not worth a search
_MIDDLE = 1024  # rows that determine the middle
_ROWS_AT_ONCE = 4096


def apart(points: Points, needed: Integers) -> Iterator[tuple[Integers, Booleans]]:
    """The searches that together cover all queries.

    Args:
        points: All rows.
        needed: (queries,) number of neighbours that each needs.

    Yields:
        Positions in `points.query`, and (n,) which rows these queries must be compared with.
    """
    lengths = _from_middle(points)
    left = np.ones(len(points.query), bool)
    for length in _bands(lengths):
        near = lengths <= length
        others = np.count_nonzero(near[points.gallery]) - points.passed_over
        chosen = left & near[points.query] & (needed <= others)
        if np.count_nonzero(chosen) >= len(left) * _SMALLEST_SHARE:
            left &= ~chosen
            yield np.flatnonzero(chosen), lengths <= _BEYOND * length
    if left.any():
        yield np.flatnonzero(left), np.ones(len(points.rows), bool)


def _bands(lengths: Floats) -> Iterator[float]:
    """Limits of the bands, all far below the longest row's length."""
    length, longest = _FIRST_BAND * float(np.median(lengths)), float(lengths.max())
    while 0 < _FAR * _BEYOND * length < longest:
        yield length
        length *= _NEXT_BAND


def _from_middle(points: Points) -> Floats:
    """(n,) distance of each row from the median of a sample, which a few rows can't move far."""
    every = max(1, len(points.rows) // _MIDDLE)
    middle = np.median(points.scaled(slice(None, None, every)), axis=0)
    starts = range(0, len(points.rows), _ROWS_AT_ONCE)
    parts = (points.scaled(slice(start, start + _ROWS_AT_ONCE)) for start in starts)
    return np.concatenate([np.linalg.norm(part - middle, axis=1) for part in parts])


def among(points: Points, queries: Integers, rows: Booleans) -> Points:
    """The search of some queries among some of the rows.

    Args:
        points: All rows.
        queries: Positions in `points.query`.
        rows: (n,) which remain, the queries among them.
    """
    query, own = points.query[queries], points.own_column[queries]
    if rows.all():
        return Points(points.rows, query, points.gallery, own, points.group)
    number, remains = np.cumsum(rows) - 1, rows[points.gallery]
    column = np.where(own >= 0, (np.cumsum(remains) - 1)[own], -1)
    group = None if points.group is None else points.group[rows]
    return Points(points.rows[rows], number[query], number[points.gallery[remains]], column, group)
