"""Executors of a grid's jobs: this process, one after another, or several processes.

An executor knows nothing of what runs build on: it takes jobs whose runs may start, and returns how each run ended.
"""

import multiprocessing
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Protocol, Self

from relbench.experiment import Experiment
from relbench.grid.gpus import gpu_groups, see
from relbench.grid.jobs import Ends, Job, attempt, left
from relbench.losses.worker import work_here
from relbench.processes import children_deaf_to_ctrl_c, die_with_parent, end_at_once, how_ended
from relbench.training.cohorts import executes_users_code


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


def executor_for(experiments: Sequence[Experiment], jobs: int, devices: int = 1) -> Executor:
    """This process, where it makes one job at a time and no run executes a user's code; else processes.

    Args:
        experiments: that are to be made.
        jobs: how many at once.
        devices: that share each run; where there are GPUs for several jobs, each has its own.
    """
    if jobs == 1 and not any(map(executes_users_code, experiments)):
        return Inline()
    on_gpu = any(experiment.training.device == "cuda" for experiment in experiments)
    return Processes(jobs, gpu_groups(devices) if on_gpu else (None,))


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
        groups: of GPUs, as `relbench.grid.gpus` names them; a process sees one of them.
    """

    def __init__(self, slots: int, groups: Sequence[str | None] = (None,)) -> None:
        self._slots, self._groups = slots, groups
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
            at_work = [busy.group for busy in self._busy]
            group = min(self._groups, key=at_work.count)
            fitting = (idle for idle in self._idle if idle.is_alive() and idle.group == group)
            process = next(fitting, None) or _Process(group)
            self._idle = [idle for idle in self._idle if idle is not process]
            self._busy.add(process)
            if self._given_up:
                process.terminate()
        return process


class _Process:
    """A process that makes the runs that it is sent, one job after another.

    Args:
        group: of GPUs that it sees; None: all that this process sees.
    """

    def __init__(self, group: str | None = None) -> None:
        self.group = group
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an unknown state
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, group))
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
            return left(job, how_ended(self._process.exitcode))
        return ends

    def terminate(self) -> None:
        self._process.terminate()

    def stop(self) -> None:
        """It ends by itself when nobody is at the other end."""
        self._connection.close()
        self._process.join()


def _serve(connection: Connection, group: str | None) -> None:
    """Make runs until nobody wants any more, on a group of GPUs; does not outlive the parent."""
    die_with_parent()
    see(group)
    work_here()
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            end_at_once()
        connection.send(attempt(job))
