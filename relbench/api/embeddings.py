"""Embeddings of any network, measured, and compared with another's: from arrays or files."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from relbench.evaluation.alignment import of_the_same
from relbench.evaluation.array_files import Array
from relbench.evaluation.beside import Beside
from relbench.evaluation.knn.points import Embeddings, as_array
from relbench.evaluation.measured import Measurement
from relbench.evaluation.paired import PairedComparison, Source, compare_embeddings
from relbench.evaluation.paired_files import source_of
from relbench.evaluation.retrieval import check_labels
from relbench.evaluation.stored import Files, Stored, naming_files, open_file, read_files
from relbench.evaluation.stored_search import measured_embeddings, measured_logits
from relbench.experiment import FewShot
from relbench.lookup import lookup
from relbench.tasks.stored_episodes import measured_episodes

OneSet = Embeddings | ArrayLike | str | PathLike[str]
"""Embeddings of one network: an array, a tensor, lists, a file, or the folder of a run."""

Labels = ArrayLike | str | PathLike[str] | None
KS = (1, 2, 4, 8)


def evaluate(
    embeddings: OneSet,
    labels: Labels = None,
    *,
    ks: Sequence[int] = KS,
    query: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
    task: str | FewShot = "retrieval",
) -> Measurement:
    """Measure embeddings, of any network.

    Args:
        embeddings: (n, dim) array, tensor or lists; or a file, or the folder of a run, as `relbench evaluate` takes it.
        labels: (n,) integers or strings; or a file with them. None where the file of the embeddings holds them.
        ks: The K of Recall@K, without repetition.
        query: (n,) boolean mask of the queries; None: those of the file, or all.
        gallery: (n,) boolean mask of the gallery; None: that of the file, or all.
        ignore: (n,) integers or strings: each query passes over gallery items of its own class with its own value, as
            of the same camera; or the name of an array or column of the file; None: nothing.
        task: "retrieval"; "few-shot", or its settings, `relbench.experiment.FewShot(way=(5,), shot=1)`; or
            "classification", where the embeddings are logits and the labels numbers of classes.

    Returns:
        `metrics` by name, in [0, 1]; `by_class()` and `frame()` for pandas, `json()`.

    Raises:
        ValueError: Embeddings, labels or masks that can't be used, or a file that can't be read; one line.

    Example:
        >>> found = evaluate([[0.0], [1.0], [3.0], [3.5], [9.0]], ["a", "a", "b", "b", "c"], ks=(1, 2))
        >>> found.metrics["recall@1"]
        0.8
        >>> found.by_class()["recall@1"].tolist()
        [1.0, 1.0, 0.0]
    """
    masks, matrix = _given(query=query, gallery=gallery), _matrix_of(task)
    first = _First(_opened(embeddings), labels, masks, ignore, matrix)
    measured, stored = _measuring(task, ks), first.read()
    with naming_files(first.path) if first.path else nullcontext():
        return measured(stored)


def compare(  # noqa: PLR0913 - keywords, each with its usual value
    ours: OneSet | Sequence[OneSet],
    theirs: OneSet | Sequence[OneSet],
    labels: Labels = None,
    *,
    ks: Sequence[int] = KS,
    query: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
    task: str | FewShot = "retrieval",
) -> PairedComparison:
    """Compare embeddings of the same images by two networks, or by two methods of several training runs each.

    One on each side tells whether the one network is better on new classes of this kind, and nothing about the methods
    that made them. Two or more on each side, in pairs, or against a single one for all, get the test over new training
    runs and new classes, and a verdict. It is about Recall@K of the first K; other metrics stand beside it.

    Args:
        ours: As in `evaluate`; or a list of arrays, tensors and files, one per training run.
        theirs: Likewise: as many, in the order of their pairs, or a single one.
        labels: Of all embeddings that are arrays, or stand in a file without labels; as in `evaluate`. A file of theirs
            without labels has the same images, in the same order, as the first of ours.
        ks: As in `evaluate`; the first decides.
        query: As in `evaluate`.
        gallery: As in `evaluate`.
        ignore: As in `evaluate`.
        task: As in `evaluate`.

    Returns:
        `in_words()`, which `print` shows; `frame()` with a line per metric; `comparisons`, `json()`.

    Raises:
        ValueError: Numbers of training runs that don't pair up, embeddings of other images, or what `evaluate` refuses.

    Example:
        >>> generator, labels = np.random.default_rng(0), np.repeat(np.arange(20), 10)
        >>> centres, noise = generator.normal(size=(20, 8))[labels], generator.normal(size=(2, 200, 8))
        >>> found = compare(centres + 0.5 * noise[0], centres + 0.8 * noise[1], labels)
        >>> found.on_new_classes
        'better'
        >>> found.frame().columns.tolist()[:4]
        ['metric', 'ours', 'theirs', 'difference']
    """
    masks, matrix = _given(query=query, gallery=gallery), _matrix_of(task)
    (name, one), *more = _training_runs(ours, "ours")
    first = _First(one, labels, masks, ignore, matrix)
    ours_too, all_theirs = (
        [Source(called, partial(_read_other, each, first)) for called, each in runs]
        for runs in (more, _training_runs(theirs, "theirs"))
    )
    mine = Source(name, lambda _first: first.read())
    return compare_embeddings([mine, *ours_too], all_theirs, _measuring(task, ks))


@dataclass(frozen=True)
class _First:
    """The first embeddings, with what was given in place of what a file holds; all others are of the same images.

    Attributes:
        embeddings: of one network.
        labels: an array, or a file; None: in the file of the embeddings.
        masks: `query` and `gallery`, where they were given.
        ignore: an array, or a name; None: nothing.
        matrix: what is in files: "embeddings" or "logits".
    """

    embeddings: Path | Array
    labels: Labels
    masks: Mapping[str, Array]
    ignore: ArrayLike | None
    matrix: str

    @property
    def path(self) -> Path | None:
        """The file of the embeddings."""
        return self.embeddings if isinstance(self.embeddings, Path) else None

    def read(self) -> Stored:
        """All of it."""
        stored = self._labelled()
        ignore = stored.ignore if self.ignore is None or isinstance(self.ignore, str) else as_array(self.ignore)
        return replace(stored, masks={**stored.masks, **self.masks}, ignore=ignore)

    def _labelled(self) -> Stored:
        name = self.ignore if isinstance(self.ignore, str) else None
        labels = Path(self.labels) if isinstance(self.labels, str | PathLike) else self.labels
        if isinstance(self.embeddings, Path) and (labels is None or isinstance(labels, Path)):
            return read_files(Files(self.embeddings, labels, ignore=name, matrix=self.matrix))
        if name is not None:
            raise ValueError(f"ignore = {name!r} names no array here: pass its values, one for each row")
        if labels is None:
            raise ValueError("labels are missing: pass one for each row of the embeddings")
        rows = self._rows()
        return Stored(rows, check_labels(_in_file(labels) if isinstance(labels, Path) else labels, len(rows)), {})

    def _rows(self) -> Array:
        if isinstance(self.embeddings, Path):
            return open_file(self.embeddings, self.matrix).rows(self.matrix)
        return self.embeddings


def _in_file(labels: Path) -> Array:
    held = open_file(labels, None)
    return held.array(held.labels) if held.names else held.rows("labels")


def _read_other(embeddings: Path | Array, given: _First, first: Beside | None) -> Stored:
    """Embeddings of the same images as the first; masks that were given count in place of those of a file."""
    if not isinstance(embeddings, Path):
        assert first is not None  # it was read before
        return of_the_same(embeddings, first)
    stored = source_of(Files(embeddings, matrix=given.matrix)).read(first)
    return replace(stored, masks={name: mask for name, mask in stored.masks.items() if name not in given.masks})


def _training_runs(side: OneSet | Sequence[OneSet], name: str) -> list[tuple[str, Path | Array]]:
    """Names and embeddings of all training runs of a side."""
    if isinstance(side, list | tuple) and not side:
        raise ValueError(f"{name} = {side!r} holds no embeddings: give those of one training run or more")
    if not isinstance(side, list | tuple) or _is_row(side[0]):
        return [_named(cast("OneSet", side), name)]
    return [_named(each, f"{name}[{at}]") for at, each in enumerate(side)]


def _is_row(given: object) -> bool:
    """Whether it is a row of embeddings, as a list, and no set of them."""
    return not isinstance(given, str | PathLike) and np.ndim(as_array(given)) < 2  # type: ignore[arg-type]


def _named(embeddings: OneSet, name: str) -> tuple[str, Path | Array]:
    """Embeddings, with their file or their place for a name."""
    opened = _opened(embeddings)
    return (str(opened) if isinstance(opened, Path) else name), opened


def _opened(given: OneSet) -> Path | Array:
    """The path of a file, or an array."""
    return Path(given) if isinstance(given, str | PathLike) else as_array(given)


def _given(**masks: ArrayLike | None) -> dict[str, Array]:
    return {name: as_array(mask) for name, mask in masks.items() if mask is not None}


def _matrix_of(task: str | FewShot) -> str:
    return "logits" if task == "classification" else "embeddings"


def _measuring(task: str | FewShot, ks: Sequence[int]) -> Callable[[Stored], Measurement]:
    """The measurement of a task.

    Raises:
        ValueError: there is no such task.
    """
    if isinstance(task, FewShot):
        return partial(measured_episodes, settings=task)
    measuring: dict[str, Callable[[Stored], Measurement]] = {
        "retrieval": partial(measured_embeddings, ks=ks),
        "few-shot": partial(measured_episodes, settings=FewShot()),
        "classification": measured_logits,
    }
    return measuring[lookup(task, measuring, "task")]
