"""Rows of embeddings that are read piece by piece: from an .npy file, or from an array of the caller's.

A file is read, not mapped: pages of a mapped file count as memory of the process, and where the file is cut short while
it is searched, touching a page that is gone kills the process. Each read looks whether the file is still the same.
"""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from relbench.evaluation.knn.points import Integers, check_matrix, check_type
from relbench.files import open_regular

Rows = NDArray[Any]
Stamp = tuple[int, int, int]

_BYTES_AT_ONCE = 1 << 22
_BYTES_SKIPPED = 1 << 16  # between two rows: fewer are read sooner than the file is asked again


class Source(Protocol):
    """Rows that can be read again and again, by any process that can unpickle it."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and of columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""

    def part(self, start: int, stop: int) -> Self:
        """Consecutive rows."""

    def picked(self, rows: Integers) -> Self:
        """Rows by ascending number."""

    def pieces(self) -> Iterator[Rows]:
        """All rows, a few MB at a time; the next piece overwrites none."""


@dataclass(frozen=True)
class RowsInMemory:
    """Rows of an array.

    Attributes:
        rows: ``(n, dim)``.
    """

    rows: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and of columns."""
        return self.rows.shape[0], self.rows.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        return self.rows.dtype

    def part(self, start: int, stop: int) -> "RowsInMemory":
        """Consecutive rows, without a copy."""
        return RowsInMemory(self.rows[start:stop])

    def picked(self, rows: Integers) -> "RowsInMemory":
        """Rows by ascending number; a copy."""
        return RowsInMemory(self.rows[rows])

    def pieces(self) -> Iterator[Rows]:
        """All rows, a few MB at a time."""
        step = rows_at_once(self)
        return (self.rows[start : start + step] for start in range(0, len(self.rows), step))


@dataclass(frozen=True)
class Layout:
    """What the header of an .npy file says, and which file it is.

    Attributes:
        offset: of the first number, in bytes.
        shape: of the array.
        dtype: of the numbers.
        by_column: whether they are stored column by column.
        stamp: size, time of the last change and inode of the file.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_column: bool
    stamp: Stamp


@dataclass(frozen=True)
class RowsInFile:
    """Rows of a matrix in an .npy file.

    Attributes:
        path: of the file.
        layout: what its header said when it was opened first.
        start: the first row.
        stop: one more than the last.
        chosen: ascending numbers of the rows, counted from `start`; None: all.
    """

    path: Path
    layout: Layout
    start: int
    stop: int
    chosen: Integers | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and of columns."""
        return self.stop - self.start if self.chosen is None else len(self.chosen), self.layout.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        return self.layout.dtype

    def part(self, start: int, stop: int) -> "RowsInFile":
        """Consecutive rows."""
        if self.chosen is not None:
            return replace(self, chosen=self.chosen[start:stop])
        return replace(self, start=self.start + start, stop=self.start + stop)

    def picked(self, rows: Integers) -> "RowsInFile":
        """Rows by ascending number."""
        return replace(self, chosen=rows if self.chosen is None else self.chosen[rows])

    def pieces(self) -> Iterator[Rows]:
        """All rows, read in order; what lies between them only where they are close."""
        chosen, step = self.chosen, rows_at_once(self)
        with self._opened() as file:
            for first, last in self._runs():
                for start in range(first, last, step):
                    read = self._read(file, self.start + start, min(step, last - start))
                    if chosen is not None:
                        within = slice(*np.searchsorted(chosen, (start, min(start + step, last))))
                        read = read[chosen[within] - start]
                    yield read

    def _runs(self) -> Iterator[tuple[int, int]]:
        """The first row, counted from `start`, and one more than the last, of rows that are read together."""
        if self.chosen is None:
            return iter([(0, self.stop - self.start)])
        number, columns = self.layout.dtype.itemsize, self.layout.shape[1]
        skipped = (np.diff(self.chosen) - 1) * (number if self.layout.by_column else number * columns)
        runs = np.split(self.chosen, 1 + np.flatnonzero(skipped > _BYTES_SKIPPED))
        return ((int(run[0]), int(run[-1]) + 1) for run in runs)

    def _opened(self) -> BufferedReader:
        try:
            return open_regular(self.path)
        except OSError as error:
            raise ValueError(
                f"{self.path} can't be read on {platform.node()} ({error.strerror or error}): put it where all who "
                "search it can read it, under the same path"
            ) from None

    def _read(self, file: BufferedReader, first: int, count: int) -> Rows:
        """Consecutive rows, read into new memory."""
        (all_rows, columns), dtype = self.layout.shape, self.layout.dtype
        if self.layout.by_column:
            rows = np.empty((columns, count), dtype)
            for column in range(columns):
                self._fill(file, rows[column], column * all_rows + first)
            rows = rows.T
        else:
            rows = np.empty((count, columns), dtype)
            self._fill(file, rows.reshape(-1), first * columns)
        if _stamp(file) != self.layout.stamp:
            raise self._changed()
        return rows

    def _fill(self, file: BufferedReader, numbers: Rows, first: int) -> None:
        file.seek(self.layout.offset + first * self.layout.dtype.itemsize)
        if file.readinto(numbers.view(np.uint8).data) != numbers.nbytes:
            raise self._changed()

    def _changed(self) -> ValueError:
        return ValueError(
            f"{self.path} has changed while it was read, or is another file on {platform.node()}: wait until the "
            "program that writes it is done, or let all who search it see the same file, then try again"
        )


