"""Runs on a cluster: their rows are those of this machine, whatever is lost on the way."""

import errno
import json
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from analysis.test_summarise import make_row
from grid.cluster.conftest import STORE
from grid.cluster.lost_runs import (
    SECONDS,
    Unshared,
    eight_bytes,
    from_its_checkpoint,
    half_made,
    killed_once,
    one_by_one,
    wait_for,
)
from planned import plan_runs
from small_jobs import end_of, experiment, job
from tiny import TINY

from relbench.grid.cluster.executor import Cluster
from relbench.grid.cluster.ray_package import ray
from relbench.grid.cluster.share import Share
from relbench.grid.executors import Inline
from relbench.grid.scheduler import Schedule, run_grid
from relbench.results.records import write_record
from relbench.results.run_folder import RunFolder
from relbench.studies import build_study
from relbench.trackers import read

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
def made_here(planned, tmp_path_factory, data_folder):
    """Their folders, made in this process."""
    runs = tmp_path_factory.mktemp("inline")
    made(Inline(), planned, runs, data_folder)
    return runs


@pytest.fixture(scope="module")
def inline(planned, made_here):
    """Their rows, made in this process."""
    return Schedule.of(planned, made_here).rows


def made(executor, experiments, runs, data):
    schedule = Schedule.of(experiments, runs)
    with executor:
        run_grid(executor, schedule, runs, data, Nobody())
    return schedule


def wait_until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def assert_same(rows, inline):
    assert rows.keys() == inline.keys()
    for name, row in rows.items():
        for what in SAME:
            assert getattr(row, what) == getattr(inline[name], what), what


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Cluster, Unshared], ids=["folder shared", "folder not shared"])
def test_rows_are_those_of_this_process(cluster, kind, planned, inline, tmp_path, data_folder):
    executor = kind(ONE, tmp_path)
    assert executor.slots == 2
    assert 0 < executor.memory("cpu") < psutil.virtual_memory().total
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


def fail(experiments, runs, data, trackers, execution):
    raise ValueError("bad")


class Stopped(Cluster):
    """What a driver sees of a worker that is stopped, and hears no cancelling."""

    over = threading.Event()

    def _made(self, job):
        self.over.wait()


