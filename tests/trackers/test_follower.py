"""Followers: each step once, whoever makes the runs, and whatever becomes of the program that is written to."""

import threading

import pytest

from relbench.experiment import Experiment, Term, Training
from relbench.results.records import Row
from relbench.studies.study import PlannedRun
from relbench.trackers import FolderTracker, follower
from relbench.trackers.follower import Follower

RUNS = [
    PlannedRun(
        f"run {seed}", "student", Experiment(terms=(Term(loss="triplet"),), seed=seed, training=Training(steps=4))
    )
    for seed in (0, 1)
]
ONE, TWO = (run.experiment.fingerprint for run in RUNS)
HISTORY = [{"step": 1, "triplet": 3.0}, {"step": 2, "triplet": 2.0, "recall@1": 0.25, "test.recall@1": 0.125}]
STEPS = [
    {"step": 1, "loss/triplet": 3.0},
    {"step": 2, "loss/triplet": 2.0, "validation/recall@1": 0.25, "test/recall@1": 0.125},
]
RESULTS = {"result/recall@1": 0.5, "result/selected_step": 2.0, "result/train_seconds": 7.0}


def row(planned, history=HISTORY):
    return Row.model_construct(
        experiment=planned.experiment,
        history=tuple(history),
        metrics={"recall@1": 0.5},
        selected_step=2,
        train_seconds=7.0,
    )


class Log:
    """Keeps what it is told."""

    def __init__(self):
        self.steps, self.ends = [], []

    @property
    def written(self):
        return self.steps[-1]["step"] if self.steps else 0

    def write(self, steps):
        assert steps
        self.steps += steps

    def end(self, how, results):
        self.ends.append((how, dict(results)))


class Memory:
    """A program for curves that outlives commands."""

    def __init__(self):
        self.logs, self.opened = {}, 0

    def open(self, run):
        self.opened += 1
        log = self.logs.setdefault(run.fingerprint, Log())
        return None if ("finished", RESULTS) in log.ends else log


@pytest.fixture(autouse=True)
def look_often(monkeypatch):
    monkeypatch.setattr(follower, "LOOK_EVERY", 0.005)


@pytest.fixture
def memory():
    return Memory()


def following(memory, told=None):
    return Follower("memory", lambda: memory, "study", (told if told is not None else []).append)


def until(condition):
    """Wait for another thread."""
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("nothing has come")


def test_runs_that_were_finished_before_are_written_once(memory):
    for _ in range(2):
        with following(memory) as one:
            one.plan(RUNS, {ONE: row(RUNS[0])})
            one.plan(RUNS, {ONE: row(RUNS[0]), TWO: row(RUNS[1])})  # more was known after the first were finished
    assert memory.opened == 4  # each run once for each command
    assert [log.steps for log in memory.logs.values()] == [STEPS, STEPS]
    assert [log.ends for log in memory.logs.values()] == [[("finished", RESULTS)]] * 2


def test_a_run_is_followed_while_it_is_under_way(memory, tmp_path):
    told = FolderTracker(tmp_path / ONE)
    with following(memory) as one:
        one.plan(RUNS, {})
        one.started({name: tmp_path / name for name in (ONE, TWO)})  # a cohort; the other has not begun yet
        told.log(HISTORY[0])
        told.begin("training")
        until(lambda: memory.logs and memory.logs[ONE].steps == STEPS[:1])
        told.log({"step": 2, "triplet": 2.0})
        told.begin("validating")  # its metrics are still to come
        threading.Event().wait(0.03)
        assert memory.logs[ONE].steps == STEPS[:1]
        told.log({"step": 2, "recall@1": 0.25, "test.recall@1": 0.125})
        told.begin("training")
        until(lambda: memory.logs[ONE].steps == STEPS)
        told.clear()
        one.finished(ONE, row(RUNS[0]))
        one.failed(TWO, "killed")
    assert memory.logs.keys() == {ONE}
    assert (memory.logs[ONE].steps, memory.logs[ONE].ends) == (STEPS, [("finished", RESULTS)])


def test_a_run_that_is_resumed_or_tried_again_repeats_nothing(memory, tmp_path):
    for command in range(2):
        told = FolderTracker(tmp_path)  # from the last checkpoint, which was before what is written
        with following(memory) as one:
            one.plan(RUNS[:1], {})
            one.started({ONE: tmp_path})
            for entry in HISTORY[: 2 - command]:
                told.log(entry)
            told.begin("training")
            one.tried_again([ONE], "memory ran out")
            one.started({ONE: tmp_path})
            until(lambda: memory.logs and memory.logs[ONE].steps == STEPS)
    assert memory.logs[ONE].ends == [("interrupted", {})] * 2
    with following(memory) as one:
        one.plan(RUNS[:1], {})
        one.finished(ONE, row(RUNS[0], [*HISTORY, {"step": 4, "triplet": 1.0}]))
    assert memory.logs[ONE].steps == [*STEPS, {"step": 4, "loss/triplet": 1.0}]


def test_a_failed_run_is_closed_as_failed(memory, tmp_path):
    told = FolderTracker(tmp_path)
    told.log(HISTORY[0])
    told.begin("training")
    with following(memory) as one:
        one.plan(RUNS[:1], {})
        one.started({ONE: tmp_path})
        until(lambda: memory.logs)
        one.failed(ONE, "step 2: the loss is not finite")
    assert memory.logs[ONE].ends == [("failed", {})]


class Broken(Memory):
    def open(self, run):
        raise OSError(28, "No space left on device")


def test_a_program_that_fails_is_told_in_one_line_and_stops_nothing(memory):
    told = []
    with following(Broken(), told) as one, following(memory, told) as other:
        for each in (one, other):
            each.plan(RUNS, {ONE: row(RUNS[0])})
        until(lambda: told)
        one.finished(TWO, row(RUNS[1]))
    assert len(told) == 1
    assert told[0].startswith(
        "--track memory has stopped, the runs go on ([Errno 28] No space left on device): what is"
    )
    assert memory.logs[ONE].ends == [("finished", RESULTS)]


def test_a_program_that_hangs_does_not_keep_the_command(memory, monkeypatch):
    monkeypatch.setattr(follower, "PATIENCE", 0.01)
    told, answer = [], threading.Event()
    with Follower("slow", lambda: answer.wait() and memory, "study", told.append) as one:
        one.plan(RUNS, {ONE: row(RUNS[0])})
    assert told == ["--track slow: not all is written after 0 s: " + follower.AGAIN]
    answer.set()
    one._thread.join()
