"""A study's runs in dependency order, several at once where cores allow, and several together where they share much.

A run is found again by its fingerprint: what is finished is skipped, what was interrupted goes on from its checkpoint.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from relbench.cores import usable_cores
from relbench.data import Progress, find_data_set
from relbench.execution import USUAL, Execution
from relbench.experiment import Experiment
from relbench.files import clear_unfinished_below, refuse_links
from relbench.grid.executors import Executor
from relbench.grid.gpus import gpu_groups
from relbench.grid.jobs import Ends, Failure, Job
from relbench.grid.longer import gone_on_with, shorter_runs
from relbench.grid.order import Cohort, Limits, Order
from relbench.locks import HeldError, lock
from relbench.preflight import check_evaluated_images, check_runs
from relbench.results.records import Row, refuse_other_dependencies
from relbench.results.run_folder import RunFolder, unverified
from relbench.run import run_cohort
from relbench.trackers import read


class Watcher(Protocol):
    """Is told what happens, so that it can be shown."""

    def started(self, folders: Mapping[str, Path]) -> None:
        """Runs are handed over together; what each does is told in its folder (`relbench.trackers.read`)."""
        ...

    def finished(self, fingerprint: str, row: Row) -> None:
        """A run has its row."""
        ...

    def failed(self, fingerprint: str, error: str) -> None:
        """A run can't be finished; what depends on it won't start."""
        ...

    def tried_again(self, fingerprints: Sequence[str], why: str) -> None:
        """Runs that failed together are each tried again alone."""
        ...


@dataclass(frozen=True)
class Watchers:
    """Several watchers, each of which is told all."""

    watchers: Sequence[Watcher]

    def started(self, folders: Mapping[str, Path]) -> None:
        """Runs are handed over together."""
        for watcher in self.watchers:
            watcher.started(folders)

    def finished(self, fingerprint: str, row: Row) -> None:
        """A run has its row."""
        for watcher in self.watchers:
            watcher.finished(fingerprint, row)

    def failed(self, fingerprint: str, error: str) -> None:
        """A run can't be finished."""
        for watcher in self.watchers:
            watcher.failed(fingerprint, error)

    def tried_again(self, fingerprints: Sequence[str], why: str) -> None:
        """Runs that failed together are each tried again alone."""
        for watcher in self.watchers:
            watcher.tried_again(fingerprints, why)


