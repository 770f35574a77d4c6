"""A cell of `glyphs-table1` as it is made: images, views, teacher, student, checkpoint, test.

The cell is that of RKD-DA with ResNet50-512 teaching ResNet18-128, batches of 128 at 224 px, on some of the classes and
for some of the steps; at the scale "toy", small networks at 32 px.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import torch

from relbench.benchmarks.busy import busy_seconds
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import quartiles
from relbench.data import find_data_set
from relbench.experiment import Experiment
from relbench.resolve import resolve, resolve_device
from relbench.run import run
from relbench.studies import build_study
from relbench.studies.changes import with_values
from relbench.studies.study import Scale, Study
from relbench.trackers import Silent

STUDY, TEACHER, STUDENT = "glyphs-table1", "glyphs-textured/teacher/512", "glyphs-textured/rkd-da/128"
CLASSES = 40  # for training, and as many for the test: of 12 images each
PREPARATION, COUNTED, PROFILED = 10, 40, 10  # steps
WAITING = 5.0  # percent of the time that the GPU may wait


def experiments(scale: Scale, device: str, values: Mapping[str, Any]) -> tuple[Experiment, Experiment]:
    """Teacher and student.

    Args:
        scale: "full" or "toy".
        device: "cpu" or "cuda".
        values: as `--set` takes them.
    """
    study = with_values(build_study(STUDY, {"scale": scale}), values).with_device(resolve_device(device))
    teacher, student = taught(study, TEACHER, [STUDENT])
    return teacher, student


def taught(study: Study, teacher: str, students: Sequence[str]) -> list[Experiment]:
    """Runs of a study, of seed 0: the teacher, then its students.

    Args:
        study: on data sets that are rendered.
        teacher: its path.
        students: their paths.
    """
    pinned = study.with_contents({name: find_data_set(name, Path()).content(Path()) for name in study.data_sets})
    first = resolve(pinned.trainings(teacher, 0, None, None)[-1], teacher)
    return [first, *(resolve(pinned.trainings(path, 0, None, first)[-1], path) for path in students)]


def figures(device: str, scale: Scale, precision: Mapping[str, Any], name: str) -> Iterator[Figure]:
    """Speed and memory of the student's training, and what the GPU waits meanwhile.

    Args:
        device: "cpu" or "cuda".
        scale: see the module.
        precision: settings of the training, such as its precision.
        name: of these settings.
    """
    steps = PREPARATION + COUNTED + PROFILED
    brief = {"steps": 2, "validate_every": 2}
    values = {f"teacher.{key}": value for key, value in (brief | dict(precision)).items()}
    values |= {f"student.{key}": value for key, value in precision.items()}
    values |= {"student.steps": steps + 1, "student.validate_every": steps + 1}  # the last is measured on images
    values |= {} if scale == "toy" else {"data.train_classes": CLASSES, "data.test_classes": CLASSES}
    teacher, student = experiments(scale, device, values)
    marks = Marks(device)
    with TemporaryDirectory(prefix="relbench-cell-") as folder:
        run(teacher, Path(folder), Path(folder), Silent())
        row = run(student, Path(folder), Path(folder), marks)
    yield from marks.figures(f"cell, {name}", student.training.batch_size)
    yield Figure(name=f"cell, {name}: peak memory", value=row.peak_memory / 1e6, unit="MB")


class Marks(Silent):
    """Notes when steps are done, and lets torch's profiler look on at the last of them.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(self, device: str) -> None:
        self._on_gpu, self._times = device == "cuda", list[float]()
        self._profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
        self._busy: float | None = None

    def step(self, done: int) -> None:
        """Note the time, without waiting for the GPU but at the first and the last step that count."""
        last = PREPARATION + COUNTED
        if self._on_gpu and done in (PREPARATION, last, last + PROFILED):
            torch.cuda.synchronize()
        if PREPARATION <= done <= last:
            self._times.append(time.perf_counter())
        if self._on_gpu and done == last:
            self._profiler.start()
        if self._on_gpu and done == last + PROFILED:
            self._profiler.stop()
            self._busy = busy_seconds(self._profiler) / PROFILED

    def figures(self, name: str, batch: int) -> Iterator[Figure]:
        """Seconds a step, images a second, and the share of the time that the GPU waits.

        Args:
            name: of the training.
            batch: images a step.
        """
        each = [later - earlier for earlier, later in pairwise(self._times)]
        yield Figure(name=f"{name}: a step", value=mean(each), unit="s", spread=quartiles(each), why="the mean")
        yield Figure(name=f"{name}: images", value=batch / mean(each), unit="per s")
        if self._busy is not None:
            why = f"busy for {self._busy:.4f} s of each step, by torch's profiler"
            waiting = 100 * max(0.0, 1 - self._busy / mean(each))
            yield Figure(name=f"{name}: the GPU waits", value=waiting, unit="%", target=WAITING, why=why)
