"""Work on a node of the cluster: a job is made there as on one machine, and what comes of it is sent to the driver."""

import atexit
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from relbench.data.download.disk import plain_disk_errors
from relbench.grid.cluster.data_sets import Images, folder_here, make_ready
from relbench.grid.cluster.environment import this_node
from relbench.grid.cluster.fitness import Refusal
from relbench.grid.cluster.library import ray
from relbench.grid.cluster.luggage import Luggage
from relbench.grid.cluster.pieces import DamagedError, Piece, pieces_of, put_together, stamp
from relbench.grid.cluster.work_folder import work_folder
from relbench.grid.executors import Processes
from relbench.grid.jobs import Ends, Failure, Job
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder
from relbench.trackers.tracker import FILE
from relbench.training.prefetching import workers_beside

LOOK_EVERY = 0.25  # seconds between two looks into the folders of the runs


@dataclass(frozen=True)
class Sent:
    """A piece of a run's file; the others follow, with nothing between them, up to the one with the hash.

    Attributes:
        run: its fingerprint.
        file: its name in the run's folder.
        piece: of the file.
    """

    run: str
    file: str
    piece: Piece


@dataclass(frozen=True)
class Ended:
    """How the runs of the job ended: the last message."""

    ends: Ends


Work = Sent | Ended
Message = Work | Refusal


@dataclass(frozen=True)
class Order:
    """What a node is asked to do.

    Attributes:
        job: with absolute paths, as they are on the driver.
        sign: a file that the driver has made; where a node finds it, both see the same results folder.
        images: of the runs, as the driver has them.
        beside: jobs that a node has at once, at most.
    """

    job: Job
    sign: Path
    images: Images
    beside: int = 1


def make(order: Order, luggage: Luggage) -> Iterator[Message]:
    """Make the runs of a job in a process of their own, and tell how they ended.

    Where this node sees the driver's results folder, they are made there. Else they are made in a folder that goes
    with the job, and the files that the runs write are sent as they change.

    A job that can't begin here, as its images or files can't be had, or whose folder here can't be written to, is
    refused: another node may make it.
    """
    with ExitStack() as stack:
        job = _begun(order, luggage, stack)
        if isinstance(job, Refusal):
            yield job
            return
        moved = job.runs != order.job.runs
        ends = yield from _made(with_workers(job, order.beside), Outbox([*job.folders.values()] if moved else []))
    ends = {name: _told(end, job.runs, order.job.runs) for name, end in ends.items()}
    unwritten = [end.words for end in ends.values() if isinstance(end, Failure) and end.unwritten]
    yield Refusal(this_node(), job.experiments[0].fingerprint, unwritten[0]) if moved and unwritten else Ended(ends)


def _begun(order: Order, luggage: Luggage, stack: ExitStack) -> Job | Refusal:
    """The job as it can be made here, until the stack is left; or why it can't."""
    first = order.job.experiments[0]
    about = first.data.name
    try:
        order = _with_images(order)
        about = first.fingerprint
        return stack.enter_context(_at_place(order, luggage))
    except (ValueError, OSError, DamagedError) as error:
        return Refusal(this_node(), about, str(error))


def with_workers(job: Job, beside: int) -> Job:
    """The job with its share of this node's cores to prepare images, where nothing else is asked for."""
    execution, device = job.execution, torch.device(job.experiments[0].training.device)
    if execution.workers is not None:
        return job
    return replace(job, execution=replace(execution, workers=workers_beside(device, beside * execution.devices)))


def _told(end: Row | Failure, here: Path, there: Path) -> Row | Failure:
    """The end, where files have the driver's names."""
    return replace(end, words=end.words.replace(str(here), str(there))) if isinstance(end, Failure) else end


def _with_images(order: Order) -> Order:
    """The same, with the folder of data sets on this node; those of the job are there.

    Raises:
        ValueError: they can't be had; one line.
    """
    root = folder_here(order.job.data)
    with plain_disk_errors(root):
        make_ready(order.job.experiments[0].data, root, order.images)
    return replace(order, job=replace(order.job, data=root))


@contextmanager
def _at_place(order: Order, luggage: Luggage) -> Iterator[Job]:
    """The job where it can be made on this node: as it is, if this node sees the driver's results folder.

    Raises:
        ValueError: there is no room for what it takes along; one line.
        DamagedError: some of that has arrived damaged, and so it has at a second try.
    """
    if order.sign.exists():
        yield order.job
        return
    with work_folder() as folder:
        job, places = _moved(order.job, folder)
        with plain_disk_errors(folder):
            for path, parcel in luggage.items():
                put_together(map(_fetched, parcel), places[path.parents[1]] / path.parent.name / path.name)
        yield job


def _fetched(reference: Any) -> Piece:
    """A piece; fetched again if it has arrived damaged."""
    piece: Piece = ray().get(reference)
    return piece if piece.is_sound else ray().get(reference)


def _moved(job: Job, folder: Path) -> tuple[Job, Mapping[Path, Path]]:
    """The job with the folders of its runs below another folder, and where each of these is now."""
    there = dict.fromkeys([job.runs, *(shorter.runs for shorter in job.shorter.values())])
    places = {runs: folder / str(number) for number, runs in enumerate(there)}
    shorter = {name: RunFolder(places[run.runs], run.experiment) for name, run in job.shorter.items()}
    return replace(job, runs=places[job.runs], shorter=shorter), places


def _made(job: Job, outbox: "Outbox") -> Generator[Sent, None, Ends]:
    """Make the runs, and send their files as they change; if that is given up, the process ends with it."""
    with _processes() as executor:
        future = executor.submit(job)
        while not wait([future], LOOK_EVERY).done:
            yield from outbox.sent()
        yield from outbox.sent()
        return future.result()


@contextmanager
def _processes() -> Iterator[Processes]:
    """For all jobs of this worker the same: a process that has made one can make the next, but for users' code."""
    executor = _KEPT.pop() if _KEPT else Processes(1)
    try:
        yield executor
    except BaseException as error:
        executor.__exit__(type(error), error, error.__traceback__)
        raise
    _KEPT.append(executor)


_KEPT: list[Processes] = []


@atexit.register
def _end_kept() -> None:
    """Python would wait for their processes, which wait for work."""
    for executor in _KEPT:
        executor.__exit__(None, None, None)


class Outbox:
    """Files of runs, each to be sent when it has changed.

    Args:
        folders: of the runs; files that are there already are known to the driver.
    """

    def __init__(self, folders: Sequence[RunFolder]) -> None:
        self._folders = folders
        self._known = {path: stamp(path) for folder in folders for path in _in_order(folder)}

    def sent(self) -> Iterator[Sent]:
        """Pieces of the files that are others than at the last look."""
        for folder in self._folders:
            for path in self._changed(folder):
                yield from _pieces(path)

    def _changed(self, folder: RunFolder) -> list[Path]:
        """In the order of their writing, but looked at from the last: a row that is there came after the others."""
        stamps = {path: stamp(path) for path in reversed(_in_order(folder))}
        changed = [path for path in _in_order(folder) if stamps[path] not in {None, self._known[path]}]
        self._known |= stamps
        return changed


def _in_order(folder: RunFolder) -> tuple[Path, ...]:
    return folder.path / FILE, folder.error, *folder.files


def _pieces(path: Path) -> Iterator[Sent]:
    try:
        for piece in pieces_of(path):
            yield Sent(path.parent.name, path.name, piece)
    except FileNotFoundError:  # it was there a moment ago: the run has ended, or begins anew
        return
