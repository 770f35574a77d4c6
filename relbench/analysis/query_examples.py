"""Single test images and pairs of them that a report shows, from what each run keeps and from the data set.

All of it is of one seed, the first that the teacher and the best student both have. Embeddings are believed once they
give the row's counts again, class by class. What is not there is left out, and the summary says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from relbench.analysis.embeddings import (
    ADVICE,
    DRAW_SEED,
    REMEDY,
    Integers,
    KeptRun,
    Network,
    distances_or_why,
    network_of,
    refuse_other_images,
)
from relbench.analysis.images import Distances, Example, Examples, Image, Neighbour, Outcomes
from relbench.analysis.methods import Method
from relbench.analysis.summary import Summary
from relbench.data import Progress, find_data_set
from relbench.data.table import ImageSource, class_names, indices_of
from relbench.plain_text import listed
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder
from relbench.tasks import find_task

EXAMPLES = 6  # of each kind
NETWORKS = 6  # whose distances are shown at most


def with_examples(summary: Summary, results: Path, data_folder: Path, progress: Progress = iter) -> Summary:
    """Add examples of queries and distances of pairs, or the reasons why they can't be shown.

    Nothing is added, and nothing missed, where the task does not judge an image by its nearest neighbour.

    Args:
        summary: of the rows in the results folder.
        results: the folder.
        data_folder: where data sets live.
        progress: for what a data set has to prepare.

    Raises:
        ValueError: a run's embeddings are damaged, or are not those that its row was measured on.
    """
    teacher = summary.methods[0]
    if not find_task(teacher.row.experiment.task).by_neighbours:
        return summary
    best = summary.best_student or teacher
    runs = _runs(_chosen(summary, best), _first_seed(teacher, best), results)
    networks = {run.label: network_of(run) for run in runs if run.path.exists()}
    refuse_other_images(list(networks.values()))
    absent = {run.label: str(run.path.relative_to(results)) for run in runs if run.label not in networks}
    load = partial(_load, data_folder=data_folder, progress=progress)
    examples = _examples_or_why(networks, absent, (teacher.label, best.label), load)
    distances = distances_or_why(list(networks.values()))
    return summary.replaced(
        examples=None if isinstance(examples, str) else examples,
        distances=None if isinstance(distances, str) else distances,
        missing=(*summary.missing, *_missing(examples, distances, absent)),
    )


def _missing(examples: Examples | str, distances: Distances | str, absent: Mapping[str, str]) -> list[str]:
    notes = [f"Queries fixed and broken are not shown: {examples}."] if isinstance(examples, str) else []
    if isinstance(distances, str):
        notes.append(f"Distances of pairs are not shown: {distances}.")
    elif absent:
        files = listed([f"{label} ({path} is not there)" for label, path in absent.items()])
        notes.append(f"Distances of pairs are not shown for {files}: {ADVICE}.")
    return notes


def _first_seed(teacher: Method, best: Method) -> int:
    return min({row.experiment.seed for row in teacher.rows} & {row.experiment.seed for row in best.rows})


def _chosen(summary: Summary, best: Method) -> list[Method]:
    """Teacher, best student, best one that never saw a teacher, controls, other students: the first few of these."""
    ranked = sorted(summary.methods[1:], key=summary.score, reverse=True)
    alone = [method for method in ranked if method.role == "student" and method.row.experiment.last_teacher is None]
    controls = [method for method in ranked if method.role == "control"]
    order = [summary.methods[0], best, *alone[:1], *controls, *ranked]
    labels = list(dict.fromkeys(method.label for method in order))[:NETWORKS]
    return [method for method in summary.methods if method.label in labels]


def _runs(methods: Sequence[Method], seed: int, results: Path) -> list[KeptRun]:
    rows = [(method.label, row) for method in methods for row in method.rows if row.experiment.seed == seed]
    return [KeptRun(label, row, RunFolder(results / "runs", row.experiment)) for label, row in rows]


def _examples_or_why(
    networks: Mapping[str, Network],
    absent: Mapping[str, str],
    labels: tuple[str, str],
    load: Callable[[Row], "_Source"],
) -> Examples | str:
    if labels[0] == labels[1]:
        return "no student is finished"
    gone = [f"{absent[label]} of {label} is not there; {ADVICE}" for label in labels if label in absent]
    if gone:
        return gone[0]
    teacher, student = (networks[label] for label in labels)
    try:
        return _examples(teacher, student, _loaded(load, teacher.run.row))
    except _NoImagesError as error:
        return f"the images of {teacher.run.row.experiment.data.name} are not available ({error})"


class _NoImagesError(ValueError):
    """The data set, or an image of it, can't be read: the report does without."""


