"""Work on a node of the cluster: a job is made there as on one machine, and what comes of it is sent to the driver."""

import atexit
import platform
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from relbench.grid.cluster.library import ray
from relbench.grid.cluster.luggage import Luggage
from relbench.grid.cluster.nodes import Driver, checked
from relbench.grid.cluster.pieces import Piece, pieces_of, put_together, stamp
from relbench.grid.cluster.work_folder import work_folder
from relbench.grid.executors import Processes
from relbench.grid.jobs import Ends, Failure, Job
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder
from relbench.trackers.tracker import FILE

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


Message = Sent | Ended


@dataclass(frozen=True)
class Order:
    """What a node is asked to do.

    Attributes:
        job: with absolute paths, as they are on the driver.
        sign: a file that the driver has made; where a node finds it, both see the same results folder.
        driver: what a node must have in common with it.
    """

    job: Job
    sign: Path
    driver: Driver


def make(order: Order, luggage: Luggage) -> Iterator[Message]:
    """Make the runs of a job in a process of their own, and tell how they ended.

    Where this node sees the driver's results folder, they are made there. Else they are made in a folder that goes
    with the job, and the files that the runs write are sent as they change.
    """
    try:
        checked(order.driver)
        with _at_place(order, luggage) as job:
            outbox = Outbox([] if job is order.job else [*job.folders.values()])
            ends = yield from _made(job, outbox)
        yield Ended({name: _told(end, job.runs, order.job.runs) for name, end in ends.items()})
    except (ValueError, OSError) as error:
        yield Ended(dict.fromkeys(order.job.folders, Failure(f"{error} (on node {platform.node()})")))


def _told(end: Row | Failure, here: Path, there: Path) -> Row | Failure:
    """The end, where files have the driver's names."""
    return replace(end, words=end.words.replace(str(here), str(there))) if isinstance(end, Failure) else end


@contextmanager
def _at_place(order: Order, luggage: Luggage) -> Iterator[Job]:
    """The job where it can be made on this node: as it is, if this node sees the driver's results folder."""
    if order.sign.exists():
        yield order.job
        return
    with work_folder() as folder:
        job, places = _moved(order.job, folder)
        for path, parcel in luggage.items():
            put_together(map(ray().get, parcel), places[path.parents[1]] / path.parent.name / path.name)
        yield job


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
