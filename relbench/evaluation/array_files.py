"""Arrays in files, each by its name: .npy, .npz, .pt, .pth and .safetensors; `table_files` has columns likewise.

Nothing in a file is ever executed: arrays of Python objects are refused, and pickles that need code.
"""

import csv
import struct
import textwrap
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from relbench.evaluation.knn.points import as_array
from relbench.files import check_memory, open_regular
from relbench.tensors import read_tensors

Array = NDArray[Any]

OF_TORCH = (".pt", ".pth")
NAMED = {".npz", *OF_TORCH, ".safetensors", ".parquet", ".csv"}
"""Endings of files that are read as what they say; all others are read as .npy files."""

# errors of numpy, zipfile, torch, pandas and pyarrow on damaged files; MemoryError where a header announces too much
_DAMAGE = (
    OSError,  # without a number: pyarrow's
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    EOFError,
    MemoryError,
    AssertionError,  # torch, of the format before 1.6, and so the next two
    AttributeError,
    struct.error,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    SafetensorError,
    csv.Error,
)


class Held(Protocol):
    """What a file holds, read when it is asked for."""

    @property
    def labels(self) -> str:
        """Usual name of the labels."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all arrays or columns; none where it is a single array without a name."""

    def rows(self, name: str) -> Array:
        """The matrix of embeddings or logits, by what is in it.

        Raises:
            ValueError: it is not there, or can't be read; one line that names the file.
        """

    def array(self, name: str) -> Array:
        """The array or column of a name.

        Raises:
            ValueError: it is not there, or can't be read; one line that names the file.
        """


@dataclass(frozen=True)
class Single:
    """An array without a name.

    Attributes:
        path: of the file.
        content: the array.
        labels: the usual name of labels elsewhere.
    """

    path: Path
    content: Array
    labels: str = "labels"

    @property
    def names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def rows(self, name: str) -> Array:  # noqa: ARG002 - as files with names have it
        """The array, whatever it is called."""
        return self.content

    def array(self, name: str) -> Array:
        """Refused: it has no name."""
        raise ValueError(f"{self.path} holds a single array without a name, and so no {name!r}: name a file of it")


@dataclass(frozen=True)
class Archive:
    """Arrays of an .npz file.

    Attributes:
        path: of the file.
        labels: the usual name of labels.
    """

    path: Path
    labels: str = "labels"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of all arrays."""
        with readable(self.path), open_regular(self.path) as whole, zipfile.ZipFile(whole) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))

    def rows(self, name: str) -> Array:
        """The array of this name."""
        return self.array(name)

    def array(self, name: str) -> Array:
        """The array of a name."""
        refuse_missing(self.path, name, self.names, "array")
        with readable(self.path), open_regular(self.path) as whole, zipfile.ZipFile(whole) as archive:
            check_memory(archive.getinfo(f"{name}.npy").file_size)
            with archive.open(f"{name}.npy") as file:
                array: Array = np.lib.format.read_array(file, allow_pickle=False)
                return array


@dataclass(frozen=True)
class Tensors:
    """Tensors of a file of torch.save, or of a .safetensors file.

    Attributes:
        path: of the file.
        content: the tensors, by name.
        labels: the usual name of labels.
    """

    path: Path
    content: Mapping[str, Any]
    labels: str = "labels"

    @property
    def names(self) -> tuple[str, ...]:
        """Of all tensors."""
        return tuple(self.content)

    def rows(self, name: str) -> Array:
        """The tensor of this name."""
        return self.array(name)

    def array(self, name: str) -> Array:
        """The tensor, or list, of a name."""
        refuse_missing(self.path, name, self.names, "array")
        with readable(self.path):
            return as_array(self.content[name])


def refuse_missing(path: Path, name: str, names: tuple[str, ...], kind: str) -> None:
    """Refuse a name that a file does not hold.

    Raises:
        ValueError: one line with what it holds.
    """
    if name not in names:
        raise ValueError(
            f"{path} holds no {kind} {name!r} (it holds {', '.join(names) or 'nothing'}): add it, or name another"
        )


def read_npy(path: Path) -> Single:
    """The array of an .npy file."""
    with readable(path), open_regular(path) as file:
        return Single(path, np.lib.format.read_array(file, allow_pickle=False))


def read_saved(path: Path) -> Held:
    """The tensor, or the dict of tensors, in a file of torch.save."""
    with readable(path):
        held = read_tensors(path)
    if isinstance(held, dict):
        return Tensors(path, {str(name): value for name, value in held.items()})
    if not isinstance(held, torch.Tensor):
        raise ValueError(f"{path} holds a {type(held).__name__}: save a tensor, or a dict with embeddings and labels")
    return Single(path, as_array(held))


def read_safetensors(path: Path) -> Tensors:
    """The tensors of a .safetensors file."""
    with readable(path):
        open_regular(path).close()  # the library would wait for a pipe
        check_memory(path.stat().st_size)
        with safe_open(path, framework="pt") as file:
            return Tensors(path, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 - no dict


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn errors of reading into one line that names the file."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ValueError(f"{path} can't be read: {error.strerror or error}") from None
        kind = path.suffix if path.suffix in NAMED else ".npy"
        what = textwrap.shorten(str(error), 200) or type(error).__name__
        raise ValueError(
            f"{path} is not a readable {kind} file of numbers or strings ({what}): save it again"
        ) from None