@dataclass(frozen=True)
class Joined:
    """Rows of several sources, one after another.

    Attributes:
        parts: of one width, and of numbers of one type.
    """

    parts: tuple[Source, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and of columns."""
        return sum(part.shape[0] for part in self.parts), self.parts[0].shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        return self.parts[0].dtype

    def part(self, start: int, stop: int) -> "Joined":
        """Consecutive rows."""
        cuts = [(max(0, start - first), min(part.shape[0], stop - first)) for part, first in self._placed()]
        return Joined(tuple(part.part(*cut) for part, cut in zip(self.parts, cuts, strict=True) if cut[0] < cut[1]))

    def picked(self, rows: Integers) -> "Joined":
        """Rows by ascending number."""
        chosen = [rows[(rows >= first) & (rows < first + part.shape[0])] - first for part, first in self._placed()]
        return Joined(tuple(part.picked(own) for part, own in zip(self.parts, chosen, strict=True) if len(own)))

    def pieces(self) -> Iterator[Rows]:
        """All rows, a few MB at a time."""
        return (piece for part in self.parts for piece in part.pieces())

    def _placed(self) -> Iterator[tuple[Source, int]]:
        """Each part, and the number of its first row."""
        first = 0
        for part in self.parts:
            yield part, first
            first += part.shape[0]


def rows_at_once(source: Source) -> int:
    """Number of rows of a piece."""
    return max(1, _BYTES_AT_ONCE // (source.shape[1] * source.dtype.itemsize))


def layout_of(path: Path) -> Layout:
    """What the header of an .npy file says; no number is read.

    Raises:
        OSError: the file can't be read.
        ArithmeticError: its header says more numbers than can be counted.
        ValueError: its header is damaged, or it is cut short.
    """
    with open_regular(path) as file:
        stamp = _stamp(file)
    with np.errstate(over="raise"):  # of a size that no number can hold
        mapped = np.lib.format.open_memmap(path, mode="r")  # checks header and size
    return Layout(mapped.offset, mapped.shape, mapped.dtype, not mapped.flags.c_contiguous, stamp)


def rows_in_file(path: Path, layout: Layout) -> RowsInFile:
    """The rows of a matrix in an .npy file, none of which is read yet; else what `points` refuses."""
    check_type(layout.dtype)
    check_matrix(layout.shape)
    return RowsInFile(path, layout, 0, layout.shape[0])


def rows_in_memory(rows: Rows) -> RowsInMemory:
    """The rows of a matrix; else what `points` refuses."""
    check_type(rows.dtype)
    check_matrix(rows.shape)
    return RowsInMemory(rows)


def _stamp(file: BufferedReader) -> Stamp:
    """Size, time of the last change, and inode."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ino
