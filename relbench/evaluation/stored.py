"""Embeddings and labels from files: those of a run, or another program's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relbench.evaluation.array_files import (
    NAMED,
    OF_TORCH,
    Archive,
    Array,
    Held,
    read_npy,
    read_safetensors,
    read_saved,
)
from relbench.evaluation.beside import Beside, followed, refuse_other_rows
from relbench.evaluation.parquet_files import Parquet
from relbench.evaluation.retrieval import check_labels
from relbench.evaluation.table_files import Csv
from relbench.tensors import content_hash

KEPT = "embeddings.npz"
"""In the folder of a run."""

MASKS = ("query", "gallery")  # kept where a data set separates them
NAMES = "names"
_ENDINGS = NAMED | {".npy"}


@dataclass(frozen=True)
class Stored:
    """Arrays as they stand in files.

    Attributes:
        embeddings: (n, dim)
        labels: (n,)
        masks: `query` and `gallery`, each (n,), where the file has them.
        names: (n,) of the images, where the file has them.
        ignore: (n,) by which queries pass over gallery items, where that is asked for.
    """

    embeddings: Array
    labels: Array
    masks: Mapping[str, Array]
    names: Array | None = None
    ignore: Array | None = None

    @property
    def beside(self) -> Beside:
        """All but the embeddings."""
        return Beside(self.labels, self.masks, self.names, self.ignore)

    @property
    def hash(self) -> str:
        """Hash of all arrays that a run keeps."""
        names = {} if self.names is None else {"names": self.names}
        return content_hash({"embeddings": self.embeddings, "labels": self.labels, **self.masks, **names})


@dataclass(frozen=True)
class Files:
    """Where embeddings are, and what belongs to them.

    Attributes:
        embeddings: file of the embeddings, or the folder of a run.
        labels: file of the labels; None where `embeddings` holds them.
        label_column: name of the labels in the file that holds them; None: `labels`, or `label` in a table.
        ignore: by what queries pass over gallery items: name of an array or column of either file, or a file of its
            own, which is known by its ending; None: by nothing.
        matrix: what is in `embeddings`: "embeddings" or "logits".
        gallery: files of the gallery, where `embeddings` are queries alone; None: all are in `embeddings`.
    """

    embeddings: Path
    labels: Path | None = None
    label_column: str | None = None
    ignore: str | None = None
    matrix: str = "embeddings"
    gallery: "Files | None" = None

    @property
    def paths(self) -> list[Path]:
        """The files that are named."""
        own = [self.embeddings] if self.labels is None else [self.embeddings, self.labels]
        return own if self.gallery is None else [*own, *self.gallery.paths]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of columns that are asked for, and so no part of a matrix."""
        return tuple(name for name in (self.label_column, self.ignore) if name is not None)


