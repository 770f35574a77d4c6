"""A study's runs in dependency order, several at once where cores allow.

A run is found again by its fingerprint: what is finished is skipped, what was interrupted goes on from its checkpoint.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from relbench.cores import usable_cores
from relbench.data import Progress, find_data_set
from relbench.experiment import Experiment
from relbench.files import clear_unfinished_below, refuse_links
from relbench.grid.executors import Executor, Failure, Job
from relbench.locks import HeldError, lock
from relbench.preflight import check_evaluated_images, check_runs
from relbench.results.records import Row, refuse_other_dependencies
from relbench.results.run_folder import RunFolder, unverified
from relbench.run import run


class Watcher(Protocol):
    """Is told what happens, so that it can be shown."""

    def started(self, fingerprint: str, folder: Path) -> None:
        """A run is handed over; what it does is told in its folder (`relbench.trackers.read`)."""
        ...

    def finished(self, fingerprint: str, row: Row) -> None:
        """A run has its row."""
        ...

    def failed(self, fingerprint: str, error: str) -> None:
        """A run can't be finished; what depends on it won't start."""
        ...


@dataclass
class Schedule:
    """Which run may start: a student waits for its teacher, a second stage for the first."""

    waiting: dict[str, Experiment]
    rows: dict[str, Row] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    diverged: set[str] = field(default_factory=set)  # of those that failed: their training did; they would again
    # fingerprints of what each waiting run builds on, by what it is to it: found once, as there may be thousands
    needed: dict[str, Mapping[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        """Find what each run builds on."""
        self.needed = {
            name: {what: needed.fingerprint for what, needed in experiment.dependencies.items()}
            for name, experiment in self.waiting.items()
        }

    @classmethod
    def of(cls, experiments: Sequence[Experiment], runs: Path) -> "Schedule":
        """All that is not finished waits; equal experiments are one run.

        Raises:
            ValueError: a finished run's row is damaged, or runs were built on other weights than those that are there.
        """
        found = {experiment.fingerprint: RunFolder(runs, experiment).read() for experiment in experiments}
        rows = {name: row for name, row in found.items() if row}
        refuse_other_dependencies(rows)
        waiting = {
            experiment.fingerprint: experiment for experiment in experiments if experiment.fingerprint not in rows
        }
        return cls(waiting, rows)

    def take_ready(self) -> list[Experiment]:
        """Runs that have what they build on; they no longer wait."""
        ready = [name for name in self.waiting if self.rows.keys() >= set(self.needed[name].values())]
        return [self.waiting.pop(name) for name in ready]

    def fail(self, fingerprint: str, why: str) -> list[str]:
        """Note a failed run; returns the runs that can now never start, as they build on it."""
        self.waiting.pop(fingerprint, None)
        self.failures[fingerprint] = why
        lost = {
            name: f"its {what} failed"
            for name in self.waiting
            for what, needed in self.needed[name].items()
            if needed == fingerprint
        }
        for name in lost:
            del self.waiting[name]  # a second stage is lost once, though its teacher and its first stage both are
        return [*lost, *(name for follower, reason in lost.items() for name in self.fail(follower, reason))]


def prepare(
    experiments: Sequence[Experiment], runs: Path, data: Path, progress: Progress, hear: Callable[[str], None]
) -> Schedule:
    """Find what is finished, make the data ready, and refuse what could not be run: all before any work.

    Args:
        experiments: with all that they build on among them.
        runs: holds a folder for each run.
        data: holds the data sets.
        progress: wraps what is made ready, for a progress bar.
        hear: is told what would make the runs faster, and what can't be verified.

    Raises:
        ValueError: a row or checkpoint is damaged, a data set is too small for its run, or pretrained weights can't be
            had.
    """
    schedule = Schedule.of(experiments, runs)
    if doubt := unverified(schedule.waiting.values(), runs):
        hear(doubt)
    for settings in dict.fromkeys(experiment.data for experiment in schedule.waiting.values()):
        data_set = find_data_set(settings.name, data)
        source = data_set.load(settings, data, progress)
        hint = data_set.hint(settings, data)
        if hint:
            hear(hint)
        check_runs(
            [experiment for experiment in schedule.waiting.values() if experiment.data == settings],
            runs,
            source,
            data_set,
        )
        if hint:  # files are decoded in each run; what is kept decoded has been looked at
            check_evaluated_images(source, progress)
    return schedule


def run_grid(executor: Executor, schedule: Schedule, runs: Path, data: Path, watcher: Watcher) -> None:
    """Hand each run that waits to an executor as soon as it has what it builds on, until nothing waits.

    Args:
        executor: makes the runs.
        schedule: gets rows and failures.
        runs: holds a folder for each run.
        data: holds the data sets.
        watcher: is told of starts and ends.
    """
    ready: deque[Experiment] = deque()
    under_way: dict[Future[Row | Failure], str] = {}
    while schedule.waiting or ready or under_way:
        ready += schedule.take_ready()
        while ready and len(under_way) < executor.slots:
            job = Job(run, ready.popleft(), runs, data)
            watcher.started(job.name, RunFolder(runs, job.experiment).path)
            under_way[executor.submit(job)] = job.name
        if not under_way:
            raise ValueError(f"what {', '.join(schedule.waiting)} build on is neither finished nor planned")
        ended = wait(under_way, return_when=FIRST_COMPLETED).done
        for future in [future for future in under_way if future in ended]:
            _settle(schedule, under_way.pop(future), future.result(), watcher)


def _settle(schedule: Schedule, fingerprint: str, end: Row | Failure, watcher: Watcher) -> None:
    if not isinstance(end, Failure):
        schedule.rows[fingerprint] = end
        watcher.finished(fingerprint, end)
        return
    if end.diverged:
        schedule.diverged.add(fingerprint)
    for failed in (fingerprint, *schedule.fail(fingerprint, end.words)):
        watcher.failed(failed, schedule.failures[failed])


def jobs_for(experiments: Sequence[Experiment]) -> int:
    """The number of runs to have at once: one on a GPU; on the CPU as many as have cores of their own."""
    if any(experiment.training.device == "cuda" for experiment in experiments):
        return 1
    return max(1, usable_cores() // max(experiment.training.threads for experiment in experiments))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a results folder for this process, cleared of what a killed one left half-written.

    Raises:
        ValueError: the folder can't be written, holds links to other folders, or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = lock(folder)
    except HeldError as error:
        raise ValueError(
            f"{folder} is being written by another relbench (process {error.holder}): "
            "wait for it, or choose another results folder"
        ) from None
    except OSError as error:
        raise ValueError(f"the results folder {folder} can't be written ({error.strerror}): choose another") from None
    with held:
        refuse_links(folder)
        clear_unfinished_below(folder)
        yield
