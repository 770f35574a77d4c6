"""Rows so far from all others that they only spoil the precision of fast distances.

The error of a fast distance grows with the longest row (`approximate`). Where a few rows lie at more than three times
the distance that any two others can have, no other row finds one of them before it has found all others: they are left
out of the others' gallery, and what is left has short rows.
"""

import math
from collections.abc import Iterator

import numpy as np

from relbench.evaluation.points import Booleans, Floats, Integers, Points

_LARGEST_SHARE = 0.05  # of the rows that can be far away
_AT_LEAST = 4.0  # how many times as far from the middle as any other row
_MIDDLE = 1024  # rows that the middle is found by
_ROWS_AT_ONCE = 4096


def ordinary_rows(points: Points) -> Booleans:
    """(n,) false for rows that any other finds only after all that are true.

    With m the largest distance of an ordinary row from a middle, two ordinary rows are at most 2 m apart, and an
    ordinary row is at least 3 m from a far one.
    """
    lengths = _from_middle(points)
    ascending = np.sort(lengths)
    tail = ascending[math.ceil(len(ascending) * (1 - _LARGEST_SHARE)) - 1 :]
    cuts = np.flatnonzero((tail[1:] >= _AT_LEAST * tail[:-1]) & (tail[:-1] > 0))
    return lengths <= (tail[cuts[0]] if len(cuts) else np.inf)


def _from_middle(points: Points) -> Floats:
    """(n,) distance of each row from the median of a sample, which a few rows can't move far."""
    every = max(1, len(points.rows) // _MIDDLE)
    middle = np.median(points.scaled(slice(None, None, every)), axis=0)
    starts = range(0, len(points.rows), _ROWS_AT_ONCE)
    parts = (points.scaled(slice(start, start + _ROWS_AT_ONCE)) for start in starts)
    return np.concatenate([np.linalg.norm(part - middle, axis=1) for part in parts])


def apart(points: Points, needed: Integers) -> Iterator[tuple[Integers, Booleans]]:
    """The searches that together answer all queries.

    Args:
        points: All rows.
        needed: (queries,) how many neighbours of each are looked at.

    Yields:
        Positions in `points.query`, and (n,) which rows these queries must be compared with.
    """
    ordinary = ordinary_rows(points)
    others = np.count_nonzero(ordinary[points.gallery]) - (points.own_column >= 0)
    enough = ordinary[points.query] & (needed <= others)
    if ordinary.all() or not enough.any():
        yield np.arange(len(points.query)), np.ones(len(points.rows), bool)
        return
    yield np.flatnonzero(enough), ordinary
    if not enough.all():
        yield np.flatnonzero(~enough), np.ones(len(points.rows), bool)


def among(points: Points, queries: Integers, rows: Booleans) -> Points:
    """The search of some queries among some of the rows.

    Args:
        points: All rows.
        queries: Positions in `points.query`.
        rows: (n,) which remain, the queries among them.
    """
    asking, own = points.query[queries], points.own_column[queries]
    if rows.all():
        return Points(points.rows, asking, points.gallery, own)
    number, remains = np.cumsum(rows) - 1, rows[points.gallery]
    column = np.where(own >= 0, (np.cumsum(remains) - 1)[own], -1)
    return Points(points.rows[rows], number[asking], number[points.gallery[remains]], column)
