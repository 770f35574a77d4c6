"""Embeddings and labels from files: those of a run, or another program's."""

import pickle
import textwrap
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from relbench.evaluation.gallery.plan import half_of_free_memory
from relbench.evaluation.gallery.sharded import Sharding, sharded_query_results
from relbench.evaluation.gallery.sources import RowsInFile, layout_of, rows_in_file
from relbench.evaluation.knn.points import as_array
from relbench.evaluation.retrieval import means, retrieval_metrics
from relbench.files import check_memory, open_regular
from relbench.memory import free_for_this_process
from relbench.tensors import content_hash, read_tensors

Array = NDArray[Any]

_KEPT = "embeddings.npz"  # in the folder of a run
_OF_TORCH = (".pt", ".pth")
_NEEDED = ("embeddings", "labels")
_COPIES = 12  # of embeddings, where float32 is not precise enough for them
_MASKS = ("query", "gallery")  # kept where a data set separates them
# errors of numpy and zipfile on damaged files; MemoryError where a header announces too much
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
    """Arrays as they stand in files.

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
        """Hash of all arrays."""
        names = {} if self.names is None else {"names": self.names}
        return content_hash({"embeddings": self.embeddings, "labels": self.labels, **self.masks, **names})


def read_embeddings(path: Path, labels_path: Path | None = None) -> Stored:
    """Embeddings and their labels, from a run's file or from two files of your own.

    So a new metric needs no new training. Nothing in a file is ever executed: arrays of Python
    objects are refused.

    Args:
        path: An .npz file with the arrays `embeddings` and `labels`, and perhaps `query`, `gallery`
            and `names` (others are ignored), as runs write them; the folder of a run; a .pt or .pth
            file of torch.save with a dict of such tensors; or an .npy, .pt or .pth file with the
            embeddings alone.
        labels_path: An .npy, .pt or .pth file with the labels; None where `path` holds them.

    Returns:
        The arrays as they stand in the files; their contents are checked where they are used.

    Raises:
        ValueError: A file that can't be read or is damaged, a missing array, or labels that are
            missing or given twice; the message names the file.

    Example:
        >>> from relbench.evaluation import query_results, retrieval_metrics
        >>> run = Path("results/quickstart/runs/0123456789abcdef")
        >>> kept = read_embeddings(run / "embeddings.npz")  # doctest: +SKIP
        >>> retrieval_metrics(kept.embeddings, kept.labels, ks=(1, 100), **kept.masks)  # doctest: +SKIP
        >>> (query_results(kept.embeddings, kept.labels).rank == 2).mean()  # your own metric  # doctest: +SKIP
    """
    path = _in_folder(path) if path.is_dir() else path
    found = _read_npz(path) if path.suffix == ".npz" else _read_alone(path)
    if isinstance(found, Stored):
        if labels_path is not None:
            raise ValueError(f"{path} must hold the labels itself, so {labels_path} is one file too many: leave it out")
        return found
    return Stored(found, _read_labels(path, labels_path), {})


def _read_labels(path: Path, labels_path: Path | None) -> Array:
    """The labels of embeddings in a file of their own."""
    if labels_path is None:
        raise ValueError(f"{path} holds no labels: name a second file with them, or an .npz file with both")
    labels = _read_alone(labels_path)
    if isinstance(labels, Stored):
        raise ValueError(f"{labels_path} holds more than labels: name a file with a single array")
    return labels


def _in_folder(folder: Path) -> Path:
    """The embeddings in a run's folder; ValueError for a study's folder, or any other."""
    kept = folder / _KEPT
    if kept.is_file():
        return kept
    runs = sorted(folder.glob(f"runs/*/{_KEPT}"))
    if runs:
        raise ValueError(f"{folder} holds {len(runs)} runs: name one of them, such as {runs[0].parent}")
    raise ValueError(f"{folder} is a folder without {_KEPT}: name the folder of a finished run, or a file")


def stored_metrics(
    path: Path,
    labels_path: Path | None,
    ks: Sequence[int],
    advance: Callable[[int, int], None] | None = None,
    sharding: Sharding | None = None,
) -> dict[str, float]:
    """Metrics of embeddings in files, as `retrieval.retrieval_metrics` computes them.

    Args:
        path: As in `read_embeddings`.
        labels_path: As in `read_embeddings`.
        ks: The K of Recall@K, without repetition.
        advance: Called with the number of queries done since the last call, and of all queries.
        sharding: How the gallery is searched in shards, with the same numbers; None: in one piece, or in shards within
            half of the free memory where one piece might not fit into it. Of embeddings in an .npy file only parts are
            then in memory.

    Raises:
        ValueError: What `read_embeddings`, `retrieval_metrics` or `sharded_query_results` refuses; the message names
            the files.
    """
    embeddings, labels, masks = _opened(path, labels_path, in_parts=sharding is not None)
    total = int(np.count_nonzero(masks.get("query", np.ones(labels.shape[:1]))))

    def progress(done: int) -> None:
        if advance is not None:
            advance(done, total)

    with naming_files(path, labels_path):
        query, gallery = (masks.get(name) for name in _MASKS)
        if sharding is None and not isinstance(embeddings, RowsInFile) and not _is_large(embeddings.nbytes):
            return retrieval_metrics(embeddings, labels, ks, query=query, gallery=gallery, progress=progress)
        chosen = sharding or Sharding(half_of_free_memory())
        found = sharded_query_results(
            embeddings, labels, ks, sharding=chosen, query=query, gallery=gallery, progress=progress
        )
        return means(found, ks)


def _opened(
    path: Path, labels_path: Path | None, *, in_parts: bool
) -> tuple[Array | RowsInFile, Array, Mapping[str, Array]]:
    """Embeddings, labels and masks; those in an .npy file are left there if they are to be read in parts, or large."""
    if path.suffix == ".npy" and path.is_file() and (in_parts or _is_large(path.stat().st_size)):
        labels = _read_labels(path, labels_path)
        with _readable(path):
            layout = layout_of(path)
        with naming_files(path, labels_path):
            return rows_in_file(path, layout), labels, {}
    stored = read_embeddings(path, labels_path)
    return stored.embeddings, stored.labels, stored.masks


def _is_large(size: int) -> bool:
    """Whether embeddings might not fit into the free memory as often as they can be needed: as given, and widened."""
    return size * _COPIES > free_for_this_process()


@contextmanager
def naming_files(path: Path, labels_path: Path | None) -> Iterator[None]:
    """Let refusals of what stands in files name these."""
    try:
        yield
    except (ValueError, TypeError) as error:
        files = " and ".join(str(file) for file in (path, labels_path) if file)
        raise ValueError(f"{files}: {error}") from None


def _read_npy(path: Path) -> Array:
    with _readable(path), open_regular(path) as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _read_alone(path: Path) -> Array | Stored:
    """The array of a file, or the arrays of a file of torch.save."""
    if path.suffix not in _OF_TORCH:
        return _read_npy(path)
    with _readable(path):
        held = _read_saved(path)
    if isinstance(held, dict):
        found = {name: as_array(held[name]) for name in {*_NEEDED, *_MASKS, "names"}.intersection(held)}
        return _stored(path, found, [str(name) for name in held])
    if not isinstance(held, torch.Tensor):
        raise ValueError(f"{path} holds a {type(held).__name__}: save a tensor, or a dict with {' and '.join(_NEEDED)}")
    return as_array(held)


def _read_saved(path: Path) -> Any:
    try:
        return read_tensors(path)
    except pickle.UnpicklingError:
        raise ValueError("it holds more than tensors, which could only be read by executing it") from None


def _read_npz(path: Path) -> Stored:
    found: dict[str, Array] = {}
    with _readable(path), open_regular(path) as whole, zipfile.ZipFile(whole) as archive:
        held = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        wanted = {*_NEEDED, *_MASKS, "names"}.intersection(held)
        check_memory(sum(archive.getinfo(f"{name}.npy").file_size for name in wanted))
        for name in wanted:
            with archive.open(f"{name}.npy") as file:
                found[name] = np.lib.format.read_array(file, allow_pickle=False)
    return _stored(path, found, held)


def _stored(path: Path, found: Mapping[str, Array], held: Sequence[str]) -> Stored:
    for name in _NEEDED:
        if name not in found:
            raise ValueError(f"{path} holds no array {name!r} (it holds {', '.join(held) or 'nothing'}): add it")
    masks = {name: found[name] for name in _MASKS if name in found}
    return Stored(found["embeddings"], found["labels"], masks, found.get("names"))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn errors of reading into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror or error}") from None
    except _DAMAGE as error:
        kind = path.suffix if path.suffix in {".npz", *_OF_TORCH} else ".npy"
        what = textwrap.shorten(str(error), 200) or type(error).__name__
        raise ValueError(
            f"{path} is not a readable {kind} file of numbers or strings ({what}): save it again"
        ) from None
