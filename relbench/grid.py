"""A study's runs in dependency order, several at once where cores allow.

A run is found again by its fingerprint: what is finished is skipped, what was interrupted goes on from its checkpoint.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from relbench.checks import check_runs
from relbench.cores import usable_cores
from relbench.data import Progress, find_data_set
from relbench.experiment import Experiment
from relbench.files import clear_unfinished_below, refuse_links
from relbench.kept import RunFolder, unverified
from relbench.ledger import Row
from relbench.locks import HeldError, lock
from relbench.run import run
from relbench.training import DivergedError

EXPECTED = (DivergedError, ValueError, OSError, BrokenProcessPool)  # these fail a run; anything else is our bug


class Watcher(Protocol):
    """Is told what happens, so that it can be shown."""

    def step(self, fingerprint: str, step: int) -> None:
        """So many steps of a run are done."""
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

    @classmethod
    def of(cls, experiments: Sequence[Experiment], runs: Path) -> "Schedule":
        """All that is not finished waits; equal experiments are one run.

        Raises:
            ValueError: a finished run's row is damaged.
        """
        found = {one.fingerprint: RunFolder(runs, one).finished() for one in experiments}
        rows = {name: row for name, row in found.items() if row}
        waiting = {one.fingerprint: one for one in experiments if one.fingerprint not in rows}
        return cls(waiting, rows)

    def take_ready(self) -> list[Experiment]:
        """Runs that have what they build on; they no longer wait."""
        ready = [one for one in self.waiting.values() if _needed(one) <= self.rows.keys()]
        for experiment in ready:
            del self.waiting[experiment.fingerprint]
        return ready

    def fail(self, fingerprint: str, why: str) -> list[str]:
        """Note a failed run; gives the runs that now can never start, as they build on it."""
        self.waiting.pop(fingerprint, None)
        self.failures[fingerprint] = why
        lost = {
            name: f"its {what} failed"
            for name, one in self.waiting.items()
            for what, needed in one.foundations.items()
            if needed.fingerprint == fingerprint
        }
        for name in lost:
            del self.waiting[name]  # a second stage is lost once, though its teacher and its first stage both are
        return [*lost, *(name for one, reason in lost.items() for name in self.fail(one, reason))]


def _needed(experiment: Experiment) -> set[str]:
    return {one.fingerprint for one in experiment.foundations.values()}


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
    for settings in dict.fromkeys(one.data for one in schedule.waiting.values()):
        data_set = find_data_set(settings.name, data)
        source = data_set.load(settings, data, progress)
        if hint := data_set.hint(settings, data):
            hear(hint)
        check_runs([one for one in schedule.waiting.values() if one.data == settings], runs, source, data_set.ks)
    return schedule


def run_grid(schedule: Schedule, runs: Path, data: Path, jobs: int, watcher: Watcher) -> None:
    """Run what waits, until nothing does.

    Args:
        schedule: from `prepare`; gets rows and failures.
        runs: holds a folder for each run.
        data: holds the data sets.
        jobs: how many runs at once; 1 runs them in this process, more in processes of their own.
        watcher: is told of steps (from another thread, where there are several processes) and of ends.
    """
    with _executor(jobs, watcher) as executor:
        pending: dict[Future[Row], str] = {}
        while schedule.waiting or pending:
            for one in schedule.take_ready():
                pending[_submitted(executor, one, runs, data)] = one.fingerprint
            if not pending:
                raise ValueError(f"what {', '.join(schedule.waiting)} build on is neither finished nor planned")
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                _settle(schedule, pending.pop(future), future, watcher)


def _submitted(executor: Executor, experiment: Experiment, runs: Path, data: Path) -> Future[Row]:
    try:
        with _children_deaf_to_ctrl_c():
            return executor.submit(_work, experiment, runs, data)
    except BrokenProcessPool as error:  # a killed process takes the pool with it
        broken: Future[Row] = Future()
        broken.set_exception(error)
        return broken


@contextmanager
def _children_deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that start meanwhile inherit that SIGINT is blocked: Ctrl-C is their parent's business."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settle(schedule: Schedule, fingerprint: str, future: Future[Row], watcher: Watcher) -> None:
    error = future.exception()
    if error is None:
        schedule.rows[fingerprint] = future.result()
        watcher.finished(fingerprint, future.result())
        return
    if not isinstance(error, EXPECTED):
        raise error
    if isinstance(error, DivergedError):
        schedule.diverged.add(fingerprint)
    for failed in (fingerprint, *schedule.fail(fingerprint, _words(error))):
        watcher.failed(failed, schedule.failures[failed])


def _words(error: BaseException) -> str:
    if isinstance(error, BrokenProcessPool):
        return "its process was killed, perhaps for want of memory: run again with fewer --jobs"
    return str(error)


_report: Callable[[str, int], None]  # set in each process that does the work


def _work(experiment: Experiment, runs: Path, data: Path) -> Row:
    return run(experiment, runs, data, lambda step: _report(experiment.fingerprint, step))


class _Inline(Executor):
    """Does the work at once, in this process."""

    def submit(self, work: Callable[..., Row], /, *arguments: Any, **named: Any) -> Future[Row]:  # type: ignore[override]
        future: Future[Row] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except EXPECTED as error:
            future.set_exception(error)
        return future


@contextmanager
def _executor(jobs: int, watcher: Watcher) -> Iterator[Executor]:
    global _report  # noqa: PLW0603 - a process has one place to report to
    if jobs == 1:
        _report = watcher.step
        yield _Inline()
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an unknown state
    with _children_deaf_to_ctrl_c():  # this starts a process that keeps account of shared resources
        steps = context.Queue()
    listener = threading.Thread(target=_listen, args=(steps, watcher), daemon=True)
    listener.start()
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_work, initargs=(steps,))
    try:
        yield executor
    except BaseException:
        for process in list(executor._processes.values()):  # noqa: SLF001 - there is no public way before 3.14
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        steps.put(None)
        listener.join()


def _listen(steps: "multiprocessing.Queue[tuple[str, int] | None]", watcher: Watcher) -> None:
    while (news := steps.get()) is not None:
        watcher.step(*news)


def _begin_work(steps: "multiprocessing.Queue[tuple[str, int]]") -> None:
    """Prepare a process: it does not outlive its parent."""
    global _report  # noqa: PLW0603
    threading.Thread(target=_die_with_parent, daemon=True).start()

    def report(fingerprint: str, step: int) -> None:
        steps.put((fingerprint, step))

    _report = report


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def jobs_for(experiments: Sequence[Experiment]) -> int:
    """How many runs to have at once: one on a GPU; on the CPU as many as have cores of their own."""
    if any(one.protocol.device == "cuda" for one in experiments):
        return 1
    return max(1, usable_cores() // max(one.protocol.threads for one in experiments))


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
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
