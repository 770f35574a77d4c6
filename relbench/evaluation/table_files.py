"""Embeddings in tables with a line for each image: .csv files; for .parquet files see `parquet_files`.

Which columns are the embedding is found by one rule (`family_of`), and refused where it could be read in two ways.
"""

import csv
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relbench.evaluation.array_files import Array, readable, refuse_missing
from relbench.files import check_memory, open_regular

if TYPE_CHECKING:
    import pandas as pd

Texts = NDArray[np.object_]

LABELS = "label"
"""Usual name of the column of labels."""

MASKS = ("query", "gallery")
_NUMBERED = re.compile(r"(.*(?<!\d)|)(\d{1,9})", re.DOTALL | re.ASCII)
_WHOLE = re.compile(r"-?[1-9]\d{0,17}|0")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def family_of(path: Path, names: Sequence[str], matrix: str) -> list[str]:
    """The numbered columns that are a matrix: of one name, with numbers from 0 or from 1 without a gap.

    Args:
        path: of the table, for messages.
        names: of columns, in any order.
        matrix: what is in them, for messages.

    Returns:
        The names in the order of their numbers.

    Raises:
        ValueError: there are none, or those of several names.

    Example:
        >>> family_of(Path("a.csv"), ["label", "e1", "e0", "year2019"], "embeddings")
        ['e0', 'e1']
    """
    families: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if parts := _NUMBERED.fullmatch(name):
            families.setdefault(parts[1], []).append((int(parts[2]), name))
    whole = [sorted(family) for family in families.values() if _is_whole([number for number, _ in family])]
    if len(whole) == 1:
        return [name for _, name in whole[0]]
    several = " and ".join(f"{family[0][1]}, ..." for family in whole)
    held = f"several could be meant ({several})" if whole else f"it holds {_some(names)}"
    raise ValueError(
        f"{path} must hold {matrix} in columns of one name with numbers from 0 or 1 without a gap, such as e0, e1, e2, "
        f"but {held}: rename columns, or leave some out"
    )


def _is_whole(numbers: Sequence[int]) -> bool:
    """Whether they are 0, 1, and so on, or 1, 2, and so on, in any order."""
    return min(numbers) < 2 and sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers)))


def _some(names: Sequence[str], most: int = 8) -> str:
    return f"{', '.join(names[:most])}{', ...' if len(names) > most else ''}" or "nothing"


@dataclass(frozen=True)
class Csv:
    """Columns of a .csv file, with their names in its first line.

    Columns other than the matrix are read as they are written, so that a class may be called NA, and 01 is not 1.

    Attributes:
        path: of the file.
        matrix: what its numbered columns hold; None: it is read for its other columns alone.
        asked: names of columns that are no part of the matrix.
        labels: the usual name of labels.
    """

    path: Path
    matrix: str | None
    asked: tuple[str, ...] = ()
    labels: str = LABELS

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of all columns."""
        with (
            readable(self.path),
            open_regular(self.path) as file,
            io.TextIOWrapper(file, "utf-8-sig", newline="") as lines,
        ):
            found = tuple(next(csv.reader(lines, strict=True), []))
            if len(found) == 1 and re.search("[;\t]", found[0]):
                raise ValueError("its fields are not separated by commas")
            refuse_twice(found)
            return found

    def rows(self, name: str) -> Array:  # noqa: ARG002 - as files with several matrices have it
        """The numbered columns, as float64."""
        return self._frame[self._family].to_numpy(np.float64)

    def array(self, name: str) -> Array:
        """A column: whole numbers where all are written as such, else texts, with None for what is missing."""
        refuse_missing(self.path, name, self.names, "column")
        texts = np.array([text or None for text in self._frame[name].fillna("").tolist()], dtype=object)
        return _flags(self.path, name, texts) if name in MASKS else _typed(texts)

    @cached_property
    def _family(self) -> list[str]:
        others = [name for name in self.names if name not in self.asked]
        return [] if self.matrix is None else family_of(self.path, others, self.matrix)

    @cached_property
    def _frame(self) -> "pd.DataFrame":
        import pandas as pd  # noqa: PLC0415 - takes longer to load than most files to read

        family = set(self._family)
        types = {name: np.float64 if name in family else str for name in self.names}
        with readable(self.path), open_regular(self.path) as file, warnings.catch_warnings():
            check_memory(self.path.stat().st_size)
            warnings.simplefilter("error", pd.errors.ParserWarning)
            try:
                return pd.read_csv(
                    file,
                    dtype=types,
                    index_col=False,
                    encoding="utf-8-sig",
                    keep_default_na=False,
                    na_values={name: ["", "nan", "NaN"] for name in family},
                    skip_blank_lines=False,
                )
            except pd.errors.ParserWarning:
                raise ValueError("lines have more fields than the first has names") from None


def refuse_twice(names: Sequence[str]) -> None:
    """Refuse columns of the same name; ValueError with it."""
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"it has several columns {twice[0]!r}")


def _typed(texts: Texts) -> Array:
    """Whole numbers, where all texts are written as such."""
    if all(text is not None and _WHOLE.fullmatch(text) for text in texts):
        return texts.astype(np.int64)
    return texts


def _flags(path: Path, name: str, texts: Texts) -> Array:
    strange = [row for row, text in enumerate(texts) if str(text).lower() not in _FLAGS]
    if strange:
        raise ValueError(
            f"{path}: column {name!r} must hold true or false, or 1 or 0, but row {strange[0]} holds "
            f"{texts[strange[0]]!r}: correct it"
        )
    return np.array([_FLAGS[text.lower()] for text in texts], dtype=bool)
