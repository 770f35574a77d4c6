"""How many runs a cluster holds, and what each may take."""

from dataclasses import replace
from pathlib import Path

import pytest
from small_jobs import experiment

from relbench.execution import Execution
from relbench.experiment import Training
from relbench.grid.cluster.share import Share, share_for
from relbench.grid.cluster.worker import with_workers
from relbench.grid.jobs import Job
from relbench.settings import changed

GB = 2**30


def filled(cpus, gpus, share):
    """Runs put onto a node one by one, as long as one finds room: on a card that others share, or on free cards."""
    cards, count = [1.0] * gpus, 0
    part, whole = (share.gpus, 1) if share.gpus < 1 else (1, share.gpus)
    while True:
        roomy = [card for card, left in enumerate(cards) if left >= part - 1e-6]
        if cpus < share.cpus - 1e-6 or (share.gpus and len(roomy) < whole):
            return count
        for card in roomy[:whole]:
            cards[card] -= part
        cpus, count = cpus - share.cpus, count + 1


@pytest.mark.parametrize("cpus", [0.5, 1, 3])
@pytest.mark.parametrize("gpus", [0, 0.25, 0.3, 0.1, 1, 2])
def test_slots_are_the_runs_that_find_room(cpus, gpus):
    share, nodes = Share(cpus, gpus), [(0, 0), (1, 1), (7, 2), (64, 5), (2, 8)]
    resources = [{"CPU": float(has), **({"GPU": float(cards)} if cards else {})} for has, cards in nodes]
    assert share.slots(resources) == sum(filled(has, cards, share) for has, cards in nodes)
    assert share.slots([]) == 0


def test_cores_of_a_node_are_shared_by_the_runs_that_it_holds(monkeypatch):
    """Of 24 cores, 4 runs have 6 each: one computes, 5 make images; two processes of a run have half of that each."""
    monkeypatch.setattr("relbench.training.prefetching.usable_cores", lambda: 24)
    on_gpu = changed(experiment(0), {"training": Training(device="cuda")})
    beside = Share(1, 0.5).most_on([{"CPU": 24, "GPU": 2}, {"CPU": 3, "GPU": 2}, {}])
    assert beside == 4
    for execution, workers in ((Execution(), 5), (Execution(devices=2), 2), (Execution(workers=1), 1)):
        job = Job(lambda *_: {}, (on_gpu,), Path("runs"), Path("data"), execution=execution)
        assert with_workers(job, beside).execution.workers == workers
    assert with_workers(replace(job, experiments=(experiment(0),), execution=Execution()), 1).execution.workers == 0


def test_shares_in_words():
    assert str(Share(1, 0)) == "1 CPU"
    assert str(Share(4, 0.25)) == "4 CPUs and 0.25 GPU"


def test_memory_is_that_of_the_node_where_it_is_least():
    """Two runs in 8 GB, one in 3 GB; a node that holds none does not count."""
    nodes = [{"CPU": 4, "memory": 8 * GB}, {"CPU": 2, "memory": 3 * GB}, {"memory": GB}]
    assert Share(2, 0).memory(nodes) == 3 * GB
    assert Share(1, 0).memory(nodes) == 1.5 * GB
    assert Share(8, 0).memory(nodes) == 0


def test_a_run_has_a_processor_for_each_thread_and_a_gpu_to_compute_on():
    two = changed(experiment(0), {"training": Training(threads=2)})
    on_gpu = changed(experiment(0), {"training": Training(device="cuda")})
    assert share_for([experiment(0), two]) == Share(2, 0)
    assert share_for([experiment(0), on_gpu]) == Share(1, 1)
    assert share_for([on_gpu], cpus=0.5, gpus=0.25) == Share(0.5, 0.25)
    assert share_for([two], gpus=0) == Share(2, 0)
    assert share_for([two], devices=3) == Share(6, 0)
    assert share_for([on_gpu], devices=3) == Share(3, 3)


@pytest.mark.parametrize(
    ("cpus", "gpus", "words"),
    [
        (1, -1, "--gpus-per-run -1: give"),
        (1, 1.5, "--gpus-per-run 1.5: more than one must be a whole number"),
        (1, float("nan"), "--gpus-per-run nan: give"),
        (1, float("inf"), "--gpus-per-run inf: give"),
        (0, None, "--cpus-per-run 0: give"),
        (-2, None, "--cpus-per-run -2: give"),
        (2.5, None, "--cpus-per-run 2.5: more than one must be a whole number"),
        (1, 0, "--gpus-per-run 0, but runs compute on a GPU"),
        (1, 0.5, "--gpus-per-run 0.5, but each run has --devices 2: give it as many GPUs"),
        (1, 3, "--gpus-per-run 3, but each run has --devices 2: give it as many GPUs"),
        (0.00001, None, "--cpus-per-run 1e-05: give"),
    ],
)
def test_shares_that_make_no_sense(cpus, gpus, words):
    on_gpu = changed(experiment(0), {"training": Training(device="cuda")})
    with pytest.raises(ValueError, match="^" + words):
        share_for([on_gpu], 2 if "devices" in words else 1, cpus, gpus)