@dataclass
class Schedule:
    """What is planned, and what has come of it.

    Attributes:
        waiting: the runs that were not finished when it was planned, by fingerprint.
        rows: of finished runs.
        failures: why others have no row.
        diverged: those of them whose training did; it would again.
        shorter: runs that others go on from instead of repeating them, by the fingerprint of the longer run.
    """

    waiting: Mapping[str, Experiment]
    rows: dict[str, Row] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    diverged: set[str] = field(default_factory=set)
    shorter: Mapping[str, RunFolder] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find what each run builds on: once, as there may be thousands."""
        self._grounds = {
            name: {needed.fingerprint: what for what, needed in run.dependencies.items()}
            for name, run in self.waiting.items()
        }
        lacking = {name: grounds.keys() - self.rows.keys() for name, grounds in self._grounds.items()}
        begun_by = {name: folder.experiment.fingerprint for name, folder in self.shorter.items()}
        lacking |= {name: {*lacking[name], first} for name, first in begun_by.items() if first in self.waiting}
        self.order = Order(self.waiting, lacking)

    @classmethod
    def of(cls, experiments: Sequence[Experiment], runs: Path, results: Path | None = None) -> "Schedule":
        """All that is not finished waits; equal experiments are one run.

        Args:
            experiments: with all that they build on among them.
            runs: holds a folder for each run.
            results: holds the folders of all studies, for longer runs to go on from; None: none does.

        Raises:
            ValueError: a finished run's row is damaged, or runs were built on other weights than those that are there.
        """
        unique = {experiment.fingerprint: experiment for experiment in experiments}
        found = {name: RunFolder(runs, experiment).read() for name, experiment in unique.items()}
        rows = {name: row for name, row in found.items() if row}
        refuse_other_dependencies(rows)
        waiting = {name: experiment for name, experiment in unique.items() if name not in rows}
        return cls(waiting, rows, shorter=shorter_runs(waiting, runs, results) if results else {})

    def finish(self, fingerprint: str, row: Row) -> None:
        """Note a finished run; those that waited for it may begin."""
        self.rows[fingerprint] = row
        self.order.finish(fingerprint)

    def fail(self, fingerprint: str, why: str) -> list[str]:
        """Note a failed run; returns it and the runs that can now never begin, as they build on it."""
        self.failures[fingerprint] = why
        lost = [name for name in self.order.followers(fingerprint) if fingerprint in self._grounds[name]]
        for follower in lost:
            self.order.drop(follower)  # a second stage is lost once, though its teacher and its first stage both are
        self.order.finish(fingerprint)  # a longer run begins at its first step
        reasons = {follower: f"its {self._grounds[follower][fingerprint]} failed" for follower in lost}
        return [fingerprint, *(name for follower, reason in reasons.items() for name in self.fail(follower, reason))]


def prepare(
    experiments: Sequence[Experiment],
    runs: Path,
    data: Path,
    progress: Progress,
    hear: Callable[[str], None],
    results: Path | None = None,
    *,
    elsewhere: bool = False,
) -> Schedule:
    """Find what is finished, make the data ready, and refuse what could not be run: all before any work.

    Args:
        experiments: with all that they build on among them.
        runs: holds a folder for each run.
        data: holds the data sets.
        progress: wraps what is made ready, for a progress bar.
        hear: is told what would make the runs faster, what can't be verified, and which runs go on from shorter ones.
        results: holds the folders of all studies, for longer runs to go on from; None: none does.
        elsewhere: whether other machines make the runs: this one need not have their device.

    Raises:
        ValueError: a row or checkpoint is damaged, a data set is too small for its run, or pretrained weights can't be
            had.
    """
    schedule = Schedule.of(experiments, runs, results)
    if schedule.shorter:
        hear(gone_on_with(schedule.shorter.values()))
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
            elsewhere=elsewhere,
        )
        if hint:  # files are decoded in each run; what is kept decoded has been looked at
            check_evaluated_images(source, progress)
    return schedule


def run_grid(
    executor: Executor,
    schedule: Schedule,
    runs: Path,
    data: Path,
    watcher: Watcher,
    limits: Limits | None = None,
    execution: Execution = USUAL,
) -> None:
    """Hand runs to an executor as soon as they have what they build on, until none is left.

    Args:
        executor: makes the runs.
        schedule: gets rows and failures.
        runs: holds a folder for each run.
        data: holds the data sets.
        watcher: is told of starts and ends.
        limits: of what is trained together; None: as many as can be.
        execution: of each run.
    """
    under_way: dict[Future[Ends], Job] = {}
    limits = limits or Limits(executor.slots)
    while schedule.order or under_way:
        while len(under_way) < executor.slots:
            cohort = schedule.order.take(limits, [*map(_left, under_way.values())])
            if not cohort:
                break
            job = Job(run_cohort, tuple(cohort.values()), runs, data, _begun_by(schedule, cohort), execution)
            watcher.started({name: folder.path for name, folder in job.folders.items()})
            under_way[executor.submit(job)] = job
        if not under_way:
            raise ValueError(f"what {', '.join(schedule.order.waiting)} build on is neither finished nor planned")
        ended = wait(under_way, return_when=FIRST_COMPLETED).done
        for future in [future for future in under_way if future in ended]:
            _settle(schedule, under_way.pop(future), future.result(), watcher)


def _begun_by(schedule: Schedule, cohort: Cohort) -> dict[str, RunFolder]:
    """Those of the shorter runs that are finished: others failed."""
    named = {name: schedule.shorter[name] for name in cohort if name in schedule.shorter}
    return {name: folder for name, folder in named.items() if folder.row.exists()}


def _left(job: Job) -> float:
    """The work that is left of a job, in runs."""
    told = {name: read(folder.path) for name, folder in job.folders.items()}
    runs = {run.fingerprint: run.training.steps for run in job.experiments}
    return sum(1 - (status.done / runs[name] if status else 0) for name, status in told.items())


def _settle(schedule: Schedule, job: Job, ends: Ends, watcher: Watcher) -> None:
    """Note how the runs of a job ended; those that may have failed for want of room are each tried again alone."""
    again: dict[str, Failure] = {}
    for name, end in ends.items():
        if not isinstance(end, Failure):
            schedule.finish(name, end)
            watcher.finished(name, end)
        elif end.crowded:
            again[name] = end
        else:
            _fail(schedule, name, end, watcher)
    if again:
        schedule.order.again_apart({run.fingerprint: run for run in job.experiments if run.fingerprint in again})
        watcher.tried_again(list(again), next(iter(again.values())).words)


def _fail(schedule: Schedule, fingerprint: str, end: Failure, watcher: Watcher) -> None:
    if end.diverged:
        schedule.diverged.add(fingerprint)
    for failed in schedule.fail(fingerprint, end.words):
        watcher.failed(failed, schedule.failures[failed])


def jobs_for(experiments: Sequence[Experiment], devices: int = 1) -> int:
    """The number of runs to have at once: on GPUs as many as have GPUs of their own, on the CPU cores of their own.

    Args:
        experiments: that are to be made.
        devices: processes that share each of them.
    """
    if any(experiment.training.device == "cuda" for experiment in experiments):
        return len(gpu_groups(devices))
    return max(1, usable_cores() // (devices * max(experiment.training.threads for experiment in experiments)))


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
