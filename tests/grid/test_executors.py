"""Who makes the runs: whatever happens to a run is its failure, in this process and in others."""

import os
import signal
import threading
import time

import pytest
import torch
from small_jobs import UnsendableError, end_of, experiment, job, rows_of

from relbench.experiment import Experiment, Term
from relbench.grid.executors import Inline, Processes, executor_for
from relbench.grid.jobs import Job
from relbench.grid.scheduler import Schedule, run_grid
from relbench.memory import ADVICE
from relbench.trackers import read
from relbench.training.cohorts import executes_users_code


def test_a_run_in_this_process_ends_before_the_next_begins(tmp_path):
    """So that what is shown, and what has to be given up, is known as soon as it can be."""
    order = []

    class Log:
        def started(self, folders):
            order.append("start")

        def finished(self, fingerprint, row):
            order.append("end")

    def run(experiments, *_):
        order.append("begin")
        return rows_of(experiments)

    assert Inline().slots == 1
    assert end_of(Inline().submit(job(tmp_path, rows_of)).result()) == "a row"
    schedule = Schedule.of([experiment(0), experiment(1)], tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relbench.grid.scheduler.run_cohort", run)
        run_grid(Inline(), schedule, tmp_path, tmp_path, Log())
    assert order == ["start", "begin", "end"] * 2


OWN = Experiment(terms=(Term(loss="my:f", source="def f(student): return student.sum()"),))


def test_runs_with_a_users_code_are_made_in_processes():
    taught = Experiment(terms=(Term(loss="rkd_angle"),), teacher=OWN)
    assert isinstance(executor_for([experiment(0)], 1), Inline)
    assert [executes_users_code(one) for one in (experiment(0), OWN, taught)] == [False, True, True]
    for one in (OWN, taught):
        with executor_for([experiment(0), one], 1) as executor:
            assert isinstance(executor, Processes)
            assert executor.slots == 1


def tell_process(experiments, runs, data, trackers, _execution):
    return {one.fingerprint: str(os.getpid()) for one in experiments}


def test_a_process_that_has_executed_a_users_code_makes_no_second_run(tmp_path):
    runs = (experiment(0), experiment(1), OWN, experiment(2))
    with Processes(1) as executor:
        jobs = [Job(tell_process, (one,), tmp_path, tmp_path) for one in runs]
        first, second, own, after = [end_of(executor.submit(one).result()) for one in jobs]
    assert first == second == own != after


def wait_long(experiments, runs, data, trackers, _execution):
    for tracker in trackers:
        tracker.step(3)
    time.sleep(600)


def test_runs_that_are_given_up_end_at_once(tmp_path):
    """They go on from their last checkpoints, and nobody is told that they are still under way."""
    begun, futures = time.monotonic(), []
    waiting = [job(tmp_path, wait_long, seed) for seed in range(3)]
    folders = [folder.path for one in waiting for folder in one.folders.values()]

    def interrupt():
        with Processes(2) as executor:
            futures.extend(executor.submit(one) for one in waiting)
            while sum(bool(read(folder)) for folder in folders) < 2 and time.monotonic() - begun < 100:
                time.sleep(0.05)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert time.monotonic() - begun < 120
    assert all(future.done() for future in futures)
    assert not any(map(read, folders))


def misbehave(experiments, runs, data, trackers, _execution):
    """By seed: out of memory, killed for want of memory, an error that can't be sent; else a row."""
    ((one, tracker),) = zip(experiments, trackers, strict=True)
    tracker.step(1)
    if one.seed == 0:
        raise torch.OutOfMemoryError("CUDA out of memory")
    if one.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if one.seed == 2:
        raise UnsendableError("this", "that")
    threading.Thread(target=time.sleep, args=(60,)).start()  # outlives the run
    return {one.fingerprint: one.fingerprint}


def test_in_other_processes_a_failure_of_any_kind_is_of_one_run(tmp_path):
    ends = {}
    with Processes(2) as executor:
        for seeds in ((0, 1), (2,), (3,)):
            futures = {seed: executor.submit(job(tmp_path, misbehave, seed)) for seed in seeds}
            ends |= {seed: end_of(future.result()) for seed, future in futures.items()}
        finished = time.monotonic()
    assert time.monotonic() - finished < 30  # threads that a run leaves behind are not waited for
    assert ends[0].words.startswith("out of memory (OutOfMemoryError: CUDA out of memory)")
    assert ends[1].words == f"its process was killed, perhaps for lack of memory: {ADVICE}"
    assert ends[2].words.startswith("UnsendableError: this and that (traceback: ")
    assert ends[3] == experiment(3).fingerprint
    assert not list(tmp_path.glob("runs/*/progress.json"))  # nor of the one that was killed
