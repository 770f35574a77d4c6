"""Room for runs side by side: what fits a slot's share of the memory."""

import math

import pytest
import torch

import relbench.grid.room
from relbench.data.cached_views import KEPT_BYTES
from relbench.experiment import Experiment, Net, Term, Training
from relbench.grid.estimate import ImageCounts
from relbench.grid.room import PROCESS, Room
from relbench.settings import changed
from relbench.training.cohorts import memory

COUNTS = ImageCounts(classes=5, train=50, validation=10, test=30, test_classes=3, channels=1, text=400)
RUNS = [Experiment(terms=(Term(loss="triplet"),), net=Net(width=8, dim=dim)) for dim in (8, 16, 32)]
IMAGES = {RUNS[0].data: COUNTS}


def room(free, slots=1):
    return Room(IMAGES, slots, {"cpu": free})


def test_what_runs_take_is_training_process_and_views_that_are_kept():
    views = 10 * 28**2
    assert room(0).taken(RUNS) == memory(RUNS, 1, 5) + PROCESS + views
    watched = [changed(run, {"training": Training(log_test_metrics=True)}) for run in RUNS]
    assert room(0).taken(watched) == memory(RUNS, 1, 5) + PROCESS + views + 30 * 28**2
    many = Room({RUNS[0].data: changed_counts(validation=10**9)}, 1, {"cpu": 0})
    assert many.taken(RUNS) == memory(RUNS, 1, 5) + PROCESS + KEPT_BYTES


def changed_counts(**counts):
    return ImageCounts(**{**vars(COUNTS), **counts})


def test_each_slot_has_its_share():
    needed = room(0).taken(RUNS)
    assert room(needed).fits(RUNS)
    assert not room(needed - 1).fits(RUNS)
    assert not room(needed, slots=2).fits(RUNS)
    assert room(2 * needed, slots=2).fits(RUNS)
    assert room(needed - 1).fits(RUNS[:2])


def test_seeds_are_estimated_once(monkeypatch):
    asked = []
    monkeypatch.setattr(relbench.grid.room, "memory", lambda *given: asked.append(given) or 1)
    one = room(0)
    for seed in range(3):
        one.taken([changed(run, {"seed": seed}) for run in RUNS])
    assert len(asked) == 1
    one.taken([changed(run, {"training": Training(batch_size=64)}) for run in RUNS])
    one.taken(RUNS[:2])
    assert len(asked) == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_here_has_room_for_all():
    runs = [changed(run, {"training": Training(device="cuda")}) for run in RUNS]
    assert room(0).share("cuda") == math.inf
    assert room(0).fits(runs)
    assert room(0).taken(runs) == memory(RUNS, 1, 5)
