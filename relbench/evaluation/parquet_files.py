"""Embeddings in .parquet files, which pyarrow reads column by column."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from relbench.evaluation.array_files import Array, readable, refuse_missing
from relbench.evaluation.table_files import LABELS, family_of, refuse_twice
from relbench.extras import needed
from relbench.files import check_memory, open_regular
from relbench.memory import free_for_this_process

LISTS = {"embeddings": "embedding", "logits": "logits"}
"""Column of lists that holds the matrix, by what is in it."""


@dataclass(frozen=True)
class Parquet:
    """Columns of a .parquet file.

    Attributes:
        path: of the file.
        asked: names of columns that are no part of the matrix.
        labels: the usual name of labels.
    """

    path: Path
    asked: tuple[str, ...] = ()
    labels: str = LABELS

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of all columns."""
        needed("pyarrow", "parquet", str(self.path))
        import pyarrow.parquet as pq  # noqa: PLC0415 - optional

        with _readable(self.path), open_regular(self.path) as file:
            found = tuple(pq.read_schema(file).names)
            refuse_twice(found)
            return found

    def rows(self, name: str) -> Array:
        """The column of lists, or else the numbered columns."""
        if LISTS[name] in self.names:
            return self._lists(LISTS[name])
        family = family_of(self.path, [each for each in self.names if each not in self.asked], name)
        columns = self._read(family)
        with _readable(self.path):
            return np.column_stack([_numbers(columns[each], each) for each in family])

    def _lists(self, name: str) -> Array:
        chunks = [chunk for chunk in self._read([name])[name].chunks if len(chunk)]
        with _readable(self.path):
            parts = [_matrix(chunk, name) for chunk in chunks]
            if len({part.shape[1] for part in parts}) > 1:
                raise ValueError(f"column {name!r} holds lists of several lengths")
            return np.concatenate(parts) if parts else np.empty((0, 0))

    def array(self, name: str) -> Array:
        """A column of numbers, texts or flags; texts with None for what is missing."""
        refuse_missing(self.path, name, self.names, "column")
        column = self._read([name])[name]
        with _readable(self.path):
            return _values(column, name)

    def _read(self, names: Sequence[str]) -> dict[str, Any]:
        """Columns by name."""
        import pyarrow.parquet as pq  # noqa: PLC0415 - optional

        with _readable(self.path), open_regular(self.path) as file, pq.ParquetFile(file) as parquet:
            check_memory(_size(parquet.metadata, names))
            table = parquet.read(columns=list(names))
            return {name: table.column(name) for name in names}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn all errors of pyarrow, too, into one line that names the file."""
    import pyarrow as pa  # noqa: PLC0415 - optional

    with readable(path):
        try:
            yield
        except pa.ArrowException as error:
            raise ValueError(str(error)) from None


def _size(metadata: Any, names: Sequence[str]) -> int:
    """Bytes of some columns, unpacked, as far as the file says; or of all of them, where these fit into memory.

    Columns are looked at where they must be alone: where their entries are damaged, pyarrow ends the process.
    """
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    whole = sum(int(group.total_byte_size) for group in groups)
    if whole <= free_for_this_process():
        return whole
    wanted = set(names)
    chunks = (group.column(place) for group in groups for place in range(metadata.num_columns))
    return sum(each.total_uncompressed_size for each in chunks if each.path_in_schema.split(".")[0] in wanted)


def _matrix(chunk: Any, name: str) -> Array:
    """``(rows, dim)`` from lists of one length."""
    import pyarrow as pa  # noqa: PLC0415 - optional

    lists = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
    is_list = pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)
    if not (is_list or pa.types.is_fixed_size_list(lists.type)):
        raise ValueError(f"column {name!r} holds {lists.type}, not lists of numbers")
    lengths = {None} if lists.null_count else set(lists.value_lengths().unique().to_pylist())
    if None in lengths or len(lengths) > 1:
        raise ValueError(f"column {name!r} holds lists of several lengths, or lacks some")
    return _numbers(lists.flatten(), name).reshape(len(lists), *lengths)


def _numbers(column: Any, name: str) -> Array:
    """Numbers of a column, with NaN for those that are missing."""
    import pyarrow as pa  # noqa: PLC0415 - optional

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise ValueError(f"column {name!r} holds {column.type}, not numbers")
    return np.asarray(column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy())


def _values(column: Any, name: str) -> Array:
    """Labels and the like."""
    import pyarrow as pa  # noqa: PLC0415 - optional

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if texts or column.null_count:
        return np.array(column.to_pylist(), dtype=object)  # to_numpy would lose what is missing from a dictionary
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.asarray(column.to_numpy())
    raise ValueError(f"column {name!r} holds {column.type}, not numbers or texts")
