"""From planned runs to time and disk, with a measurer whose numbers are known."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from planned import plan_runs

from relbench.grid.estimate import Estimate, ImageCounts, Rates, estimated, measured_rates, total
from relbench.grid.estimate.calibration import PART, WHOLE, kind_of
from relbench.machine import describe_machine
from relbench.settings import changed
from relbench.studies import build_study

RATES = Rates(step=0.5, image=0.01, view=0.002, scoring=1e-5, measured=PART)
COUNTS = ImageCounts(classes=80, train=900, validation=100, test=200, test_classes=20, channels=1, text=100)
CELLS = plan_runs(build_study("quickstart"), (0, 1))
EXPERIMENTS = [cell.experiment for cell in CELLS]
TEACHER = EXPERIMENTS[0]
HERE = describe_machine(torch.device("cpu")).device


class Measurer:
    """Says the same of every run, and remembers which it was asked for."""

    def __init__(self):
        self.asked, self.shown = [], []

    def measure(self, runs):
        for experiment, _ in runs:
            self.asked.append(experiment)
            yield RATES

    def progress(self, names):
        for name in names:
            self.shown.append(name)
            yield name

    def estimates(self, experiments=EXPERIMENTS, finished=(), **rest):
        images = {one.data: COUNTS for one in experiments}
        rates = measured_rates(experiments, images, finished, self.progress, self.measure)
        return estimated(experiments, images, finished, rates, **rest)


def with_protocol(**values):
    return changed(TEACHER, {"training": changed(TEACHER.training, values)})


def row(experiment, train=100.0, evaluate=7.0, device=HERE):
    """What of a row counts here."""
    machine = SimpleNamespace(device=device)
    return SimpleNamespace(experiment=experiment, train_seconds=train, evaluate_seconds=evaluate, machine=machine)


def test_every_kind_is_measured_once():
    measurer = Measurer()
    estimates = measurer.estimates()
    assert estimates.keys() == {one.fingerprint for one in EXPERIMENTS}
    assert measurer.shown == [
        "conv4-8: triplet",
        "conv4-8 taught by conv4-16: triplet, rkd_distance",
        "conv4-16: triplet",  # each kind of network before other losses
        "conv4-16 taught by conv4-16: triplet, rkd_distance, rkd_angle",
        "conv4-8 taught by conv4-16: triplet, rkd_angle",
        "conv4-8 taught by conv4-16: triplet, rkd_distance, rkd_angle",
    ]
    assert len(measurer.asked) == 6  # two seeds of each are alike


def test_the_most_dimensions_are_measured():
    nets = [changed(TEACHER, {"net": changed(TEACHER.net, {"dim": dim})}) for dim in (8, 512, 64)]
    measurer = Measurer()
    measurer.estimates(nets)
    assert [one.net.dim for one in measurer.asked] == [512]


VIEWS = 200 * 0.002  # made once
TEST = 200 * 0.01 + 200**2 * 1e-5 + VIEWS  # embedding, search
VALIDATION = 100 * 0.01 + 100**2 * 1e-5


@pytest.mark.parametrize(
    ("values", "done", "seconds"),
    [
        ({"steps": 100, "validate_every": 50}, 0, 50 + 2 * VALIDATION + TEST),
        ({"steps": 100, "validate_every": 40}, 0, 50 + 3 * VALIDATION + TEST),  # at 40, 80 and 100
        ({"steps": 100, "validate_every": 1000}, 0, 50 + VALIDATION + TEST),
        ({"steps": 100, "validate_every": 40}, 40, 30 + 2 * VALIDATION + TEST),
        ({"steps": 100, "validate_every": 40}, 80, 10 + VALIDATION + TEST),
        ({"steps": 100, "validate_every": 40}, 100, TEST),
        (
            {"steps": 100, "validate_every": 50, "log_test_metrics": True},
            0,
            50 + 2 * (VALIDATION + TEST - VIEWS) + TEST,
        ),
    ],
)
def test_seconds(values, done, seconds):
    one = with_protocol(**values)
    (found,) = Measurer().estimates([one], done={one.fingerprint: done}).values()
    assert found.seconds == pytest.approx(seconds)
    assert found.measured == PART


def test_what_runs_share_that_are_trained_together():
    """Views and teacher in each step that is left, and the views to be tested with; no more than the whole."""
    one, counts = with_protocol(steps=100), {TEACHER.data: COUNTS}
    kind = kind_of(one, COUNTS.channels)
    for shared, of_a_step in ((0.2, 0.2), (0.7, 0.5)):  # the latter by an odd measurement
        rates = {kind: replace(RATES, shared=shared)}
        (found,) = estimated([one], counts, [], rates, done={one.fingerprint: 40}).values()
        assert found.shared == pytest.approx(60 * of_a_step + VIEWS)
    (known,) = estimated([one], counts, [row(one)], rates).values()
    assert known.shared == 0.0  # the row has its share of the time already


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (12, 5), (12, 4), (7, 9)])
def test_seconds_by_counting_the_loop(steps, every):
    """As the training loop does it, from each checkpoint."""

    def due(step):
        return step % every == 0 or step == steps

    one = with_protocol(steps=steps, validate_every=every)
    for done in (0, *filter(due, range(1, steps + 1))):
        validations = sum(map(due, range(done + 1, steps + 1)))
        (found,) = Measurer().estimates([one], done={one.fingerprint: done}).values()
        assert found.seconds == pytest.approx(0.5 * (steps - done) + validations * VALIDATION + TEST)


def test_a_finished_run_of_the_same_kind_is_believed():
    """Another seed, other steps: so long a step, and as long a test."""
    measurer, finished = Measurer(), [row(changed(TEACHER, {"seed": 9})), row(with_protocol(steps=100), 30.0, 9.0)]
    found = measurer.estimates(finished=finished, done={TEACHER.fingerprint: 400})[TEACHER.fingerprint]
    left = TEACHER.training.steps - 400
    assert found.seconds == pytest.approx(left * (100 / TEACHER.training.steps + 30 / 100) / 2 + 8)
    assert found.measured == "finished runs of the same kind"
    assert TEACHER not in measurer.asked


@pytest.mark.parametrize(
    "other",
    [
        row(TEACHER, device="another processor"),
        row(with_protocol(validate_every=7)),
        row(with_protocol(batch_size=64)),
        row(with_protocol(device="cuda")),
        row(changed(TEACHER, {"data": changed(TEACHER.data, {"test_classes": 12})})),
    ],
    ids=["machine", "validations", "batch", "device", "images"],
)
def test_other_runs_are_passed_over(other):
    (found,) = Measurer().estimates([TEACHER], [other]).values()
    assert found.measured == RATES.measured


def test_nothing_to_estimate():
    assert measured_rates([], {}, [], list) == {}
    assert estimated([], {}, []) == {}
    assert total([], 2) == Estimate(None, 0, "")


def test_without_a_measurement_only_the_disk_is_known():
    images = {TEACHER.data: COUNTS}
    (found,) = estimated([TEACHER], images, []).values()
    assert (found.seconds, found.measured) == (None, "")
    assert found.disk > 0


def test_when_time_is_up_a_kind_is_taken_for_one_of_other_losses():
    images = {TEACHER.data: COUNTS}

    def two_in_time(runs):
        return (RATES if at < 2 else None for at, _ in enumerate(runs))

    rates = measured_rates(EXPERIMENTS, images, [], list, two_in_time)
    assert [str(kind) for kind in rates] == ["conv4-8: triplet", "conv4-8 taught by conv4-16: triplet, rkd_distance"]
    found = estimated(EXPERIMENTS, images, [], rates)
    unknown = {cell.label for cell in CELLS if found[cell.experiment.fingerprint].seconds is None}
    assert unknown == {"teacher", "self-distillation"}  # no network of their width was measured
    whole = total([[found[one.fingerprint]] for one in EXPERIMENTS], 1)
    assert whole.seconds == pytest.approx(sum(one.seconds for one in found.values() if one.seconds))


def test_no_time_is_measured_for_a_gpu_that_is_not_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    measurer = Measurer()
    (found,) = measurer.estimates([with_protocol(device="cuda")]).values()
    assert found.seconds is None
    assert measurer.asked == []


@pytest.mark.parametrize(("jobs", "seconds"), [(1, 60), (2, 30), (3, 30)])
def test_a_single_run_is_never_split(jobs, seconds):
    parts = [Estimate(30, 5, WHOLE), Estimate(20, 6, WHOLE), Estimate(10, 7, PART), Estimate(None, 2, "")]
    assert total([[part] for part in parts], jobs) == Estimate(seconds, 20, f"{WHOLE} and {PART}")


@pytest.mark.parametrize(
    ("seconds", "shared", "whole"),
    [
        ([10.0, 20.0], [0.0, 0.0], 30.0),
        ([10.0, 20.0], [4.0, 6.0], 6.0 + 6.0 + 14.0),  # the second is validated more often, say
        ([10.0, None], [4.0, 0.0], 10.0),
        ([None, None], [0.0, 0.0], None),
    ],
)
def test_what_is_shared_is_counted_once(seconds, shared, whole):
    """And a cohort is never split, however many jobs there are."""
    cohort = [Estimate(time, 5, WHOLE if time else "", part) for time, part in zip(seconds, shared, strict=True)]
    assert total([cohort], 4).seconds == whole