def read_embeddings(
    path: Path, labels_path: Path | None = None, *, label_column: str | None = None, ignore: str | None = None
) -> Stored:
    """Embeddings and their labels, from a run's file or from files of your own.

    So a new metric needs no new training. Nothing in a file is ever executed: arrays of Python
    objects are refused.

    Args:
        path: An .npz file with the arrays `embeddings` and `labels`, and perhaps `query`, `gallery`
            and `names` (others are ignored), as runs write them; the folder of a run; a .pt or .pth
            file of torch.save with a dict of such tensors, or a .safetensors file; a .parquet or .csv
            file with a column `label`, perhaps `query`, `gallery` and `name`, and the embedding in a
            column `embedding` of lists (.parquet) or in numbered columns such as e0, e1, e2; or an
            .npy, .pt or .pth file with the embeddings alone.
        labels_path: A file of any of these kinds with the labels; None where `path` holds them.
        label_column: Name of the labels in the file that holds them, where it is another.
        ignore: By what queries pass over gallery items of their class: the name of an array or
            column of either file, or the path of a file with a single array or column.

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
    return read_files(Files(path, labels_path, label_column, ignore))


def read_files(files: Files) -> Stored:
    """What `read_embeddings` returns; with files of a gallery, the queries and then the gallery, with masks."""
    held = open_file(files.embeddings, files.matrix, files.columns)
    rows, beside = held.rows(files.matrix), read_beside(files, held)
    if files.gallery is None:
        return Stored(rows, beside.labels, beside.masks, beside.names, beside.ignore)
    gallery = read_files(files.gallery)
    with naming_files(*files.paths):
        refuse_other_rows(rows, gallery.embeddings)
        both = followed(beside, gallery.beside, len(rows), len(gallery.embeddings))
        rows = np.concatenate([rows, gallery.embeddings])
    return Stored(rows, both.labels, both.masks, both.names, both.ignore)


def read_beside(files: Files, held: Held | None) -> Beside:
    """What belongs to embeddings, of whose gallery nothing is read.

    Args:
        files: where they are.
        held: the file of the embeddings; None: it holds nothing else.
    """
    of_labels = held if files.labels is None else open_file(files.labels, None, files.columns)
    labels = _labels(files, held, of_labels)
    known = () if held is None else held.names
    masks = {name: held.array(name) for name in MASKS if held is not None and name in known}
    names = next((held.array(name) for name in (NAMES, "name") if held is not None and name in known), None)
    if names is not None and names.dtype == object:  # of a table
        names = check_labels(names, len(names), NAMES)
    return Beside(labels, masks, names, _ignored(files, held, of_labels))


def _labels(files: Files, held: Held | None, of_labels: Held | None) -> Array:
    """The labels, in the one file that holds them."""
    path = files.embeddings
    if of_labels is None or (of_labels is held and not held.names):
        raise ValueError(f"{path} holds no labels: name a second file with them, or an .npz file with both")
    if of_labels is not held and held is not None and (files.label_column or held.labels) in held.names:
        raise ValueError(f"{path} must hold the labels itself, so {files.labels} is one file too many: leave it out")
    return of_labels.array(files.label_column or of_labels.labels) if of_labels.names else of_labels.rows("labels")


def _ignored(files: Files, held: Held | None, of_labels: Held | None) -> Array | None:
    """What queries pass over gallery items by."""
    name = files.ignore
    if name is None:
        return None
    if is_file_name(name):
        return _only_array(Path(name))
    named = [each for each in (held, of_labels) if each is not None and each.names]
    if not named:
        raise ValueError(f"{files.embeddings} has no {name!r} beside it: name a file of it, such as {name}.npy")
    return next((each for each in named if name in each.names), named[-1]).array(name)


def is_file_name(name: str) -> bool:
    """Whether a name is that of a file, by its ending, and so not that of an array or column."""
    return Path(name).suffix in _ENDINGS


def _only_array(path: Path) -> Array:
    held = open_file(path, None)
    if len(held.names) > 1:
        raise ValueError(
            f"{path} holds {', '.join(held.names)}: name a file with a single array or column, or a column of the "
            "embeddings' file"
        )
    return held.array(held.names[0]) if held.names else held.rows("ignore")


def open_file(path: Path, matrix: str | None, asked: tuple[str, ...] = ()) -> Held:
    """A file by its ending, or the embeddings in the folder of a run.

    Args:
        path: of the file.
        matrix: what is in a table's numbered columns; None: it is read for its other columns.
        asked: names of columns that are no part of a matrix.

    Raises:
        ValueError: it can't be read, or is a folder of another kind.
    """
    path = _in_folder(path) if path.is_dir() else path
    if path.suffix == ".npz":
        return Archive(path)
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    if path.suffix == ".csv":
        return Csv(path, matrix, asked)
    if path.suffix == ".parquet":
        return Parquet(path, asked)
    return read_saved(path) if path.suffix in OF_TORCH else read_npy(path)


def _in_folder(folder: Path) -> Path:
    """The embeddings in a run's folder; ValueError for a study's folder, or any other."""
    kept = folder / KEPT
    if kept.is_file():
        return kept
    runs = sorted(folder.glob(f"runs/*/{KEPT}"))
    if runs:
        raise ValueError(f"{folder} holds {len(runs)} runs: name one of them, such as {runs[0].parent}")
    raise ValueError(f"{folder} is a folder without {KEPT}: name the folder of a finished run, or a file")


@contextmanager
def naming_files(*paths: Path | None) -> Iterator[None]:
    """Let refusals of what stands in files name these."""
    try:
        yield
    except (ValueError, TypeError) as error:
        files = " and ".join(str(path) for path in paths if path)
        raise ValueError(f"{files}: {error}") from None
