"""The executor of a grid's jobs that hands them to a Ray cluster, and again where a part of that is lost."""

import os
import platform
import threading
import uuid
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from relbench.grid.cluster import environment
from relbench.grid.cluster.cancel import cancel
from relbench.grid.cluster.changed_files import FilePiece
from relbench.grid.cluster.data_sets import ImagesHere
from relbench.grid.cluster.environment import Environment, Node
from relbench.grid.cluster.fitness import ALL, Fitness, Refusal, RefusedError, of_another_environment
from relbench.grid.cluster.inputs import ObjectCache
from relbench.grid.cluster.nodes import least_gpu, resources
from relbench.grid.cluster.pieces import DamagedError, Stamp, put_together, stamp
from relbench.grid.cluster.ray_package import ray
from relbench.grid.cluster.share import Share
from relbench.grid.cluster.worker import Ended, Message, Request, Work
from relbench.grid.jobs import LONGEST, Ends, Failure, Job, left
from relbench.memory import ADVICE
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder
from relbench.trackers import clear

TRIES = 3  # a job that is lost so often, and has come no further meanwhile, has failed
SHOWN = 3  # names of a job's runs in a message
PATIENCE = 10.0  # seconds in which runs that are given up may end
AHEAD = 16  # pieces that a worker sends before the driver has taken them


