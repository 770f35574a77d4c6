"""Each pair of networks is timed once, and losses are timed apart from them."""

import pickle

import pytest
from grid.estimate.test_calibration import COUNTS, STUDENT, TEACHER, with_term

from relbench.experiment import Net, Term, Training
from relbench.grid.estimate import apart
from relbench.grid.estimate.apart import Calibration, losses_alone
from relbench.grid.estimate.calibration import Rates
from relbench.settings import changed
from relbench.training.assemble import shapes_of

SECONDS = {"rkd_distance": 1.0, "rkd_angle": 3.0, "triplet": 0.5}


@pytest.fixture
def calibrated(monkeypatch):
    """The runs that are measured whole: a step of the networks takes 10 seconds, and losses what `SECONDS` says."""
    whole = []

    def measured(run):
        whole.append(run[0])
        return Rates(step=10.0 + taken(run), image=0.2, view=0.1, scoring=0.01, measured="steps")

    def taken(run):
        return SECONDS[run[0].terms[0].loss]

    monkeypatch.setattr(apart, "calibrated", measured)
    monkeypatch.setattr(apart, "losses_alone", taken)
    return whole


def test_networks_are_measured_once(calibrated):
    other = changed(STUDENT, {"terms": (Term(loss="rkd_angle"),)})
    wider = changed(other, {"net": Net(width=2, dim=4)})
    measure = pickle.loads(pickle.dumps(Calibration()))  # as it is sent to another process
    steps = [measure((run, COUNTS)).step for run in (STUDENT, other, STUDENT, TEACHER, wider)]
    assert steps == [11.0, 13.0, 11.0, 10.5, 13.0]
    assert calibrated == [STUDENT, TEACHER, wider]


def test_losses_that_take_longer_than_a_step_was_measured_to_take(calibrated, monkeypatch):
    """By noise, of networks that take next to nothing: no step is shorter than its losses."""
    seconds = iter([12.0, 0.5])
    monkeypatch.setattr(apart, "losses_alone", lambda _: next(seconds))
    measure = Calibration()
    assert [measure((STUDENT, COUNTS)).step for _ in range(2)] == [12.0, 0.5]


def test_runs_on_a_gpu_are_measured_whole(calibrated):
    there = changed(STUDENT, {"training": changed(STUDENT.training, {"device": "cuda"})})
    measure = Calibration()
    for _ in range(2):
        measure((there, COUNTS))
    assert calibrated == [there, there]


@pytest.mark.parametrize("name", ["rkd_angle", "attention_transfer", "cross_entropy", "refilled_classifier"])
def test_losses_are_timed_without_networks(name, monkeypatch):
    run = with_term(name)
    shapes_of(run, COUNTS.channels, COUNTS.classes)  # found once, by showing an image to the network
    monkeypatch.setattr("relbench.models.conv4.Conv4.forward", None)
    assert losses_alone((run, COUNTS)) > 0


def test_maps_are_of_few_images_and_a_batch_in_proportion(monkeypatch):
    tried = []

    def rehearsal(_experiment, _channels, _classes, rows):
        tried.append(rows)
        return lambda: None

    monkeypatch.setattr(apart, "rehearsal", rehearsal)
    training = Training(steps=10, batch_size=24, images_per_class=5)
    for name in ("rkd_angle", "attention_transfer"):
        losses_alone((changed(with_term(name), {"training": training}), COUNTS))
    assert tried == [24, 10]
