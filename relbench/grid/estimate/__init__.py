"""Estimates of the time and the disk that planned runs take, before any of them begins.

Time comes from a finished run of the same kind on the same images, or else from a short calibration (`calibration`),
which is made if it is asked for, and is given up when its time is up: training steps, validations, the embedding of the
test images, the search of neighbours. A calibration leaves out what depends on files (reading and decoding images,
writing checkpoints) and the making of a teacher's class centres. Runs that share a machine's memory also slow each
other down, which a calibration alone on it does not see.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch

from relbench.data import Progress
from relbench.experiment import Data, Experiment, Training
from relbench.grid.estimate.apart import Calibration
from relbench.grid.estimate.calibration import Kind, Rates, kind_of
from relbench.grid.estimate.disk import folder_size
from relbench.grid.estimate.image_counts import ImageCounts, image_counts, is_there
from relbench.grid.estimate.in_time import in_time
from relbench.machine import describe_machine
from relbench.models import embedding_size
from relbench.results.records import Row
from relbench.settings import changed
from relbench.tasks import find_task

__all__ = [
    "BEFORE",
    "LONGEST",
    "Estimate",
    "ImageCounts",
    "Rates",
    "estimated",
    "image_counts",
    "is_there",
    "measured_rates",
    "total",
]

Looks = tuple[Kind, Data, int, bool]
Run = tuple[Experiment, ImageCounts]
NONE_DONE: Mapping[str, int] = MappingProxyType({})
NONE_MEASURED: Mapping[Kind, Rates] = MappingProxyType({})
OF_DISK = ("steps", "selection", "optimizer", "momentum", "frozen")  # settings of a training that its room depends on
BEFORE = "finished runs of the same kind"  # that an estimate is taken from
LONGEST = 60.0  # seconds that a calibration may take


def _calibrations(runs: Sequence[Run]) -> Iterator[Rates | None]:
    return in_time(Calibration(), runs, LONGEST)


@dataclass(frozen=True)
class Estimate:
    """The time and disk still needed by a run, or by several.

    Attributes:
        seconds: from now on; None where no such run was measured.
        disk: bytes that the results will take, those of a run that has begun included.
        measured: what the time is taken from, in a few words.
        shared: seconds of them that runs which are trained together take once; 0 where the time is that of finished
            runs, whose rows hold their share of it already.
    """

    seconds: float | None
    disk: int
    measured: str
    shared: float = 0.0


def measured_rates(
    experiments: Sequence[Experiment],
    images: Mapping[Data, ImageCounts],
    finished: Sequence[Row],
    progress: Progress,
    measure: Callable[[Sequence[Run]], Iterable[Rates | None]] = _calibrations,
) -> dict[Kind, Rates]:
    """Measure each kind of run that no finished run tells of, as far as the time suffices.

    Args:
        experiments: runs that are not finished.
        images: for the data settings of each; see `image_counts`.
        finished: rows that may tell how long such runs take; those of other kinds or machines are passed over.
        progress: wraps the names of what is measured, for a progress bar.
        measure: what kinds of runs take, by one of each; None for what is not ready in time.
    """
    known = _known(finished)
    runs = _representatives([run for run in experiments if _looks(run) not in known], images)
    here = {kind: run for kind, run in runs.items() if _is_here(kind.device)}
    shown = progress([str(kind) for kind in here])
    found = zip(shown, here, measure(list(here.values())), strict=True)
    return {kind: rates for _, kind, rates in found if rates}


def estimated(
    experiments: Sequence[Experiment],
    images: Mapping[Data, ImageCounts],
    finished: Sequence[Row],
    rates: Mapping[Kind, Rates] = NONE_MEASURED,
    *,
    done: Mapping[str, int] = NONE_DONE,
) -> dict[str, Estimate]:
    """Estimate each of the runs that wait.

    Args:
        experiments: runs that are not finished.
        images: for the data settings of each; see `image_counts`.
        finished: rows that may tell how long such runs take; those of other kinds or machines are passed over.
        rates: of `measured_rates`. A kind that is missing is taken for one that differs from it in its losses alone.
        done: fingerprint -> steps, of runs that have begun.

    Returns:
        By fingerprint.
    """
    known, disk = _known(finished), _disk(experiments, images)
    alike = {kind.networks: measured for kind, measured in reversed([*rates.items()])}
    estimates = {}
    for run in experiments:
        counts, left = images[run.data], run.training.steps - done.get(run.fingerprint, 0)
        kind, seconds, measured, shared = kind_of(run, counts.channels), None, "", 0.0
        if rows := known.get(_looks(run)):
            seconds, measured = _seconds_as_before(rows, left), BEFORE
        elif rate := rates.get(kind) or alike.get(kind.networks):
            seconds, measured = _seconds(run, counts, rate, left), rate.measured
            shared = left * min(rate.shared, rate.step) + counts.test * rate.view
        estimates[run.fingerprint] = Estimate(seconds, disk[_form(run)], measured, shared)
    return estimates


def _known(finished: Sequence[Row]) -> dict[Looks, list[Row]]:
    """Runs that were made on this machine, by what others must have in common with them."""
    devices = {row.experiment.training.device for row in finished}
    names = {device: describe_machine(torch.device(device)).device for device in devices if _is_here(device)}
    known: dict[Looks, list[Row]] = {}
    for row in finished:
        if row.machine.device == names.get(row.experiment.training.device):
            known.setdefault(_looks(row.experiment), []).append(row)
    return known


def _is_here(device: str) -> bool:
    return device == "cpu" or torch.cuda.is_available()


def _looks(experiment: Experiment) -> Looks:
    """Runs that look alike take as long as each other: same kind, same images, validated as often."""
    training = experiment.training
    return kind_of(experiment, channels=0), experiment.data, training.validate_every, training.log_test_metrics


def _representatives(experiments: Sequence[Experiment], images: Mapping[Data, ImageCounts]) -> dict[Kind, Run]:
    """Of each kind the run with the most dimensions; kinds that differ in their losses alone one after another."""
    by_size = sorted(experiments, key=lambda run: embedding_size(run.net, run.data.size))
    runs = {kind_of(run, images[run.data].channels): (run, images[run.data]) for run in by_size}
    first = {kind.networks: kind for kind in reversed(runs)}.values()
    return {kind: runs[kind] for kind in (*reversed(first), *(kind for kind in runs if kind not in first))}


def _seconds(experiment: Experiment, counts: ImageCounts, rates: Rates, left: int) -> float:
    """Steps, validations (one at the last step, however many there were before), and the test."""
    training, growth = experiment.training, find_task(experiment.task).growth

    def embedding(images: int) -> float:
        return images * rates.image + float(images**growth) * rates.scoring

    test, views = embedding(counts.test), counts.test * rates.view  # views are made once and kept
    validation = embedding(counts.validation) + (test if training.log_test_metrics else 0)
    done = training.steps - left
    validations = math.ceil(training.steps / training.validate_every) - done // training.validate_every
    return left * rates.step + (validations if left else 0) * validation + test + views


def _seconds_as_before(rows: Sequence[Row], left: int) -> float:
    """The mean of finished runs; their steps include the validations among them."""
    step = sum(row.train_seconds / row.experiment.training.steps for row in rows) / len(rows)
    return left * step + sum(row.evaluate_seconds for row in rows) / len(rows)


def _disk(experiments: Sequence[Experiment], images: Mapping[Data, ImageCounts]) -> dict[str, int]:
    """By form, as seeds and rates are many and take the same room."""
    return {form: folder_size(run, images[run.data]) for form, run in {_form(run): run for run in experiments}.items()}


def _form(experiment: Experiment) -> str:
    """Names what the room that a run takes depends on, and little else."""
    kept = Training(**{name: getattr(experiment.training, name) for name in OF_DISK})
    teacher = _plain(experiment.teacher) if experiment.teacher else None
    return changed(_plain(experiment), {"training": kept, "teacher": teacher}).fingerprint


def _plain(experiment: Experiment) -> Experiment:
    return changed(experiment, {"seed": 0, "initialized_from": None, "training": Training(), "teacher": None})


def total(cohorts: Sequence[Sequence[Estimate]], jobs: int) -> Estimate:
    """All runs whose time is known, a number of cohorts at once; neither run nor cohort is ever split.

    Args:
        cohorts: of each, the runs that are trained together.
        jobs: how many cohorts are made at once.
    """
    estimates = [estimate for cohort in cohorts for estimate in cohort]
    times = [time for cohort in cohorts if (time := _together(cohort)) is not None]
    measured = dict.fromkeys(estimate.measured for estimate in estimates if estimate.measured)
    seconds = max([sum(times) / jobs, *times]) if times else None
    return Estimate(seconds, sum(estimate.disk for estimate in estimates), " and ".join(measured))


def _together(cohort: Sequence[Estimate]) -> float | None:
    """Seconds of a cohort: what its runs share takes its time once."""
    known = [(estimate.seconds, estimate.shared) for estimate in cohort if estimate.seconds is not None]
    return sum(seconds - shared for seconds, shared in known) + max(shared for _, shared in known) if known else None