class Cluster:
    """Makes runs on the Ray cluster that this process is connected to (`relbench.grid.cluster.connection`).

    A job whose worker or node is lost is handed over again, with the last checkpoints that have come back.

    Args:
        share: of a node, for each job.
        runs: holds a folder for each run.
        most: jobs at once; None: as many as the cluster holds.
        hear: is told of jobs that are lost, and of nodes that can't make them; by default, nobody hears of it.

    Raises:
        ValueError: no node has room for a run.
    """

    def __init__(self, share: Share, runs: Path, most: int | None = None, hear: Callable[[str], object] = str) -> None:
        self._share, self._hear = share, hear
        room = share.slots(resources())
        if not room:
            raise ValueError(f"no node of the cluster has {share} for a run: ask for less, or add a node")
        self._slots = min(room, most or room)
        self._threads = ThreadPoolExecutor(self._slots, "runs")  # each hears from a worker
        self._lock, self._given_up = threading.Lock(), False
        self._under_way: set[Any] = set()
        self._ends: list[Future[Ends]] = []
        self._cache = ObjectCache(ray().put)
        # named like a file that is being written: what a killed driver leaves of it is cleared away
        self._marker = runs.absolute() / f".shared-{uuid.uuid4().hex}.{os.getpid()}@{platform.node()}.unfinished"
        self._environment, self._fitness, self._images = environment.environment(), Fitness(share), ImagesHere()
        self._work = ray().remote(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_retries=0,  # it would not know of the checkpoints
            num_returns="streaming",
            _generator_backpressure_num_objects=AHEAD,
        )(environment.work)

    @property
    def slots(self) -> int:
        """The number of jobs at once."""
        return self._slots

    def memory(self, device: str) -> float:
        """Bytes for each job, on the node where they are least: of memory, or of the share of a GPU.

        A GPU is asked for what it has in all. Where none can be asked within a minute, as others compute on them, none
        is promised, and each run is trained alone.
        """
        return self._share.memory(resources()) if device == "cpu" else min(1, self._share.gpus) * least_gpu(self._share)

    def submit(self, job: Job) -> Future[Ends]:
        """Hand the job to the cluster."""
        end = self._threads.submit(self._ended, job)
        self._ends = [*(earlier for earlier in self._ends if not earlier.done()), end]
        return end

    def __enter__(self) -> Self:
        """Leave a marker by which nodes know the results folder."""
        self._marker.parent.mkdir(parents=True, exist_ok=True)
        self._marker.touch()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Give up what is under way if something was raised here, and wait for it, but not for what does not end."""
        with self._lock:
            self._given_up = error is not None
            under_way = [*self._under_way]
        if error:
            cancel(under_way)
            self._threads.shutdown(wait=False, cancel_futures=True)
            wait(self._ends, PATIENCE)  # a worker that is stopped hears nothing: its thread ends with the connection
        else:
            self._threads.shutdown()
        self._marker.unlink(missing_ok=True)

    def _ended(self, job: Job) -> Ends:
        """Hand the job over to nodes until one makes it.

        Raises:
            ValueError: no node has the driver's environment; one line.
        """
        while not (refusal := self._fitness.none_left(job)):
            try:
                return self._made(job)
            except RefusedError as error:
                if self._fitness.note(error.refusal) and not self._fitness.none_left(job):
                    self._hear(f"{error}; runs go to other nodes")
        if refusal.about == ALL:
            raise ValueError(str(refusal))
        return left(job, str(refusal))

    def _made(self, job: Job) -> Ends:
        """Hand the job over until it ends, or is lost too often."""
        tries = 0
        while True:
            before = _progress(job)
            try:
                unfinished = _unfinished(job)
                return _finished(job) | (self._handed_over(unfinished) if unfinished.experiments else {})
            except ray().exceptions.RayError as error:
                tries = tries + 1 if _progress(job) == before else 1
                if self._given_up or tries == TRIES or isinstance(error, _final()):
                    return left(job, _in_words(error, tries))
                self._tell(job, error)
            except (OSError, DamagedError) as error:  # what has arrived can't be written here, or is of no use
                return left(job, str(error))

    def _tell(self, job: Job, error: Exception) -> None:
        names = ", ".join(list(job.folders)[:SHOWN]) + (", ..." if len(job.folders) > SHOWN else "")
        room = "" if self._fitness.has_room(job) else f"; no node has {self._share} now: it waits for one"
        self._hear(f"{names}: {type(error).__name__}: goes on from what has come back{room}")

    def _handed_over(self, job: Job) -> dict[str, Row | Failure]:
        with closing(self._messages(_absolute(job))) as messages:
            return dict(_received(messages, job))

    def _messages(self, job: Job) -> Generator[Work]:
        images = self._images.of(job.experiments[0].data, job.data)
        request = ray().cloudpickle.dumps(Request(job, self._marker, images, self._share.most_on(resources())))
        work = self._work.options(**self._fitness.options(job))
        references = work.remote(self._environment, request, self._cache.inputs(job))
        with self._lock:
            self._under_way.add(references)
            too_late = self._given_up
        cancel([references] if too_late else ())
        try:
            for reference in references:
                yield self._accepted(_fetched(reference))
        except GeneratorExit:  # nobody wants the rest
            cancel([references])
            raise
        finally:
            with self._lock:
                self._under_way.remove(references)

    def _accepted(self, message: Message | tuple[Node, Environment]) -> Work:
        """A message of the work, if it is not that of a node which can't do it.

        Raises:
            RefusedError: it is.
        """
        if isinstance(message, tuple):
            message = of_another_environment(*message, self._environment, environment.environment())
        if isinstance(message, Refusal):
            raise RefusedError(message)
        return message


def _fetched(reference: Any) -> Any:
    """A message; fetched again if a piece of a file has arrived damaged."""
    message = ray().get(reference)
    return message if not isinstance(message, FilePiece) or message.piece.is_sound else ray().get(reference)


def _absolute(job: Job) -> Job:
    shorter = {name: RunFolder(run.runs.absolute(), run.experiment) for name, run in job.shorter.items()}
    return replace(job, runs=job.runs.absolute(), data=job.data.absolute(), shorter=shorter)


def _unfinished(job: Job) -> Job:
    """What is left of a job: runs whose rows came back before it was lost need not be made again."""
    runs = tuple(run for run in job.experiments if not job.folders[run.fingerprint].row.exists())
    names = {run.fingerprint for run in runs}
    return replace(job, experiments=runs, shorter={name: job.shorter[name] for name in job.shorter if name in names})


def _finished(job: Job) -> dict[str, Row | Failure]:
    rows = {name: folder.read() for name, folder in job.folders.items()}
    return {name: row for name, row in rows.items() if row}


def _progress(job: Job) -> list[Stamp | None]:
    """Changes when a checkpoint or a row has come back."""
    return [stamp(path) for folder in job.folders.values() for path in (folder.checkpoint, folder.row)]


def _received(messages: Iterator[Work], job: Job) -> Ends:
    """Write the files that are sent, up to the ends."""
    ends: Ends = {}
    for message in messages:
        if isinstance(message, Ended):
            ends = message.ends
        else:
            rest = (following.piece for following in messages if isinstance(following, FilePiece))
            put_together(chain([message.piece], rest), job.folders[message.run].path / message.file)
    for folder in job.folders.values():
        clear(folder.path)
    return ends


def _final() -> tuple[type[Exception], ...]:
    """What would happen again."""
    known = ray().exceptions
    return known.RayTaskError, known.OutOfMemoryError, known.TaskUnschedulableError


def _in_words(error: Exception, tries: int) -> str:
    """One line on why a job has no end."""
    known, said = ray().exceptions, " ".join(str(error).split())
    if isinstance(error, known.OutOfMemoryError):
        return f"its worker was ended for lack of memory on its node: {ADVICE}"
    if isinstance(error, known.RayTaskError):
        return f"its worker failed ({type(error.cause).__name__}: {error.cause})"
    return f"its worker was lost {tries} times in a row ({type(error).__name__}: {said[:LONGEST]})"
