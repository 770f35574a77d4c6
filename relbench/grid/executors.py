"""Who makes the runs of a grid: this process, one after another, or several processes.

Whatever happens to a run is that run's failure: an exception of any kind, or the end of its process.
"""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Protocol, Self

import torch

from relbench.experiment import Experiment
from relbench.files import atomic_write
from relbench.memory import ADVICE, is_out_of_memory
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder
from relbench.training import DivergedError

Run = Callable[[Experiment, Path, Path, Callable[[int], None]], Row]  # as `relbench.run.run`
OnStep = Callable[[str, int], None]  # told a run's fingerprint, and how many of its steps are done

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
    """Why a run has no row.

    Attributes:
        words: one line, with advice.
        diverged: whether its training did; it would again.
    """

    words: str
    diverged: bool = False


class Executor(Protocol):
    """Makes runs."""

    def has_room(self) -> bool:
        """Whether another run can be started now."""
        ...

    def is_busy(self) -> bool:
        """Whether a run that was started has not ended."""
        ...

    def start(self, job: Job) -> None:
        """Take on a run."""
        ...

    def next_end(self) -> tuple[str, Row | Failure]:
        """Wait until a run ends; returns its fingerprint, and how it ended."""
        ...


def attempt(job: Job, on_step: Callable[[int], None]) -> Row | Failure:
    """Make a run; whatever it raises is its failure, and the traceback goes to its folder.

    Ctrl-C is no failure. A loss that ends the process by itself is.
    """
    error_file = RunFolder(job.runs, job.experiment).error
    try:
        error_file.unlink(missing_ok=True)  # of an earlier attempt
        return job.run(job.experiment, job.runs, job.data, on_step)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a user's loss may raise anything, and extensions in Rust do
        where = _noted(error_file)
        failure = Failure(_explained(error) + where, isinstance(error, DivergedError))
    _free_memory()  # outside the handler: the error holds on to all that was in use
    return failure


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
    """Makes runs in this process, one at a time.

    Args:
        on_step: told of each step of a run.
    """

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step
        self._started: deque[Job] = deque()

    def has_room(self) -> bool:
        """Whether none is waiting."""
        return not self._started

    def is_busy(self) -> bool:
        """Whether one is waiting."""
        return bool(self._started)

    def start(self, job: Job) -> None:
        """Note the run; it is made when its end is waited for."""
        self._started.append(job)

    def next_end(self) -> tuple[str, Row | Failure]:
        """Make the run."""
        job = self._started.popleft()
        return job.name, attempt(job, lambda step: self._on_step(job.name, step))


class Processes:
    """Makes runs in processes of their own, each for one run at a time: one that is killed takes no other with it.

    Args:
        count: how many runs at once; processes start when they are needed.
        on_step: told of each step of a run, in this process's main thread.
    """

    def __init__(self, count: int, on_step: OnStep) -> None:
        self._count, self._on_step = count, on_step
        self._idle: list[_Process] = []
        self._busy: dict[Connection, tuple[_Process, str]] = {}

    def __enter__(self) -> Self:
        """Nothing starts before it is needed."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End the processes; in the middle of their work if something was raised here."""
        for process in (*self._idle, *(process for process, _ in self._busy.values())):
            process.stop(at_once=error is not None)

    def has_room(self) -> bool:
        """Whether fewer runs than allowed are being made."""
        return len(self._busy) < self._count

    def is_busy(self) -> bool:
        """Whether a run is being made."""
        return bool(self._busy)

    def start(self, job: Job) -> None:
        """Hand the run to a process that is idle, or to a new one."""
        self._idle = [process for process in self._idle if process.is_alive()]
        process = self._idle.pop() if self._idle else _Process()
        process.begin(job)
        self._busy[process.connection] = process, job.name

    def next_end(self) -> tuple[str, Row | Failure]:
        """Pass steps on until a run ends."""
        while True:
            for connection in wait(list(self._busy)):
                assert isinstance(connection, Connection)
                process, name = self._busy[connection]
                news = process.news()
                if not isinstance(news, int):
                    del self._busy[connection]
                    self._idle.append(process)
                    return name, news
                self._on_step(name, news)


class _Process:
    """A process that makes the runs that it is sent, one after another."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an unknown state
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        with children_deaf_to_ctrl_c():
            self._process.start()
        theirs.close()  # so that the end of the process is the end of the connection

    def is_alive(self) -> bool:
        return not self.connection.closed and self._process.is_alive()

    def begin(self, job: Job) -> None:
        with suppress(OSError):  # it has just ended: that no news can come of it tells so
            self.connection.send(job)

    def news(self) -> int | Row | Failure:
        """Steps done, or how the run ended, where the process itself ended in the middle of it included."""
        try:
            news: int | Row | Failure = self.connection.recv()
        except (EOFError, OSError):
            self.stop(at_once=False)
            return Failure(how_ended(self._process.exitcode))
        return news

    def stop(self, *, at_once: bool) -> None:
        if at_once:
            self._process.terminate()
        self.connection.close()
        self._process.join()


def how_ended(exit_code: int | None) -> str:
    """Why a process that was at work is gone."""
    if exit_code == -signal.SIGKILL:
        return f"its process was killed, perhaps for lack of memory: {ADVICE}"
    how = signal.Signals(-exit_code).name if exit_code and exit_code < 0 else f"exit code {exit_code}"
    return f"its process ended ({how})"


def _serve(connection: Connection) -> None:
    """Make runs until nobody wants any more; does not outlive the parent."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            _end_at_once()
        connection.send(attempt(job, connection.send))


def _end_at_once() -> NoReturn:
    """Without waiting for threads that a user's loss has left behind, as the parent waits for this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


@contextmanager
def children_deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that start meanwhile inherit that SIGINT is blocked: Ctrl-C is their parent's business."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
