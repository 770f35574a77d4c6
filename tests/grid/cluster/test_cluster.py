"""Runs on a cluster: their rows are those of this machine, whatever is lost on the way."""

import os

import pytest
from planned import plan_runs
from small_jobs import end_of, job
from tiny import TINY

from relbench.grid.cluster.executor import Cluster
from relbench.grid.cluster.share import Share
from relbench.grid.executors import Inline
from relbench.grid.scheduler import Schedule, run_grid
from relbench.results.run_folder import RunFolder
from relbench.studies import build_study

SAME = ("metrics", "history", "counts", "validation", "selected_step", "weights_hash", "embeddings_hash")
ONE = Share(cpus=1, gpus=0)


class Nobody:
    """Watches, and says nothing."""

    def started(self, *_):
        pass

    finished = failed = tried_again = started


@pytest.fixture(scope="module")
def planned():
    """The runs of the tiny study: a teacher, and students that it teaches."""
    runs = plan_runs(build_study("quickstart"), (0,), values=TINY)
    return [cell.experiment for cell in runs if cell.label in {"teacher", "triplet", "rkd-d"}]


@pytest.fixture(scope="module")
def inline(planned, tmp_path_factory, data_folder):
    """Their rows, made in this process."""
    runs = tmp_path_factory.mktemp("inline")
    return made(Inline(), planned, runs, data_folder).rows


def made(executor, experiments, runs, data):
    schedule = Schedule.of(experiments, runs)
    with executor:
        run_grid(executor, schedule, runs, data, Nobody())
    return schedule


def assert_same(rows, inline):
    assert rows.keys() == inline.keys()
    for name, row in rows.items():
        for what in SAME:
            assert getattr(row, what) == getattr(inline[name], what), what


class Apart(Cluster):
    """A cluster whose nodes do not see the results folder: its sign is not to be found."""

    def __enter__(self):
        super().__enter__()
        self._sign.unlink()
        return self


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Cluster, Apart], ids=["folder shared", "folder apart"])
def test_rows_are_those_of_this_process(cluster, kind, planned, inline, tmp_path, data_folder):
    executor = kind(ONE, tmp_path)
    assert executor.slots == 2
    schedule = made(executor, planned, tmp_path, data_folder)
    assert not schedule.failures
    assert_same(schedule.rows, inline)
    for one in planned:
        folder = RunFolder(tmp_path, one)
        assert folder.finished() == schedule.rows[one.fingerprint]
        assert folder.state()["step"] == one.training.steps
        assert folder.stored().hash == schedule.rows[one.fingerprint].embeddings_hash
        assert sorted(folder.path.iterdir()) == sorted(folder.files)  # no progress is left
    assert {path.name for path in tmp_path.iterdir()} == {one.fingerprint for one in planned}


def tell_folder(experiments, runs, data, trackers):
    return {one.fingerprint: str(runs) for one in experiments}


@pytest.mark.parametrize("kind", [Cluster, Apart], ids=["folder shared", "folder apart"])
def test_a_shared_folder_is_worked_in(cluster, kind, tmp_path):
    with kind(ONE, tmp_path / "runs") as executor:
        where = end_of(executor.submit(job(tmp_path, tell_folder)).result())
    assert (where == str(tmp_path / "runs")) == (kind is Cluster)
    assert os.path.exists(where) == (kind is Cluster)
