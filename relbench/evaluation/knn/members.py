"""Which columns of a gallery have the same number, such as that of their class."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


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
