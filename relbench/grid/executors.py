"""Executors of a grid's runs: this process, one after another, or several processes.

An executor knows nothing of what runs build on: it takes those that may start, several together if they are trained
together, and returns how each ended. Whatever happens to a run is that run's failure: an exception of any kind, or the
end of its process.
"""

import gc
import multiprocessing
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import torch

from relbench.experiment import Experiment
from relbench.files import atomic_write
from relbench.grid.longer import begin_with
from relbench.losses.worker import work_here
from relbench.memory import ADVICE, is_out_of_memory
from relbench.processes import children_deaf_to_ctrl_c, die_with_parent, end_at_once, how_ended
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder
from relbench.trackers import FolderTracker, Tracker, clear
from relbench.training import DivergedError
from relbench.training.cohorts import executes_users_code

# As `relbench.run.run_cohort`: rows or errors, by fingerprint.
Run = Callable[[Sequence[Experiment], Path, Path, Sequence[Tracker]], Mapping[str, Row | Exception]]

EXPECTED = (DivergedError, ValueError, OSError)  # their words are enough; of any other error its kind is told, too
LONGEST = 300  # characters of an error in a line; the file has all of it


@dataclass(frozen=True)
class Job:
    """Runs that are trained together, or a single run, and all that another process must know to make them.

    Attributes:
        run: makes them.
        experiments: the runs.
        runs: holds a folder for each.
        data: holds the data sets.
        shorter: finished runs that some of them go on from, by the fingerprint of the longer run.
    """

    run: Run
    experiments: tuple[Experiment, ...]
    runs: Path
    data: Path
    shorter: Mapping[str, RunFolder] = field(default_factory=dict)

    @property
    def folders(self) -> dict[str, RunFolder]:
        """The runs' folders, by fingerprint."""
        return {run.fingerprint: RunFolder(self.runs, run) for run in self.experiments}


@dataclass(frozen=True)
class Failure:
    """The reason why a run has no row.

    Attributes:
        words: one line, with advice.
        diverged: whether its training did; it would again.
        crowded: whether the runs beside it may be the cause: memory ran out, or the process of several runs died.
    """

    words: str
    diverged: bool = False
    crowded: bool = False


Ends = Mapping[str, Row | Failure]
"""How the runs of a job ended, by fingerprint."""


class Executor(Protocol):
    """Makes runs.

    Attributes:
        slots: how many jobs to hand over at once: no more are under way.
    """

    @property
    def slots(self) -> int:
        """The number of jobs to hand over at once."""
        ...

    def submit(self, job: Job) -> Future[Ends]:
        """Take on a job; the future says how each of its runs ended."""
        ...

    def __enter__(self) -> Self:
        """Get ready."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Leave nothing behind; give up runs that are under way if something was raised here."""
        ...


def executor_for(experiments: Sequence[Experiment], jobs: int) -> Executor:
    """This process, where it makes one job at a time and no run executes a user's code; else processes.

    Args:
        experiments: that are to be made.
        jobs: how many at once.
    """
    return Inline() if jobs == 1 and not any(map(executes_users_code, experiments)) else Processes(jobs)


def attempt(job: Job) -> Ends:
    """Make the runs of a job; whatever a run raises is its failure, and the traceback goes to its folder.

    The progress of each stands in its folder for as long as they are under way.

    Ctrl-C is no failure. A loss that ends the process by itself is.
    """
    folders = job.folders
    ends = {name: _noted(end, folders[name].error, len(folders)) for name, end in _tried(job, folders).items()}
    if any(isinstance(end, Failure) for end in ends.values()):
        _free_memory()  # not before: the errors hold on to all that was in use
    return ends


def _tried(job: Job, folders: Mapping[str, RunFolder]) -> dict[str, Row | BaseException]:
    try:
        for folder in folders.values():
            folder.error.unlink(missing_ok=True)  # of an earlier attempt
        return dict(_tracked(job, folders))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a user's loss may raise anything, and extensions in Rust do
        return dict.fromkeys(folders, error)


def _tracked(job: Job, folders: Mapping[str, RunFolder]) -> Mapping[str, Row | Exception]:
    trackers = dict[str, FolderTracker]()
    try:
        trackers |= {name: FolderTracker(folder.path) for name, folder in folders.items()}
        refused = _gone_on_with(job.shorter, folders)
        ready = {name: folder.experiment for name, folder in folders.items() if name not in refused}
        told = [trackers[name] for name in ready]
        return {**refused, **(job.run([*ready.values()], job.runs, job.data, told) if ready else {})}
    finally:
        for tracker in trackers.values():
            tracker.clear()


