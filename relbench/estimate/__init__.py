"""What planned runs will take, of time and of disk, before any of them begins.

Time comes from a finished run of the same kind on the same images, or else from a short calibration (`calibration`):
training steps, validations, the embedding of the test images, the search of neighbours. A calibration leaves out what
depends on files (reading and decoding images, writing checkpoints) and the making of a teacher's class centres. Runs
that share a machine's memory also slow each other down, which a calibration alone on it does not see.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch

from relbench.data import Progress
from relbench.estimate.calibration import Kind, Rates, calibrated, kind_of
from relbench.estimate.disk import folder_size
from relbench.estimate.image_counts import ImageCounts, image_counts
from relbench.experiment import Data, Experiment, Protocol, changed
from relbench.ledger import Row
from relbench.machine import describe_machine

__all__ = ["Estimate", "ImageCounts", "Rates", "estimated", "image_counts", "in_words", "total"]

Looks = tuple[Kind, Data, int, bool]
NONE_DONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Estimate:
    """What is left to do for a run, or for several.

    Attributes:
        seconds: from now on.
        disk: bytes that the results will take, those of a run that has begun included.
        measured: how the time was found, in a few words.
    """

    seconds: float
    disk: int
    measured: str


def estimated(
    experiments: Sequence[Experiment],
    images: Mapping[Data, ImageCounts],
    finished: Sequence[Row],
    progress: Progress,
    *,
    done: Mapping[str, int] = NONE_DONE,
    measure: Callable[[Experiment, ImageCounts], Rates] = calibrated,
) -> dict[str, Estimate]:
    """Estimate each of the runs that wait. Every kind of run is measured once.

    Args:
        experiments: runs that are not finished.
        images: for the data settings of each; see `image_counts`.
        finished: rows that may tell how long such runs take; those of other kinds or machines are passed over.
        progress: wraps the names of what is measured, for a progress bar.
        done: fingerprint -> steps, of runs that have begun.
        measure: what a kind of run takes, by one of them.

    Returns:
        By fingerprint.
    """
    known = _known(finished)
    rates = _rates([one for one in experiments if _looks(one) not in known], images, progress, measure)
    disk = _disk(experiments, images)
    estimates = {}
    for one in experiments:
        counts, left = images[one.data], one.protocol.steps - done.get(one.fingerprint, 0)
        if rows := known.get(_looks(one)):
            seconds, measured = _seconds_as_before(rows, left), "a finished run of the same kind"
        else:
            rate = rates[kind_of(one, counts.channels)]
            seconds, measured = _seconds(one.protocol, counts, rate, left), rate.measured
        estimates[one.fingerprint] = Estimate(seconds, disk[_form(one)], measured)
    return estimates


def _known(finished: Sequence[Row]) -> dict[Looks, list[Row]]:
    """Runs that were made on this machine, by what others must have in common with them."""
    devices = {row.experiment.protocol.device for row in finished}
    names = {device: describe_machine(torch.device(device)).device for device in devices if _is_here(device)}
    known: dict[Looks, list[Row]] = {}
    for row in finished:
        if row.machine.device == names.get(row.experiment.protocol.device):
            known.setdefault(_looks(row.experiment), []).append(row)
    return known


def _is_here(device: str) -> bool:
    return device == "cpu" or torch.cuda.is_available()


def _looks(experiment: Experiment) -> Looks:
    """Runs that look alike take as long as each other: same kind, same images, validated as often."""
    protocol = experiment.protocol
    return kind_of(experiment, channels=0), experiment.data, protocol.validate_every, protocol.watch_test


def _rates(
    experiments: Sequence[Experiment],
    images: Mapping[Data, ImageCounts],
    progress: Progress,
    measure: Callable[[Experiment, ImageCounts], Rates],
) -> dict[Kind, Rates]:
    """Of each kind the one with the most dimensions is measured."""
    by_size = sorted(experiments, key=lambda one: one.net.dim)
    ones = {kind_of(one, images[one.data].channels): one for one in by_size}
    shown = progress([str(kind) for kind in ones])
    return {kind: measure(one, images[one.data]) for _, (kind, one) in zip(shown, ones.items(), strict=True)}


def _seconds(protocol: Protocol, counts: ImageCounts, rates: Rates, left: int) -> float:
    """Steps, validations (one at the last step, however many there were before), and the test."""

    def embedding(images: int) -> float:
        return images * rates.image + images**2 * rates.pair

    test, views = embedding(counts.test), counts.test * rates.view  # views are made once and kept
    validation = embedding(counts.validation) + (test if protocol.watch_test else 0)
    done = protocol.steps - left
    validations = math.ceil(protocol.steps / protocol.validate_every) - done // protocol.validate_every
    return left * rates.step + (validations if left else 0) * validation + test + views


def _seconds_as_before(rows: Sequence[Row], left: int) -> float:
    """The mean of finished runs; their steps include the validations among them."""
    step = sum(row.train_seconds / row.experiment.protocol.steps for row in rows) / len(rows)
    return left * step + sum(row.evaluate_seconds for row in rows) / len(rows)


def _disk(experiments: Sequence[Experiment], images: Mapping[Data, ImageCounts]) -> dict[str, int]:
    """By form, as seeds and rates are many and take the same room."""
    return {form: folder_size(one, images[one.data]) for form, one in {_form(one): one for one in experiments}.items()}


def _form(experiment: Experiment) -> str:
    """Names what the room that a run takes depends on, and little else."""
    kept = Protocol(steps=experiment.protocol.steps, selection=experiment.protocol.selection)
    teacher = _plain(experiment.teacher) if experiment.teacher else None
    return changed(_plain(experiment), {"protocol": kept, "teacher": teacher}).fingerprint


def _plain(experiment: Experiment) -> Experiment:
    return changed(experiment, {"seed": 0, "start": None, "protocol": Protocol(), "teacher": None})


def total(estimates: Sequence[Estimate], jobs: int) -> Estimate:
    """All runs, so many at once; a single run is never split."""
    times = [one.seconds for one in estimates]
    measured = dict.fromkeys(one.measured for one in estimates)
    return Estimate(max([sum(times) / jobs, *times]), sum(one.disk for one in estimates), "; ".join(measured))


def in_words(seconds: float) -> str:
    """45 s, 12 min, 3.5 h, 2.1 days."""
    units = ((1, 90, ".0f", "s"), (60, 90, ".0f", "min"), (3600, 48, ".1f", "h"), (86400, math.inf, ".1f", "days"))
    size, _, form, unit = next(unit for unit in units if seconds < unit[0] * unit[1])
    return f"{seconds / size:{form}} {unit}"
