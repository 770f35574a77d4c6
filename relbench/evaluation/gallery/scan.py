"""The check of all rows before they are searched, in shards, as `points.check_points` checks those in one piece."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench.evaluation.gallery.sources import Rows, Source
from relbench.evaluation.knn.points import SAFE_EXPONENT, refuse_infinite, type_of_integers


@dataclass(frozen=True)
class Scan:
    """What was seen in consecutive rows.

    Attributes:
        rows: how many there are.
        bad: how many hold NaN or infinity.
        first_bad: the first of them; -1 without any.
        extreme: the first row whose largest number has a square that float64 can't hold well; -1 without any.
        most: the largest absolute integer; 0 of floats.
    """

    rows: int
    bad: int
    first_bad: int
    extreme: int
    most: int


def scan(source: Source, _device: str | None) -> Scan:
    """Look at each row once, on the processor."""
    return joined([_seen(rows) for rows in source.pieces()])


def _seen(rows: Rows) -> Scan:
    if rows.dtype.kind in "iu":
        most = max(abs(int(number)) for number in (rows.min(initial=0), rows.max(initial=0)))
        return Scan(len(rows), 0, -1, -1, most)
    bad = np.asarray(~np.isfinite(rows).all(axis=1))
    return Scan(len(rows), int(bad.sum()), _first(bad), _first(_extreme(rows)), 0)


def _extreme(rows: Rows) -> NDArray[np.bool_]:
    """Which rows hold float64 numbers so large, or nothing but zeros and numbers so small, that squares lose digits."""
    if rows.dtype != np.float64:
        return np.zeros(len(rows), bool)
    largest = np.abs(rows).max(axis=1)
    return np.asarray((largest > 0) & np.isfinite(largest) & (np.abs(np.frexp(largest)[1]) >= SAFE_EXPONENT))


def _first(flags: NDArray[np.bool_]) -> int:
    return int(flags.argmax()) if flags.any() else -1


def joined(scans: Sequence[Scan]) -> Scan:
    """What was seen in rows that follow each other."""
    starts = np.cumsum([0, *(each.rows for each in scans)]).tolist()

    def first(places: Sequence[int]) -> int:
        return next((start + place for start, place in zip(starts, places, strict=False) if place >= 0), -1)

    return Scan(
        rows=starts[-1],
        bad=sum(each.bad for each in scans),
        first_bad=first([each.first_bad for each in scans]),
        extreme=first([each.extreme for each in scans]),
        most=max((each.most for each in scans), default=0),
    )


def refuse(found: Scan) -> None:
    """Refuse rows that can't be searched.

    Raises:
        ValueError: a number that is not finite, or rows whose distances only one piece can hold.
    """
    refuse_infinite(found.first_bad, found.bad)
    if found.extreme >= 0:
        raise ValueError(
            f"embeddings hold numbers beyond 1e120 or, in a whole row, below 1e-120, first in row {found.extreme}: "
            "multiply them by a power of two, or evaluate them in one piece"
        )


def working_type(dtype: np.dtype[Any], most: int) -> np.dtype[Any]:
    """The type of floats in which rows are searched.

    Args:
        dtype: of the numbers as they are.
        most: the largest absolute integer.

    Raises:
        ValueError: integers that no float holds exactly.
    """
    return np.dtype(type_of_integers(most)) if dtype.kind in "iu" else dtype
