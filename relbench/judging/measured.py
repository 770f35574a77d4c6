"""A candidate, measured on the images of a data set by a task's own evaluation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from relbench.data import DataSet, Progress, find_data_set, find_photos, find_rendered
from relbench.data.cached_views import CachedViews
from relbench.data.table import ImageSource, indices_of
from relbench.evaluation.measured import Measurement
from relbench.evaluation.stored import MASKS, Stored
from relbench.experiment import Data, Retrieval, TaskSettings
from relbench.judging.candidate import Candidate, Judged, refuse_trained_validation
from relbench.preflight import check_device
from relbench.results.kept import Arrays, kept_arrays
from relbench.settings import changed, validated
from relbench.tasks import Model, Task, find_task
from relbench.tasks.task import Measured
from relbench.training.computing import computing

Split = Literal["test", "validation"]
PHOTO = 224  # pixels, of photos for a network of which nothing else is known


@dataclass(frozen=True)
class Request:
    """What is to be measured.

    Attributes:
        data: the images.
        task: by which they are measured.
        split: which of them.
        device: "cpu" or "cuda".
    """

    data: Data
    task: TaskSettings
    split: Split
    device: str


@dataclass(frozen=True)
class Judgement:
    """What came out.

    Attributes:
        measured: by the task's own evaluation.
        arrays: embeddings, labels, names and perhaps masks of the images, as a run keeps them.
        task: that measured.
    """

    measured: Measured
    arrays: Arrays
    task: Task

    @property
    def stored(self) -> Stored:
        """The embeddings, and what belongs to them, as if they were read from a run's file."""
        masks = {name: self.arrays[name] for name in MASKS if name in self.arrays}
        return Stored(self.arrays["embeddings"], self.arrays["labels"], masks, self.arrays["names"])

    @property
    def measurement(self) -> Measurement:
        """The metrics, and what they rest on."""
        counts, masks = self.measured.counts, self.stored.masks
        searched = int(masks["gallery"].sum()) if masks else len(self.measured.embeddings)
        return Measurement(
            metrics=self.measured.metrics,
            counts={self.task.primary: counts, **self.measured.other_counts},
            queries=sum(counts.trials),
            classes=len(counts.groups),
            gallery=searched if self.task.by_neighbours else None,
            group=self.task.group.removeprefix("test "),
        )


def request_of(
    candidate: Candidate,
    name: str | None,
    changes: Mapping[str, Any],
    task: TaskSettings | None,
    split: Split,
    device: str | None,
    root: Path,
) -> Request:
    """What is asked of a candidate, with what is usual for it where nothing is said: a run's own data, task and device.

    Args:
        candidate: the network.
        name: of the data set.
        changes: settings of data by name.
        task: the settings of the task.
        split: the images.
        device: where to compute.
        root: holds the data sets.

    Raises:
        ValueError: no data set is named where that is needed, or a setting is unknown or impossible; one line.
    """
    run = candidate.experiment
    chosen = task or (run.task if run else Retrieval())
    if run and name in (None, run.data.name):
        data = changed(run.data, dict(changes))
    elif name is None:
        raise ValueError("--model needs a data set: name it with --data, such as --data cub200")
    else:
        way = {"split": "images"} if chosen.kind == "classification" else {}
        size = run.data.size if run else _usual_size(name, root)
        data = validated(Data, {"name": name, "size": size, **way, **changes})
    content = find_data_set(data.name, root).content(root)
    computes = device or (run.training.device if run else "cpu")
    return Request(changed(data, {"content": content}), chosen, split, computes)


def _usual_size(name: str, root: Path) -> int:
    """Side of the images for a network of which nothing else is known."""
    find_data_set(name, root)  # an unknown one is refused with the nearest of all
    return Data().size if find_rendered(name) else find_photos(name, root).side or PHOTO


def judge(candidate: Candidate, asked: Request, root: Path, ks: tuple[int, ...], progress: Progress) -> Judgement:
    """Measure a candidate.

    Args:
        candidate: the network.
        asked: what is to be measured.
        root: holds the data sets.
        ks: the Ks of Recall@K; empty for those that are usual for the data set.
        progress: wraps what a data set makes ready.

    Raises:
        ValueError: the network does not take the images or has seen their classes, the data set is not there, the task
            can't be measured on it, or the network returns no embeddings; one line.
    """
    check_device(asked.device)
    candidate.check(asked.data)
    run, data_set = candidate.experiment, find_data_set(asked.data.name, root)
    own = find_data_set(run.data.name, root) if run else data_set
    candidate.check_channels(own.channels, data_set.channels)
    if run and asked.split == "validation":
        refuse_trained_validation(run, asked.data)
    with _computing(candidate):
        judged = candidate.build(data_set.channels, asked.data.size)  # refused before images are made ready
        source = CachedViews(data_set.load(asked.data, root, progress))
        task = _task(asked.task, data_set, ks)
        task.check(source.table)
        return _judged(judged, asked, source, task)


def _task(settings: TaskSettings, data_set: DataSet, ks: tuple[int, ...]) -> Task:
    return find_task(settings, replace(data_set, ks=ks) if ks else data_set)


@contextmanager
def _computing(candidate: Candidate) -> Iterator[None]:
    """As the run was measured; else in float32, on as many threads as the process has."""
    training = candidate.experiment.training if candidate.experiment else None
    threads, precision = (training.threads, training.precision) if training else (torch.get_num_threads(), "32-true")
    with computing(threads, precision):
        yield


def _judged(judged: Judged, asked: Request, source: ImageSource, task: Task) -> Judgement:
    if not len(indices_of(source.table, asked.split)):
        raise ValueError(f"{asked.data.name} has no {asked.split} images as data.hold_out is set: choose --split test")
    device = torch.device(asked.device)
    head = judged.head.to(device) if judged.head else None
    measured = task.evaluate(Model(judged.network.to(device), device, head), source, asked.split)
    return Judgement(measured, kept_arrays(source, asked.split, measured.embeddings), task)
