"""Checked input of a retrieval evaluation, and the canonical distance that defines every order."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Embeddings = torch.Tensor | NDArray[Any]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

_LARGEST_WHOLE = {np.float32: 2**24, np.float64: 2**53}  # up to here a type holds every whole number
_SLAB_NUMBERS = 1 << 15  # numbers held at once by the canonical distance: they stay in the cache
_ROWS_AT_ONCE = 1024
_LARGEST_FACTOR = 1000  # powers of two up to this exponent are float64 numbers
SAFE_EXPONENT = 400
"""Squares of numbers within 2**-400 .. 2**400 stay normal in float64."""


@dataclass(frozen=True)
class Members:
    """Columns by their number.

    Attributes:
        code: (columns,) number of each column, from 0.
        codes: how many numbers there are, those that no column has included.
    """

    code: Integers
    codes: int

    def of(self, codes: Integers) -> tuple[Integers, Integers]:
        """Pairs of a place in `codes` and a column that has this number, in the order of the places."""
        count = self.count[codes]
        start = (np.cumsum(self.count) - self.count)[codes]
        row = np.repeat(np.arange(len(codes)), count)
        offset = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        return row, self._columns[start[row] + offset]

    @cached_property
    def count(self) -> Integers:
        """(codes,) number of columns with each number."""
        return np.bincount(self.code, minlength=self.codes)

    @cached_property
    def _columns(self) -> Integers:
        return np.argsort(self.code, kind="stable")


@dataclass(frozen=True)
class Points:
    """Rows of a matrix, with those that are queries and those that are the gallery.

    A *column* below is a position in `gallery`; as `gallery` ascends, ties by column are ties by
    row index.

    Attributes:
        rows: (n, dim) embeddings, float16, float32 or float64, all finite.
        query: (queries,) ascending row indices.
        gallery: (columns,) ascending row indices.
        own_column: (queries,) the column of the query itself, -1 where it is not in `gallery`.
        group: (n,) numbers from 0; a query passes over all columns of its own number, as it does over itself. None:
            over itself alone.
    """

    rows: NDArray[Any]
    query: Integers
    gallery: Integers
    own_column: Integers
    group: Integers | None = None

    @property
    def dim(self) -> int:
        """Width of a row."""
        return int(self.rows.shape[1])

    @cached_property
    def exponent(self) -> int:
        """Power of two just above the largest absolute number of `rows`."""
        return math.frexp(max(float(self.rows.max()), -float(self.rows.min())))[1]

    def scaled(self, rows: slice | Integers) -> Floats:
        """(rows, dim) in float64, divided by the power of two: exact except for subnormal numbers."""
        wide = self.rows[rows].astype(np.float64)
        if abs(self.exponent) > _LARGEST_FACTOR:
            return np.ldexp(wide, -self.exponent)
        wide *= 2.0**-self.exponent
        return wide

    def is_whole(self, digits: int) -> bool:
        """Whether all numbers are whole multiples of the power of two that is `digits` below `exponent`."""
        parts = (self.scaled(slice(start, start + _ROWS_AT_ONCE)) for start in range(0, len(self.rows), _ROWS_AT_ONCE))
        return all(bool((part * 2.0**digits % 1 == 0).all()) for part in parts)

    @property
    def others(self) -> Integers:
        """(queries,) number of gallery items besides the query itself, and those that it passes over as itself."""
        return len(self.gallery) - self.passed_over

    @cached_property
    def passed_over(self) -> Integers:
        """(queries,) number of columns that each query passes over."""
        if self.group is None:
            return (self.own_column >= 0).astype(np.int64)
        return np.asarray(self._members.count[self.group[self.query]])

    @property
    def ignored(self) -> Integers | None:
        """(queries,) number of columns that each query passes over beside itself; None where nothing was to be."""
        return None if self.group is None else self.passed_over - (self.own_column >= 0)

    def masked(self, queries: Integers) -> tuple[Integers, Integers]:
        """Pairs of a place in `queries` and a column that this query passes over."""
        if self.group is not None:
            return self._members.of(self.group[self.query[queries]])
        own = self.own_column[queries]
        present = np.flatnonzero(own >= 0)
        return present, own[present]

    def is_masked(self, queries: Integers, columns: Integers) -> Booleans:
        """Whether queries pass over columns: of one shape, or of shapes that fit; padding (-1) may be either."""
        if self.group is None:
            return np.asarray(columns == self.own_column[queries])
        return np.asarray(self.group[self.gallery[columns]] == self.group[self.query[queries]])

    @cached_property
    def _members(self) -> Members:
        assert self.group is not None
        return Members(self.group[self.gallery], int(self.group.max()) + 1)


def check_points(embeddings: Embeddings, query: ArrayLike | None, gallery: ArrayLike | None) -> Points:
    """Embeddings and masks, checked.

    Args:
        embeddings: (n, dim) array or tensor on any device, of floats, or of integers that floats hold exactly.
        query: (n,) boolean mask of the queries; None: all rows.
        gallery: (n,) boolean mask of the gallery; None: all rows.

    Raises:
        ValueError: Wrong number of dimensions, fewer than two rows, no columns, a number that is
            not finite, or a mask that is empty or of another length or kind.
        TypeError: Embeddings of other types.
    """
    rows = _as_matrix(embeddings)
    return with_roles(rows, query, gallery)


def with_roles(rows: NDArray[Any], query: ArrayLike | None, gallery: ArrayLike | None) -> Points:
    """Rows and masks, of which only the masks are checked.

    Raises:
        ValueError: a mask that is empty or of another length or kind.
    """
    queries = _as_indices(query, "query", len(rows))
    columns = _as_indices(gallery, "gallery", len(rows))
    return Points(rows, queries, columns, place_among(queries, columns))


def place_among(rows: Integers, columns: Integers) -> Integers:
    """(rows,) place of each row number in ascending `columns`, -1 where it is not there."""
    position = np.minimum(np.searchsorted(columns, rows), len(columns) - 1)
    return np.where(columns[position] == rows, position, -1)


def _as_matrix(embeddings: Embeddings) -> NDArray[Any]:
    if isinstance(embeddings, torch.Tensor):
        embeddings = as_array(embeddings)
    check_type(embeddings.dtype if isinstance(embeddings, np.ndarray) else type(embeddings).__name__)
    if embeddings.dtype.kind in "iu":
        embeddings = _as_floats(embeddings)
    check_matrix(embeddings.shape)
    _check_finite(embeddings)
    return np.ascontiguousarray(embeddings)


def check_type(dtype: np.dtype[Any] | str) -> None:
    """Refuse arrays of other types than numbers that are computed with, TypeError; or the name of another type."""
    if isinstance(dtype, str) or (dtype.kind not in "iu" and dtype not in (np.float16, np.float32, np.float64)):
        raise TypeError(
            f"embeddings must be an array or tensor of integers, float16, float32 or float64, not {dtype}: convert "
            "them first"
        )


def check_matrix(shape: tuple[int, ...]) -> None:
    """Refuse arrays that are no matrix of two rows or more, ValueError."""
    if len(shape) != 2 or shape[1] == 0:
        raise ValueError(f"embeddings must have the shape (rows, dim), not {shape}: reshape them")
    if shape[0] < 2:
        raise ValueError(
            f"embeddings have {shape[0]} row(s), but a neighbour needs at least two: pass the whole test set"
        )


def _as_floats(integers: NDArray[Any]) -> NDArray[Any]:
    """The numbers as floats of the smallest type that holds all of them; ValueError if none does."""
    most = max((abs(int(number)) for number in (integers.min(initial=0), integers.max(initial=0))), default=0)
    return integers.astype(type_of_integers(most))


def type_of_integers(most: int) -> type[np.float32 | np.float64]:
    """The smallest type of floats that holds all whole numbers up to one; ValueError if none does."""
    if most > _LARGEST_WHOLE[np.float64]:
        raise ValueError(
            f"embeddings hold integers up to {most}, which no floating type holds exactly: divide by a power of two"
        )
    return np.float32 if most <= _LARGEST_WHOLE[np.float32] else np.float64


def as_array(values: ArrayLike) -> NDArray[Any]:
    """A list, array, tensor on any device or pandas column as an array."""
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    # numpy has no bfloat16; float32 holds every bfloat16 exactly
    return np.asarray((values.float() if values.dtype == torch.bfloat16 else values).numpy())


def _check_finite(rows: NDArray[Any]) -> None:
    bad = ~np.isfinite(rows).all(axis=1)
    refuse_infinite(int(bad.argmax()), int(bad.sum()))


def refuse_infinite(first: int, rows: int) -> None:
    """Refuse rows with NaN or infinity, if there are any; ValueError with the first and their number."""
    if rows:
        raise ValueError(
            f"embeddings hold NaN or infinity, first in row {first} "
            f"({rows} row(s) in all): look at the checkpoint that made them"
        )


def _as_indices(mask: ArrayLike | None, name: str, length: int) -> Integers:
    if mask is None:
        return np.arange(length)
    flags = as_array(mask)
    if flags.dtype != np.bool_ or flags.shape != (length,):
        raise ValueError(
            f"{name} must be a boolean mask of shape ({length},), one flag per embedding, not "
            f"{flags.dtype} of shape {flags.shape}: build it with a comparison"
        )
    if not flags.any():
        raise ValueError(f"{name} selects no row: set at least one flag of the mask")
    return np.flatnonzero(flags)


def squared_distances(points: Points, queries: Integers, columns: Integers) -> Floats:
    """The canonical squared Euclidean distances of pairs: what "nearer" means in this package.

    The difference of the two rows, its squares and their sum, each in float64, on the rows as
    given (no centring: differences of float32 numbers are then exact or correctly rounded). A
    value depends on its two rows alone, never on the pair's place among others or on the backend,
    so equal pairs of rows tie exactly. Rows so large or small that squares would overflow or
    underflow are first multiplied by a common power of two. Distances are then exact up to rounding
    down to 2^-500; below 2^-511 they lose digits and their order, below 2^-538 they are 0.

    Args:
        points: The rows.
        queries: (pairs,) positions in `points.query`.
        columns: (pairs,) positions in `points.gallery`.

    Returns:
        (pairs,) squared distances, in units of the rows squared (times the power of two squared).
    """
    distances = np.empty(len(queries))
    scale = _scale(points.exponent) if len(queries) else 1.0
    for part in _slabs(len(queries), points.dim):
        left = points.rows[points.query[queries[part]]].astype(np.float64)
        right = points.rows[points.gallery[columns[part]]].astype(np.float64)
        if scale != 1.0:
            left, right = left * scale, right * scale
        left -= right
        left *= left
        distances[part] = left.sum(axis=1)
    return distances


def _scale(exponent: int) -> float:
    return 1.0 if abs(exponent) < SAFE_EXPONENT else 2.0 ** max(-1000, min(1000, -exponent))


def _slabs(length: int, dim: int) -> Iterator[slice]:
    step = max(1, _SLAB_NUMBERS // dim)
    return (slice(start, start + step) for start in range(0, length, step))
