"""Runs side by side, from images to rows: each row is the one that the run alone would have."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from planned import plan_runs, quickstart_with
from tiny import TINY
from told import Steps

from relbench.data.cached_views import CachedViews
from relbench.experiment import Net, Term
from relbench.results.checkpoint import CheckpointError
from relbench.results.run_folder import RunFolder
from relbench.run import run, run_cohort
from relbench.settings import changed
from relbench.studies.quickstart import TRIPLET
from relbench.trackers import Silent
from relbench.training import DivergedError
from relbench.training.cohorts import key

METHODS = {
    "weights": (TRIPLET, Term(loss="fitnet"), Term(loss="hinton_kd", options={"temperature": 4.0})),
    "rkd": (TRIPLET, Term(loss="rkd_distance"), Term(loss="rkd_angle", weight=2.0)),
}
STUDY = quickstart_with(METHODS, teacher_terms=(TRIPLET, Term(loss="probe")))
CELLS = {cell.label: cell.experiment for cell in plan_runs(STUDY, (0,), values=TINY)}
TEACHER, FIRST = CELLS["teacher"], CELLS["rkd"]
STUDENTS = {
    "rkd": FIRST,
    "weights": CELLS["weights"],
    "wide": changed(FIRST, {"net": Net(width=3, dim=5)}),
    "fast": changed(FIRST, {"training": changed(FIRST.training, {"learning_rate": 0.01, "selection": "validation"})}),
}
SAME = ("metrics", "history", "counts", "validation", "selected_step", "weights_hash", "embeddings_hash")


class Stop(Exception):  # noqa: N818 - stands for a kill
    pass


@pytest.fixture(scope="module")
def apart(tmp_path_factory, data_folder):
    """The teacher's folder, and each student's row, trained alone."""
    runs = tmp_path_factory.mktemp("apart")
    run(TEACHER, runs, data_folder, Silent())
    return runs, {name: run(one, runs, data_folder, Silent()) for name, one in STUDENTS.items()}


@pytest.fixture
def runs(apart, tmp_path):
    """A folder that has the teacher alone."""
    (tmp_path / TEACHER.fingerprint).symlink_to(RunFolder(apart[0], TEACHER).path)
    return tmp_path


def together(runs, data_folder, names=tuple(STUDENTS), trackers=None):
    experiments = [STUDENTS[name] for name in names]
    ends = run_cohort(experiments, runs, data_folder, trackers or [Silent() for _ in names])
    return {name: ends[one.fingerprint] for name, one in zip(names, experiments, strict=True)}


def assert_as_apart(rows, apart, names=tuple(STUDENTS)):
    for name in names:
        for what in SAME:
            assert getattr(rows[name], what) == getattr(apart[1][name], what), (name, what)


def test_they_may_be_trained_together():
    assert len({key(one) for one in STUDENTS.values()}) == 1
    assert key(TEACHER) != key(FIRST)


@pytest.mark.parametrize("names", [tuple(STUDENTS), ("wide", "rkd")], ids=len)
def test_rows_are_those_of_runs_apart(apart, runs, data_folder, names):
    """Weights, embeddings, metrics and history to the last bit; and all is in the folders."""
    rows = together(runs, data_folder, names)
    assert_as_apart(rows, apart, names)
    for name in names:
        folder = RunFolder(runs, STUDENTS[name])
        assert folder.finished() == rows[name]
        assert folder.state()["step"] == 9
        assert folder.stored().hash == rows[name].embeddings_hash
        assert 0 < rows[name].train_seconds < 60


def test_one_that_diverges_and_one_that_cannot_begin_fail_alone(apart, runs, data_folder, monkeypatch):
    damaged = RunFolder(runs, STUDENTS["wide"])
    damaged.path.mkdir()
    damaged.checkpoint.write_bytes(b"")
    monkeypatch.setitem(STUDENTS, "hot", changed(FIRST, {"training": changed(FIRST.training, {"learning_rate": 1e30})}))
    rows = together(runs, data_folder, ("rkd", "wide", "hot", "weights"))
    assert isinstance(rows["wide"], CheckpointError)
    assert isinstance(rows["hot"], DivergedError)
    assert_as_apart(rows, apart, ("rkd", "weights"))
    assert not RunFolder(runs, STUDENTS["hot"]).row.exists()


def test_one_whose_row_cannot_be_written_fails_alone(apart, runs, data_folder):
    RunFolder(runs, STUDENTS["rkd"]).row.mkdir(parents=True)
    (RunFolder(runs, STUDENTS["rkd"]).row / "in the way").touch()
    with pytest.raises((OSError, ValueError)):
        raise together(runs, data_folder, ("rkd", "fast"))["rkd"]
    assert RunFolder(runs, STUDENTS["fast"]).finished()


class Unwritable(Silent):
    def __init__(self, phase):
        self.phase = phase

    def begin(self, phase):
        if phase == self.phase:
            raise OSError("no such folder")


@pytest.mark.parametrize("phase", ["preparing", "training", "evaluating"])
def test_one_whose_progress_cannot_be_written_fails_alone(apart, runs, data_folder, phase):
    rows = together(runs, data_folder, ("rkd", "wide"), [Silent(), Unwritable(phase)])
    assert isinstance(rows["wide"], OSError)
    assert_as_apart(rows, apart, ("rkd",))


def test_what_stops_all_is_the_failure_of_all(runs, data_folder, monkeypatch):
    def broken(*_):
        raise ValueError("no image")

    monkeypatch.setattr(CachedViews, "test_batch", broken)
    ends = together(runs, data_folder, ("rkd", "wide"))
    assert [str(end) for end in ends.values()] == ["no image"] * 2


def test_what_stops_the_process_stops_all(runs, data_folder):
    """Ctrl-C is nobody's failure."""

    def interrupt(step):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together(runs, data_folder, ("rkd", "wide"), [Silent(), Steps(interrupt)])