def test_a_command_that_is_interrupted_does_not_wait_for_a_stopped_worker(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("relbench.grid.cluster.executor.PATIENCE", 0.1)
    executor = Stopped(ONE, tmp_path).__enter__()
    end = executor.submit(job(tmp_path, fail))
    executor.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not end.done()
    assert not list(tmp_path.glob(".shared-*"))
    Stopped.over.set()


@pytest.mark.parametrize("kind", [Cluster, Unshared], ids=["folder shared", "folder not shared"])
def test_a_failure_names_the_file_of_the_driver(cluster, kind, tmp_path):
    failing = job(tmp_path, fail)
    (folder,) = failing.folders.values()
    with kind(ONE, failing.runs) as executor:
        end = end_of(executor.submit(failing).result())
    assert end.words == f"bad (traceback: {folder.error})"
    assert folder.error.read_text().startswith("Traceback")


def tell_folder(experiments, runs, data, trackers, execution):
    return {one.fingerprint: str(runs) for one in experiments}


@pytest.mark.parametrize("kind", [Cluster, Unshared], ids=["folder shared", "folder not shared"])
def test_a_shared_folder_is_worked_in(cluster, kind, tmp_path):
    with kind(ONE, tmp_path / "runs") as executor:
        where = end_of(executor.submit(job(tmp_path, tell_folder)).result())
    assert (where == str(tmp_path / "runs")) == (kind is Cluster)
    assert Path(where).exists() == (kind is Cluster)


@pytest.mark.slow
def test_a_killed_worker_is_followed_by_another(cluster, planned, made_here, tmp_path, data_folder, monkeypatch):
    """A student is killed after its first checkpoint, and comes out as if it had not been."""
    teacher, _, student = planned
    shutil.copytree(RunFolder(made_here, teacher).path, RunFolder(tmp_path, teacher).path)
    monkeypatch.setattr("relbench.grid.scheduler.run_cohort", partial(killed_once, 5, tmp_path))
    heard = []
    schedule = made(Unshared(ONE, tmp_path, hear=heard.append), [teacher, student], tmp_path, data_folder)
    assert not schedule.failures
    assert_same(schedule.rows, Schedule.of([teacher, student], made_here).rows)
    assert heard == [f"{student.fingerprint}: WorkerCrashedError: goes on from what has come back"]


def test_a_run_whose_row_came_back_is_not_made_again(cluster, tmp_path):
    """Of two that are trained together, each is killed after its row, and the last before it has told how it ended."""
    data, two = tmp_path / "data", job(tmp_path, one_by_one, 0, 1)
    rows = {one.fingerprint: make_row(one, (1, 2, 3)) for one in two.experiments}
    for name, row in rows.items():
        rows[name] = row.model_copy(update={"history": ({"step": float(row.selected_step)},)})
        write_record(rows[name], data / name / "row.json")
    with Unshared(ONE, tmp_path / "runs") as executor:
        future = executor.submit(two)
        for name, folder in two.folders.items():
            wait_for(folder.row)
            (data / name / "back").touch()
        assert future.result() == rows


class WithoutInterrupts:
    """Ray, whose interrupts get lost: only the end of a worker ends its work."""

    def __init__(self, ray):
        self._ray = ray

    def __getattr__(self, name):
        return getattr(self._ray, name)

    def cancel(self, task, *, force=False):
        if force:
            self._ray.cancel(task, force=True)


def test_what_can_not_be_written_is_a_failure_of_its_runs(cluster, tmp_path, monkeypatch):
    """The disk of the driver is full: the work is given up, even if it can't be interrupted."""

    def full(pieces, path):
        made_by.append(json.loads(next(iter(pieces)).content)["process"])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    made_by = []
    monkeypatch.setattr("relbench.grid.cluster.executor.put_together", full)
    monkeypatch.setattr("relbench.grid.cluster.cancel.GRACE", 0.1)
    monkeypatch.setattr("relbench.grid.cluster.cancel.ray", partial(WithoutInterrupts, ray()))
    with Unshared(ONE, tmp_path / "runs") as executor:
        end = end_of(executor.submit(job(tmp_path, half_made)).result())
    assert end.words.startswith("[Errno 28] No space left on device: ")
    wait_until(lambda: not psutil.pid_exists(made_by[0]))


def test_a_job_that_is_lost_without_progress_fails(cluster, tmp_path, monkeypatch):
    """Its tries are counted anew after each checkpoint; nothing is handed over here."""
    one, heard, tries = job(tmp_path, half_made), [], []
    (folder,) = one.folders.values()

    def lose(_executor, lost):
        tries.append(lost)
        if len(tries) == 2:
            write_record(make_row(experiment(0), (1, 2, 3)), folder.checkpoint)
        raise ray().exceptions.WorkerCrashedError

    monkeypatch.setattr(Cluster, "_handed_over", lose)
    with Cluster(ONE, one.runs, hear=heard.append) as executor:
        end = end_of(executor.submit(one).result())
    assert end.words.startswith("its worker was lost 3 times in a row (WorkerCrashedError: ")
    assert not end.crowded
    assert (len(tries), len(heard)) == (4, 3)


@pytest.mark.slow
def test_a_node_that_is_lost_is_done_without(cluster, tmp_path, monkeypatch):
    """The job goes on where there is room, or once there is; here on a quarter of a GPU, which is not one."""
    monkeypatch.setattr("relbench.grid.cluster.environment.gpu_memory", eight_bytes)
    data, one, heard = tmp_path / "data", job(tmp_path, half_made), []
    data.mkdir()
    large = Share(cpus=3, gpus=0.25)
    lost = cluster.add_node(num_cpus=3, num_gpus=1, object_store_memory=STORE)
    with Unshared(large, tmp_path / "runs", hear=heard.append) as executor:
        assert executor.slots == 1
        assert executor.memory("cuda") == 2
        future = executor.submit(one)
        wait_for(one.folders[experiment(0).fingerprint].checkpoint)
        cluster.remove_node(lost, allow_graceful=False)
        other = cluster.add_node(num_cpus=3, num_gpus=1, object_store_memory=STORE)
        assert end_of(future.result()) == "half of it"
    cluster.remove_node(other)
    assert len(heard) == 1
    assert "NodeDiedError" in heard[0]


DRIVE = "import sys; from tests.grid.cluster.lost_runs import drive; drive(*sys.argv[1:])"


@pytest.mark.slow
def test_a_driver_that_is_killed_and_started_again(cluster, planned, inline, tmp_path, data_folder, monkeypatch):
    """Its runs end with it; they go on from the checkpoints that had come back, and come out as if nothing had been."""
    teacher, runs = planned[0], tmp_path / "runs"
    arguments = [cluster.address, teacher.model_dump_json(), str(runs), str(data_folder)]
    folder = RunFolder(runs, teacher)
    with subprocess.Popen([sys.executable, "-c", DRIVE, *arguments]) as driver:
        wait_for(folder.checkpoint)
        made_by = read(folder.path).process
        driver.kill()
    wait_until(lambda: not psutil.pid_exists(made_by))
    monkeypatch.setattr("relbench.grid.scheduler.run_cohort", partial(from_its_checkpoint, tmp_path))
    schedule = made(Unshared(ONE, runs), [teacher], runs, data_folder)
    assert (tmp_path / teacher.fingerprint).read_text() == "3"
    assert_same(schedule.rows, {teacher.fingerprint: inline[teacher.fingerprint]})


def test_runs_that_are_given_up_end_at_once(cluster, tmp_path):
    """They go on from the checkpoints that have come back, and nobody is told that they are still under way."""
    (tmp_path / "data").mkdir()
    jobs, futures = [job(tmp_path, half_made, seed) for seed in range(3)], []
    folders = [RunFolder(one.runs, one.experiments[0]) for one in jobs]

    def interrupted():
        with Unshared(ONE, tmp_path / "runs") as executor:
            futures.extend(executor.submit(one) for one in jobs)
            for folder in folders[:2]:
                wait_for(folder.checkpoint)
                wait_for(folder.path / "progress.json")
            made_by.extend(read(folder.path).process for folder in folders[:2])
            raise KeyboardInterrupt

    made_by = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(future.done() for future in futures)
    assert [folder.checkpoint.exists() for folder in folders] == [True, True, False]
    assert not any(read(folder.path) for folder in folders)
    wait_until(lambda: not any(map(psutil.pid_exists, made_by)))
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.is_file()] == []


@pytest.mark.slow
def test_the_command_on_a_cluster_of_its_own(tmp_path, data_folder):
    """The row is the teacher's, and nothing of the cluster is left."""
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    where = ["--results", str(tmp_path), "--data", str(data_folder), "--seeds", "0", "--only", "teacher"]
    command = [sys.executable, "-m", "relbench", "reproduce", "quickstart", "--cluster", "local", *where, *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert "[1/1] teacher, seed 0: Recall@1 " in done.stdout
    assert len(list(tmp_path.glob("*/runs/*/row.json"))) == 1
    assert not [path for path in tmp_path.rglob("*") if "unfinished" in path.name]
