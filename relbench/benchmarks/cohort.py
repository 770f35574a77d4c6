"""Students that are trained side by side, beside the same students trained one after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from relbench.benchmarks.cell import STUDY, TEACHER, taught
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.step import CLASSES, NO_END, alone, made_up, repeated, together
from relbench.benchmarks.timing import in_turns, ratio, seconds
from relbench.data import find_rendered
from relbench.data.random_views import random_views
from relbench.experiment import Experiment
from relbench.resolve import resolve_device
from relbench.studies import build_study
from relbench.studies.changes import with_values
from relbench.studies.study import Scale, Study
from relbench.training import TrainingData
from relbench.training.assemble import UntrainedNetworks
from relbench.training.cohorts import key
from relbench.training.computing import computing

STUDENTS = ("rkd-d/128", "rkd-a/128", "rkd-da/128", "rkd-da/64")


def quick_start(rounds: int = 9, steps: int = 3) -> Iterator[Figure]:
    """A step of the quick start's students, views included.

    Args:
        rounds: timings of each form.
        steps: in each timing.
    """
    study = with_values(build_study("quickstart"), NO_END)
    teacher = next(path for path, run in study.items if run.role == "teacher")
    students = [path for path, run in study.items if run.teacher == teacher and len(run.stages) == 1]
    taught_by_it = [run for run in taught(study, teacher, students)[1:] if run.teacher]
    cohort = [run for run in taught_by_it if key(run) == key(taught_by_it[0])]
    yield from _figures("quick start", cohort, _rendered(cohort[0]), rounds, steps)


def table(device: str, scale: Scale, settings: Mapping[str, Any], rounds: int = 5, steps: int = 3) -> Iterator[Figure]:
    """A step of four students of one ResNet50, with images that are there.

    Args:
        device: "cpu" or "cuda".
        scale: "full", or "toy" with small networks.
        settings: of the training, as `--set` takes them.
        rounds: timings of each form.
        steps: in each timing.
    """
    study: Study = with_values(build_study(STUDY, {"scale": scale}), {**settings, **NO_END})
    paths = [f"glyphs-textured/{name}" for name in STUDENTS]
    experiments = taught(study.with_device(resolve_device(device)), TEACHER, paths)[1:]
    yield from _figures("ResNet18s of a ResNet50", experiments, made_up(experiments[0]), rounds, steps)


def _figures(name: str, cohort: Sequence[Experiment], data: TrainingData, rounds: int, steps: int) -> Iterator[Figure]:
    networks, training = UntrainedNetworks(data.channels, CLASSES), cohort[0].training
    apart = [alone(experiment, data, networks) for experiment in cohort]
    forms: dict[str, Callable[[], None]]
    forms = {"apart": partial(_each, apart), "together": together(cohort, data, networks, networks.teacher(cohort))}
    timings = {form: partial(repeated, step, training.device, steps) for form, step in forms.items()}
    with computing(1, training.precision):
        times = in_turns(timings, rounds)
    said = f"{name}, {len(cohort)} students"
    yield ratio(f"{said}, a step apart: times that of a cohort", times["apart"], times["together"])
    yield seconds(f"{said}, a step apart: time of all", times["apart"])
    yield seconds(f"{said}, a step as a cohort: time of all", times["together"])


def _each(steps: Sequence[Callable[[], None]]) -> None:
    for step in steps:
        step()


def _rendered(experiment: Experiment) -> TrainingData:
    """Views of made-up pictures, which cost as much as those of glyphs."""
    entry = find_rendered(experiment.data.name)
    assert entry is not None
    assert entry.views is not None
    views, training = entry.views(experiment.data), experiment.training
    shape = (training.batch_size, 1, *[experiment.data.size * entry.oversize] * 2)
    pictures = torch.from_numpy(np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8))
    indices = torch.arange(training.batch_size)
    return TrainingData(
        channels=views.channels,
        classes=CLASSES,
        labels=indices // training.images_per_class % CLASSES,
        batch=lambda _: indices,
        views=lambda _, generator, *__: random_views(views, pictures, generator),
        validate=lambda *_: {},
    )
