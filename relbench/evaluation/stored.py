"""Embeddings and labels from files: what a run keeps, or what another program has saved."""

import textwrap
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench.evaluation.retrieval import retrieval_metrics
from relbench.files import check_memory, open_regular
from relbench.tensors import content_hash

Array = NDArray[Any]

_NEEDED = ("embeddings", "labels")
_MASKS = ("query", "gallery")  # kept where a data set tells them apart
# what numpy and zipfile raise on damaged files; MemoryError where a header promises too much
_DAMAGE = (
    ValueError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Stored:
    """What files hold, as it stands in them.

    Attributes:
        embeddings: (n, dim)
        labels: (n,)
        masks: `query` and `gallery`, each (n,), where the file has them.
        names: (n,) of the images, where the file has them.
    """

    embeddings: Array
    labels: Array
    masks: Mapping[str, Array]
    names: Array | None = None

    @property
    def hash(self) -> str:
        """Of all that is held."""
        names = {} if self.names is None else {"names": self.names}
        return content_hash({"embeddings": self.embeddings, "labels": self.labels, **self.masks, **names})


def read_embeddings(path: Path, labels_path: Path | None = None) -> Stored:
    """Embeddings and their labels, from the one file that a run keeps or from two of your own.

    So a new metric needs no new training. Nothing in a file is ever executed: arrays of Python
    objects are refused.

    Args:
        path: An .npz file with the arrays `embeddings` and `labels`, and perhaps `query`, `gallery`
            and `names` (others are left alone), as each run keeps one; or an .npy file with the
            embeddings alone.
        labels_path: An .npy file with the labels; None for an .npz, which holds them.

    Returns:
        The arrays as they stand in the files; their contents are checked by who uses them.

    Raises:
        ValueError: A file that can't be read or is damaged, an array that is not there, or labels
            that are missing or given twice; names the file.

    Example:
        >>> from relbench.evaluation import per_query, retrieval_metrics
        >>> run = Path("results/quickstart/runs/0123456789abcdef")
        >>> kept = read_embeddings(run / "embeddings.npz")  # doctest: +SKIP
        >>> retrieval_metrics(kept.embeddings, kept.labels, ks=(1, 100), **kept.masks)  # doctest: +SKIP
        >>> (per_query(kept.embeddings, kept.labels).rank == 2).mean()  # your own  # doctest: +SKIP
    """
    if path.suffix == ".npz":
        if labels_path is not None:
            raise ValueError(f"{path} must hold the labels itself, so {labels_path} is one file too many: leave it out")
        return _read_npz(path)
    if labels_path is None:
        raise ValueError(f"{path} comes without labels: name a second file with them, or an .npz file that holds both")
    return Stored(_read_npy(path), _read_npy(labels_path), {})


def stored_metrics(path: Path, labels_path: Path | None, ks: Sequence[int]) -> dict[str, float]:
    """`retrieval.retrieval_metrics` of files.

    Args:
        path: As in `read_embeddings`.
        labels_path: As in `read_embeddings`.
        ks: The K of Recall@K, without repetition.

    Raises:
        ValueError: What `read_embeddings` or `retrieval_metrics` refuses; names the files.
    """
    stored = read_embeddings(path, labels_path)
    query, gallery = (stored.masks.get(name) for name in _MASKS)
    try:
        return retrieval_metrics(stored.embeddings, stored.labels, ks, query=query, gallery=gallery)
    except (ValueError, TypeError) as error:
        files = " and ".join(str(file) for file in (path, labels_path) if file)
        raise ValueError(f"{files}: {error}") from None


def _read_npy(path: Path) -> Array:
    with _readable(path), open_regular(path) as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _read_npz(path: Path) -> Stored:
    found: dict[str, Array] = {}
    with _readable(path), open_regular(path) as whole, zipfile.ZipFile(whole) as archive:
        held = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        wanted = {*_NEEDED, *_MASKS, "names"}.intersection(held)
        check_memory(sum(archive.getinfo(f"{name}.npy").file_size for name in wanted))
        for name in wanted:
            with archive.open(f"{name}.npy") as file:
                found[name] = np.lib.format.read_array(file, allow_pickle=False)
    for name in _NEEDED:
        if name not in found:
            raise ValueError(f"{path} holds no array {name!r} (it holds {', '.join(held) or 'nothing'}): add it")
    masks = {name: found[name] for name in _MASKS if name in found}
    return Stored(found["embeddings"], found["labels"], masks, found.get("names"))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name the file in whatever is wrong with it, in one line."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror or error}") from None
    except _DAMAGE as error:
        kind = ".npz" if path.suffix == ".npz" else ".npy"
        what = textwrap.shorten(str(error), 200) or type(error).__name__
        raise ValueError(f"{path} is not a readable {kind} file of numbers or texts ({what}): save it again") from None
