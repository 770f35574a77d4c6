"""Executors of a grid's runs: this process, one after another, or several processes.

An executor knows nothing of what runs build on: it takes those that may start, and returns how each ended. Whatever
happens to a run is that run's failure: an exception of any kind, or the end of its process.
"""

import gc
import multiprocessing
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import torch

from relbench.experiment import Experiment
from relbench.files import atomic_write
from relbench.losses.worker import work_here
from relbench.memory import ADVICE, is_out_of_memory
from relbench.processes import children_deaf_to_ctrl_c, die_with_parent, end_at_once, how_ended
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder
from relbench.trackers import FolderTracker, Tracker, clear
from relbench.training import DivergedError
from relbench.training.cohorts import executes_users_code

Run = Callable[[Experiment, Path, Path, Tracker], Row]  # as `relbench.run.run`

EXPECTED = (DivergedError, ValueError, OSError)  # their words are enough; of any other error its kind is told, too
LONGEST = 300  # characters of an error in a line; the file has all of it


@dataclass(frozen=True)
class Job:
    """A run, and all that another process must know to make it."""

    run: Run
    experiment: Experiment
    runs: Path
    data: Path

    @property
    def name(self) -> str:
        """The run's fingerprint."""
        return self.experiment.fingerprint


@dataclass(frozen=True)
class Failure:
    """The reason why a run has no row.

    Attributes:
        words: one line, with advice.
        diverged: whether its training did; it would again.
    """

    words: str
    diverged: bool = False


class Executor(Protocol):
    """Makes runs.

    Attributes:
        slots: how many runs to hand over at once: no more are under way.
    """

    @property
    def slots(self) -> int:
        """The number of runs to hand over at once."""
        ...

    def submit(self, job: Job) -> Future[Row | Failure]:
        """Take on a run; the future says how it ended."""
        ...

    def __enter__(self) -> Self:
        """Get ready."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Leave nothing behind; give up runs that are under way if something was raised here."""
        ...


def executor_for(experiments: Sequence[Experiment], jobs: int) -> Executor:
    """This process, where it makes one run at a time and none of them executes a user's code; else processes.

    Args:
        experiments: that are to be made.
        jobs: how many at once.
    """
    return Inline() if jobs == 1 and not any(map(executes_users_code, experiments)) else Processes(jobs)


def attempt(job: Job) -> Row | Failure:
    """Make a run; whatever it raises is its failure, and the traceback goes to its folder.

    Its progress stands in its folder for as long as it is under way.

    Ctrl-C is no failure. A loss that ends the process by itself is.
    """
    folder = RunFolder(job.runs, job.experiment)
    error_file = folder.error
    try:
        error_file.unlink(missing_ok=True)  # of an earlier attempt
        return _tracked(job, folder.path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a user's loss may raise anything, and extensions in Rust do
        where = _noted(error_file)
        failure = Failure(_explained(error) + where, isinstance(error, DivergedError))
    _free_memory()  # outside the handler: the error holds on to all that was in use
    return failure


def _tracked(job: Job, folder: Path) -> Row:
    tracker = FolderTracker(folder)
    try:
        return job.run(job.experiment, job.runs, job.data, tracker)
    finally:
        tracker.clear()


def _explained(error: BaseException) -> str:
    """One line on what went wrong, and on what to do where memory was short."""
    said = " ".join(str(error).split())
    short = said if len(said) <= LONGEST or isinstance(error, EXPECTED) else f"{said[:LONGEST]}..."
    told = short if short and isinstance(error, EXPECTED) else f"{type(error).__name__}: {short}".removesuffix(": ")
    return f"out of memory ({told}); {ADVICE}" if is_out_of_memory(error) else told


def _noted(path: Path) -> str:
    """Write the traceback of the error that is being handled; returns words on where it is."""
    try:
        with atomic_write(path) as temporary:
            temporary.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
    except OSError:  # a full disk, say: what went wrong is told without it
        return ""
    return f" (traceback: {path})"


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Inline:
    """Makes runs in this process: each when it is handed over."""

    slots = 1

    def submit(self, job: Job) -> Future[Row | Failure]:
        """Make the run."""
        future: Future[Row | Failure] = Future()
        future.set_result(attempt(job))
        return future

    def __enter__(self) -> Self:
        """Nothing to get ready."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left behind."""


class Processes:
    """Makes runs in processes of their own, each for one run at a time: one that is killed takes no other with it.

    A process that has executed a user's code makes no second run: what that code has done to torch ends with it.

    Args:
        slots: how many runs at once; processes start when they are needed.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._threads = ThreadPoolExecutor(slots, "runs")  # each waits for a process
        self._lock, self._given_up = threading.Lock(), False
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()

    @property
    def slots(self) -> int:
        """The number of runs at once."""
        return self._slots

    def submit(self, job: Job) -> Future[Row | Failure]:
        """Hand the run to an idle process, or to a new process."""
        return self._threads.submit(self._make, job)

    def __enter__(self) -> Self:
        """Nothing starts before it is needed."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End the processes; in the middle of their work if something was raised here."""
        with self._lock:
            self._given_up = error is not None
            for process in self._busy if error else ():
                process.terminate()
        self._threads.shutdown(cancel_futures=error is not None)
        for process in self._idle:
            process.stop()

    def _make(self, job: Job) -> Row | Failure:
        process = self._taken()
        end = process.make(job)
        with self._lock:
            self._busy.remove(process)
            keep = process.is_alive() and not executes_users_code(job.experiment)
            if keep:
                self._idle.append(process)
        if not keep:
            process.stop()
        return end

    def _taken(self) -> "_Process":
        with self._lock:
            process = next((idle for idle in self._idle if idle.is_alive()), None) or _Process()
            self._idle = [idle for idle in self._idle if idle is not process]
            self._busy.add(process)
            if self._given_up:
                process.terminate()
        return process


class _Process:
    """A process that makes the runs that it is sent, one after another."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an unknown state
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        with children_deaf_to_ctrl_c():
            self._process.start()
        theirs.close()  # so that the end of the process is the end of the connection

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def make(self, job: Job) -> Row | Failure:
        """How the run ended, where the process itself ended in the middle of it included."""
        with suppress(OSError):  # it has just ended: that no answer can come tells so
            self._connection.send(job)
        try:
            end: Row | Failure = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            clear(RunFolder(job.runs, job.experiment).path)
            return Failure(how_ended(self._process.exitcode))
        return end

    def terminate(self) -> None:
        self._process.terminate()

    def stop(self) -> None:
        """It ends by itself when nobody is at the other end."""
        self._connection.close()
        self._process.join()


def _serve(connection: Connection) -> None:
    """Make runs until nobody wants any more; does not outlive the parent."""
    die_with_parent()
    work_here()
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            end_at_once()
        connection.send(attempt(job))
