"""The whole step of a distillation, beside what it can't do without, and beside the authors' form of it.

What it can't do without is a step by the triplet loss and the teacher's pass. The networks are those of RKD's Table 1,
ResNet50-512 teaching ResNet18-128 by RKD-DA; the step is that of the training loop itself, with images that are there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from relbench.benchmarks.authors import AuthorsStep
from relbench.benchmarks.cell import experiments
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import Times, in_turns, now, ratio, seconds
from relbench.experiment import Experiment
from relbench.machine import forget_peak_memory, peak_memory
from relbench.models import initial_network
from relbench.settings import changed
from relbench.studies.study import Scale
from relbench.trackers import Silent
from relbench.training import Learner, Teacher, TrainingData, TrainingSetup
from relbench.training.assemble import UntrainedNetworks, assemble
from relbench.training.computing import computing
from relbench.training.division import Layout
from relbench.training.trainer import prepared

WHOLE = 1.05
"""Largest ratio of the step to a step by the triplet loss and the teacher's pass."""

CLASSES = 40
NO_END = {"training.steps": 10**8, "training.validate_every": 10**8}  # only the first few steps are made
ON_THE_CPU: Mapping[str, Any] = {"data.size": 64, "training.batch_size": 64}


@dataclass(frozen=True)
class Plan:
    """The steps to be timed.

    Attributes:
        device: "cpu" or "cuda".
        scale: "full", or "toy" with small networks.
        settings: of both networks' training and data, as `--set` takes them.
        rounds: timings of each form.
        steps: in each timing, after as many that are not timed.
    """

    device: str = "cpu"
    scale: Scale = "full"
    settings: Mapping[str, Any] = field(default_factory=lambda: ON_THE_CPU)
    rounds: int = 5
    steps: int = 1


def figures(plan: Plan | None = None, name: str = "") -> Iterator[Figure]:
    """The step beside its parts and beside the authors' form, as ratios, and its time.

    Args:
        plan: None: small images and batches, on the CPU.
        name: of the settings.
    """
    plan = plan or Plan()
    student = _student(plan)
    said = f"step{name}, {student.training.batch_size} x {student.data.size} px"
    times = _times(plan, student)
    parts = [step + taught for step, taught in zip(times["triplet"], times["teacher"], strict=True)]
    yield ratio(f"{said}: times (triplet step + teacher's pass)", times["ours"], parts, target=WHOLE)
    yield ratio(f"{said}: times as fast as the authors' form", times["authors"], times["ours"])
    yield seconds(f"{said}: time", times["ours"])
    yield Figure(name=f"{said}: images", value=student.training.batch_size / median(times["ours"]), unit="per s")
    yield seconds(f"{said}, by the triplet loss, without teacher: time", times["triplet"])


def memory(plan: Plan, name: str) -> Figure:
    """Peak memory of the step, on a GPU that of the allocator.

    Args:
        plan: see `Plan`.
        name: of the settings.
    """
    student, device = _student(plan), torch.device(plan.device)
    form = _trained(plan, student)
    torch.cuda.empty_cache()
    forget_peak_memory(device)
    with computing(1, student.training.precision):
        form()
    return Figure(name=f"step{name}: peak memory", value=peak_memory(device) / 1e6, unit="MB")


def _student(plan: Plan) -> Experiment:
    return experiments(plan.scale, plan.device, {**plan.settings, **NO_END})[1]


def _times(plan: Plan, student: Experiment) -> Times:
    assert student.teacher
    triplet = changed(student, {"terms": student.teacher.terms, "teacher": None})
    forms = {
        "ours": _trained(plan, student),
        "triplet": _trained(plan, triplet),
        "teacher": _teachers_pass(plan, student),
        "authors": _authors(plan, student),
    }
    with computing(1, student.training.precision):
        return in_turns(forms, plan.rounds)


def _trained(plan: Plan, experiment: Experiment) -> Callable[[], float]:
    """Seconds a step of the training loop."""
    data = made_up(experiment)
    return partial(repeated, alone(experiment, data, UntrainedNetworks(3, CLASSES)), plan.device, plan.steps)


def alone(experiment: Experiment, data: TrainingData, networks: UntrainedNetworks) -> Callable[[], None]:
    """A step of a training that stands alone."""
    teacher = networks.teacher([experiment]) if experiment.teacher else None
    return together([experiment], data, networks, teacher)


def together(
    cohort: Sequence[Experiment], data: TrainingData, networks: UntrainedNetworks, teacher: Teacher | None
) -> Callable[[], None]:
    """A step of a cohort, as the training loop makes it: images and the teacher's outputs once, then each student."""
    setups = [assemble(experiment, networks, data, teacher) for experiment in cohort]
    learners = [_learner(*pair) for pair in zip(cohort, setups, strict=True)]
    device = torch.device(cohort[0].training.device)
    shows = replace(setups[0], teacher=prepared(teacher, cohort[0].training))

    def step() -> None:
        indices = data.batch(0)
        shown = shows.show(indices, data.views(indices, torch.Generator().manual_seed(0)), device)
        for learner in learners:
            learner.advance(shown)

    return step


def _learner(experiment: Experiment, setup: TrainingSetup) -> Learner:
    unwritten = Path("unwritten")  # no step is so late that a checkpoint is due
    return Learner(setup, experiment.training, experiment.seed, experiment.fingerprint, unwritten, Silent())


def made_up(experiment: Experiment, layout: Layout | None = None) -> TrainingData:
    """The same images at each step; on a GPU they are in its memory.

    Args:
        experiment: says how many, and of which size.
        layout: of the batch; None: this process shows all images, with the same batch statistics.
    """
    training, images, layout = experiment.training, _images(experiment), layout or Layout()
    indices, own = torch.arange(training.batch_size), layout.own(training.batch_size)
    shown = images if own is None else images[own]
    return TrainingData(
        channels=3,
        classes=CLASSES,
        labels=indices // training.images_per_class % CLASSES,
        batch=lambda _: indices,
        views=lambda *_: shown,
        validate=lambda *_: {},
        layout=layout,
    )


def _teachers_pass(plan: Plan, student: Experiment) -> Callable[[], float]:
    """Seconds of the teacher's pass, as the training loop has it."""
    teacher = prepared(UntrainedNetworks(3, CLASSES).teacher([student]), student.training)
    assert teacher
    return partial(repeated, partial(teacher.outputs, _images(student)), plan.device, plan.steps)


def _authors(plan: Plan, student: Experiment) -> Callable[[], float]:
    """Seconds of the authors' form of the step, in torch's default precision and layout."""
    assert student.teacher
    own, taught = (initial_network(run, 3).to(plan.device) for run in (student, student.teacher))
    step = partial(AuthorsStep(own, taught), _images(student).float() / 255)
    return partial(repeated, step, plan.device, plan.steps)


def _images(experiment: Experiment) -> torch.Tensor:
    count, size, generator = experiment.training.batch_size, experiment.data.size, torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    return images.to(experiment.training.device)


def repeated(step: Callable[[], object], device: str, steps: int) -> float:
    """Seconds of a step, after as many that are not timed."""
    for _ in range(steps):
        step()
    start = now(device)
    for _ in range(steps):
        step()
    return (now(device) - start) / steps