def test_stopped_at_different_steps_they_go_on_together(apart, runs, data_folder):
    def stop(step):
        if step == 7:
            raise Stop

    assert isinstance(together(runs, data_folder, ("rkd",), [Steps(stop)])["rkd"], Stop)
    run(STUDENTS["fast"], runs, data_folder, Silent())
    RunFolder(runs, STUDENTS["fast"]).row.unlink()  # killed as it was evaluated
    told = {name: [] for name in STUDENTS}
    rows = together(runs, data_folder, trackers=[Steps(steps.append) for steps in told.values()])
    assert [steps[0] for steps in told.values()] == [6, 0, 0, 9]
    assert_as_apart(rows, apart)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_run_cohort import STUDENTS, Steps, Silent, run_cohort
def kill(step):
    if step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
run_cohort(list(STUDENTS.values()), Path({runs!r}), Path({data!r}), [Silent(), Steps(kill), Silent(), Silent()])
"""


def test_kill_9_in_a_cohort_loses_nothing_but_the_steps_since_the_last_checkpoint(apart, runs, data_folder):
    """The second of four kills the process after its fifth step: the first has made its own, the others have not."""
    code = KILLED.format(tests=str(Path(__file__).parent), runs=str(runs), data=str(data_folder))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    states = [RunFolder(runs, one).state() for one in STUDENTS.values()]
    assert [state["step"] for state in states] == [3] * 4
    told = {name: [] for name in STUDENTS}
    rows = together(runs, data_folder, trackers=[Steps(steps.append) for steps in told.values()])
    assert [steps[0] for steps in told.values()] == [3] * 4
    assert_as_apart(rows, apart)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_cohort_on_a_gpu(apart, runs, data_folder):
    """Sums need not be reproducible there: the rows are those of runs apart but for rounding."""
    ones = [changed(one, {"training": changed(one.training, {"device": "cuda"})}) for one in STUDENTS.values()]
    rows = run_cohort(ones, runs, data_folder, [Silent() for _ in ones])
    for one, name in zip(ones, STUDENTS, strict=True):
        first, expected = rows[one.fingerprint].history[0], apart[1][name].history[0]
        assert first == pytest.approx(expected, rel=1e-3, abs=0.05)
