"""Several GPUs of a machine, which here are pretended: each process of a grid sees its own."""

import os
import time

import pytest
import torch
from small_jobs import end_of, experiment, job

import relbench.grid.executors
from relbench.experiment import Experiment, Term, Training
from relbench.grid.executors import Processes, executor_for
from relbench.grid.gpus import VISIBLE, gpu_groups
from relbench.grid.room import Room
from relbench.grid.scheduler import jobs_for

ON_GPU = Experiment(terms=(Term(loss="triplet"),), training=Training(device="cuda"))


@pytest.fixture
def gpus(monkeypatch):
    """Pretend a number of GPUs, perhaps those that a batch system has named."""

    def pretend(count, named=None):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.delenv(VISIBLE, raising=False)
        if named is not None:
            monkeypatch.setenv(VISIBLE, named)

    return pretend


@pytest.mark.parametrize(
    ("count", "named", "devices", "groups"),
    [
        (8, None, 1, tuple("01234567")),
        (8, None, 3, ("0,1,2", "3,4,5")),
        (4, "7,5,GPU-ab,1", 2, ("7,5", "GPU-ab,1")),
        (2, "3,4,-1,5", 1, ("3", "4")),  # what follows a GPU that is not there is not seen
        (3, None, 2, (None,)),
        (1, None, 1, (None,)),
        (0, None, 4, (None,)),
    ],
)
def test_each_group_of_gpus_has_a_run(gpus, count, named, devices, groups):
    gpus(count, named)
    assert gpu_groups(devices) == groups
    assert jobs_for([experiment(0), ON_GPU], devices) == len(groups)


def tell_gpus(experiments, runs, *_):
    """Both of a pair are under way at the same time."""
    (one,) = experiments
    (runs / f"{one.seed // 2}-{one.seed}.here").touch()
    while len(list(runs.glob(f"{one.seed // 2}-*.here"))) < 2:
        time.sleep(0.02)
    return {one.fingerprint: (os.environ.get(VISIBLE), os.getpid())}


def test_a_process_sees_its_own_gpus_and_is_used_again(tmp_path):
    with Processes(2, ("0,1", "2,3")) as executor:
        told = []
        for seed in range(2):
            futures = [executor.submit(job(tmp_path, tell_gpus, 2 * seed + number)) for number in range(2)]
            told.append(sorted(end_of(future.result()) for future in futures))
    assert [group for group, _ in told[0]] == ["0,1", "2,3"]
    assert told[0] == told[1]


def test_runs_on_the_cpu_see_what_there_is(gpus, monkeypatch):
    asked = []
    monkeypatch.setattr(relbench.grid.executors, "Processes", lambda *given: asked.append(given))
    gpus(2)
    executor_for([experiment(0)], 4)
    executor_for([ON_GPU], 4)
    assert asked == [(4, (None,)), (4, ("0", "1"))]


def test_processes_share_the_memory_of_the_device_that_they_are_on(gpus):
    gpus(4)
    room = Room({}, 4, {"cpu": 80, "cuda": 80}, devices=2)
    assert (room.processes("cpu"), room.share("cpu")) == (8, 10)
    assert (room.processes("cuda"), room.share("cuda")) == (2, 40)
    assert Room({}, 1, {"cuda": 80}).share("cuda") == 80