def _loaded(load: Callable[[Row], "_Source"], row: Row) -> "_Source":
    try:
        return load(row)
    except (ValueError, OSError) as error:
        raise _NoImagesError(str(error)) from None


@dataclass(frozen=True)
class _Source:
    """The test images of a data set, numbered as a run keeps them."""

    images: ImageSource
    class_name: Callable[[str], str]

    @property
    def indices(self) -> Integers:
        """The indices of the table that are test images."""
        return indices_of(self.images.table, "test")


def _load(row: Row, data_folder: Path, progress: Progress) -> _Source:
    data = row.experiment.data
    data_set = find_data_set(data.name, data_folder)
    images = data_set.load(data, data_folder, progress)
    if images.data_hash != row.data_hash:
        raise ValueError(
            f"those in {data_folder} have another hash than those of the runs: name their folder with --data"
        )
    shown = class_names(images.table)
    return _Source(images, lambda label: shown.get(label) or data_set.class_name(label))


def _examples(teacher: Network, student: Network, source: _Source) -> Examples:
    by_teacher, by_student = teacher.right[:, 0], student.right[:, 0]
    counts = [int(np.sum(kind)) for kind in _kinds(by_teacher, by_student)]
    _, fixed, broken, _ = _kinds(by_teacher, by_student)
    generator = np.random.default_rng(DRAW_SEED)
    labels = teacher.labels[teacher.query]
    drawn = [_drawn(np.flatnonzero(kind), labels, generator) for kind in (fixed, broken)]
    images = _images(np.concatenate(drawn), teacher, student, source)
    fixed_examples, broken_examples = (
        tuple(_example(query, teacher, student, images) for query in queries) for queries in drawn
    )
    return Examples(
        teacher=teacher.run.label,
        student=student.run.label,
        seed=teacher.run.row.experiment.seed,
        counts=Outcomes(*counts),
        draw=DRAW_SEED,
        fixed=fixed_examples,
        broken=broken_examples,
    )


def _kinds(teacher: NDArray[np.bool_], student: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Queries that both get right, that are fixed, that are broken, and that both get wrong."""
    return [teacher & student, ~teacher & student, teacher & ~student, ~teacher & ~student]


def _drawn(candidates: Integers, labels: NDArray[np.str_], generator: np.random.Generator) -> Integers:
    """A few at random; a class comes a second time only when each had its turn."""
    order = generator.permutation(candidates)
    first = np.sort(np.unique(labels[order], return_index=True)[1])
    return np.concatenate([order[first], np.delete(order, first)])[:EXAMPLES]


def _images(queries: Integers, teacher: Network, student: Network, source: _Source) -> dict[int, Image]:
    """All images of these queries' examples, by number."""
    if not np.array_equal(source.images.table["name"].to_numpy(dtype=str)[source.indices], teacher.names):
        raise ValueError(f"{teacher.run.path} names other images than the data set's test classes have: {REMEDY}")
    shown = [teacher.query[queries], teacher.neighbours[queries].ravel(), student.neighbours[queries].ravel()]
    numbers = np.unique(np.concatenate(shown))
    if not len(numbers):
        return {}
    try:
        pixels = _pixels(source.images.test_batch(torch.from_numpy(source.indices[numbers])))
    except (ValueError, OSError) as error:
        raise _NoImagesError(str(error)) from None
    return {
        number: Image(str(teacher.names[number]), source.class_name(str(teacher.labels[number])), each)
        for number, each in zip(numbers.tolist(), pixels, strict=True)
    }


def _pixels(batch: torch.Tensor) -> NDArray[np.uint8]:
    """(images, height, width, channels), from bytes or from floats in [0, 1]."""
    whole = batch if batch.dtype == torch.uint8 else (255 * batch).round().clamp(0, 255).byte()
    return whole.permute(0, 2, 3, 1).contiguous().numpy()


def _example(query: int, teacher: Network, student: Network, images: Mapping[int, Image]) -> Example:
    found = [
        tuple(
            Neighbour(images[number], bool(right))
            for number, right in zip(network.neighbours[query].tolist(), network.right[query], strict=True)
        )
        for network in (teacher, student)
    ]
    return Example(images[int(teacher.query[query])], *found)