def _gone_on_with(shorter: Mapping[str, RunFolder], folders: Mapping[str, RunFolder]) -> dict[str, Exception]:
    """Let runs begin where shorter ones end; returns why some of them can't."""
    refused: dict[str, Exception] = {}
    for name, folder in shorter.items():
        try:
            if not folders[name].checkpoint.exists():  # of an earlier attempt
                begin_with(folder, folders[name])
        except (ValueError, OSError) as error:
            refused[name] = error
    return refused


def _noted(end: Row | BaseException, error_file: Path, company: int) -> Row | Failure:
    """The row; or what went wrong in one line, with a traceback in a file.

    Args:
        end: of the run.
        error_file: gets the traceback.
        company: how many runs were made together.
    """
    if not isinstance(end, BaseException):
        return end
    where = _written(end, error_file)
    crowded = company > 1 and is_out_of_memory(end)
    return Failure(_explained(end) + where, isinstance(end, DivergedError), crowded)


def _explained(error: BaseException) -> str:
    """One line on what went wrong, and on what to do where memory was short."""
    said = " ".join(str(error).split())
    short = said if len(said) <= LONGEST or isinstance(error, EXPECTED) else f"{said[:LONGEST]}..."
    told = short if short and isinstance(error, EXPECTED) else f"{type(error).__name__}: {short}".removesuffix(": ")
    return f"out of memory ({told}); {ADVICE}" if is_out_of_memory(error) else told


def _written(error: BaseException, path: Path) -> str:
    """Write the traceback of an error; returns words on where it is."""
    try:
        with atomic_write(path) as temporary:
            text = "".join(traceback.format_exception(error))
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError:  # a full disk, say: what went wrong is told without it
        return ""
    return f" (traceback: {path})"


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Inline:
    """Makes runs in this process: each job when it is handed over."""

    slots = 1

    def submit(self, job: Job) -> Future[Ends]:
        """Make the runs."""
        future: Future[Ends] = Future()
        future.set_result(attempt(job))
        return future

    def __enter__(self) -> Self:
        """Nothing to get ready."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left behind."""


class Processes:
    """Makes runs in processes of their own, each for one job at a time: one that is killed takes no other with it.

    A process that has executed a user's code makes no second run: what that code has done to torch ends with it.

    Args:
        slots: how many jobs at once; processes start when they are needed.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._threads = ThreadPoolExecutor(slots, "runs")  # each waits for a process
        self._lock, self._given_up = threading.Lock(), False
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()

    @property
    def slots(self) -> int:
        """The number of jobs at once."""
        return self._slots

    def submit(self, job: Job) -> Future[Ends]:
        """Hand the job to an idle process, or to a new process."""
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

    def _make(self, job: Job) -> Ends:
        process = self._taken()
        ends = process.make(job)
        with self._lock:
            self._busy.remove(process)
            keep = process.is_alive() and not any(map(executes_users_code, job.experiments))
            if keep:
                self._idle.append(process)
        if not keep:
            process.stop()
        return ends

    def _taken(self) -> "_Process":
        with self._lock:
            process = next((idle for idle in self._idle if idle.is_alive()), None) or _Process()
            self._idle = [idle for idle in self._idle if idle is not process]
            self._busy.add(process)
            if self._given_up:
                process.terminate()
        return process


class _Process:
    """A process that makes the runs that it is sent, one job after another."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an unknown state
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        with children_deaf_to_ctrl_c():
            self._process.start()
        theirs.close()  # so that the end of the process is the end of the connection

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def make(self, job: Job) -> Ends:
        """How the runs ended, where the process itself ended in the middle of them included."""
        with suppress(OSError):  # it has just ended: that no answer can come tells so
            self._connection.send(job)
        try:
            ends: Ends = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            return self._left(job)
        return ends

    def _left(self, job: Job) -> Ends:
        """What a process has left that has ended: the rows that it had written; any run may be why it ended."""
        failure = Failure(how_ended(self._process.exitcode), crowded=len(job.experiments) > 1)
        for folder in job.folders.values():
            clear(folder.path)
        return {name: folder.read() or failure for name, folder in job.folders.items()}

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
