"""Runs that lose the worker that makes them, or its node; workers import them by name."""

import os
import signal
import time
from functools import partial
from pathlib import Path

from relbench.experiment import Experiment
from relbench.files import atomic_write
from relbench.grid.cluster.connection import connected
from relbench.grid.cluster.executor import Cluster
from relbench.grid.cluster.share import Share
from relbench.grid.jobs import Job
from relbench.results.run_folder import RunFolder
from relbench.run import run_cohort

SECONDS = 60.0  # that a test waits at most


def wait_for(path):
    """Wait until a file is there."""
    end = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.02)


def kill_worker():
    """Kill the worker of the cluster that waits for this process, and wait to end with it."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(SECONDS)


def eight_bytes():
    return 8


def half_made(experiments, runs, data, trackers, execution):
    """Writes a checkpoint first; the second time, returns what is in the checkpoint that it finds.

    In between, its worker is killed, once the file "come back" is in the data folder.
    """
    folder = RunFolder(runs, experiments[0])
    if not folder.checkpoint.exists():
        with atomic_write(folder.checkpoint) as temporary:
            temporary.write_text("half of it")
        wait_for(data / "come back")
        kill_worker()
    return {folder.path.name: folder.checkpoint.read_text()}


def one_by_one(experiments, runs, data, trackers, execution):
    """Writes the row of the first run, which is in the data folder, and is killed once the file "back" is there."""
    folder = RunFolder(runs, experiments[0])
    with atomic_write(folder.row) as temporary:
        temporary.write_bytes((data / folder.path.name / "row.json").read_bytes())
    wait_for(data / folder.path.name / "back")
    kill_worker()


class Unshared(Cluster):
    """A cluster whose nodes do not see the results folder: its marker is not to be found."""

    def __enter__(self):
        super().__enter__()
        self._marker.unlink()
        return self


class KilledAt:
    """A tracker after whose step the worker is killed, once its checkpoint has come back to the driver."""

    def __init__(self, tracker, step, checkpoint):
        self.tracker, self.at, self.checkpoint = tracker, step, checkpoint

    def begin(self, phase):
        self.tracker.begin(phase)

    def log(self, entry):
        self.tracker.log(entry)

    def step(self, done):
        self.tracker.step(done)
        if done == self.at:
            wait_for(self.checkpoint)
            kill_worker()


def killed_once(step, there, experiments, runs, data, trackers, execution):
    """As `run_cohort`; but a run that has no checkpoint yet is killed at a step. `there` are the driver's folders."""
    first = [not RunFolder(runs, one).checkpoint.exists() for one in experiments]
    told = [
        KilledAt(tracker, step, RunFolder(there, one).checkpoint) if new else tracker
        for one, tracker, new in zip(experiments, trackers, first, strict=True)
    ]
    return run_cohort(experiments, runs, data, told, execution)


def from_its_checkpoint(notes, experiments, runs, data, trackers, execution):
    """As `run_cohort`; and notes the step from which each run goes on."""
    for one in experiments:
        folder = RunFolder(runs, one)
        (notes / folder.path.name).write_text(str(folder.state()["step"] if folder.checkpoint.exists() else 0))
    return run_cohort(experiments, runs, data, trackers, execution)


def drive(address, text, runs, data):
    """Be a driver that makes a run, whose worker waits for ever at step 5."""
    with connected(address), Unshared(Share(1, 0), Path(runs)) as executor:
        waits = partial(killed_once, 5, Path("nowhere"))
        one = Job(waits, (Experiment.model_validate_json(text),), Path(runs), Path(data))
        executor.submit(one).result()
