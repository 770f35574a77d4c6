"""Work on a node of the cluster: a job is made there as on one machine, and what comes of it is sent to the driver."""

import atexit
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from relbench.data.download.disk import plain_disk_errors
from relbench.grid.cluster.changed_files import ChangedFiles, FilePiece
from relbench.grid.cluster.data_sets import Images, folder_here, make_ready
from relbench.grid.cluster.environment import this_node
from relbench.grid.cluster.fitness import Refusal
from relbench.grid.cluster.inputs import Inputs
from relbench.grid.cluster.pieces import DamagedError, Piece, put_together
from relbench.grid.cluster.ray_package import ray
from relbench.grid.cluster.work_folder import work_folder
from relbench.grid.executors import Processes
from relbench.grid.jobs import Ends, Failure, Job
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder
from relbench.training.prefetching import workers_beside

LOOK_EVERY = 0.25  # seconds between two looks into the folders of the runs


@dataclass(frozen=True)
class Ended:
    """How the runs of the job ended: the last message."""

    ends: Ends


Work = FilePiece | Ended
Message = Work | Refusal


@dataclass(frozen=True)
class Request:
    """What a node is asked to do.

    Attributes:
        job: with absolute paths, as they are on the driver.
        marker: a file that the driver has made; where a node finds it, both see the same results folder.
        images: of the runs, as the driver has them.
        beside: jobs that a node has at once, at most.
    """

    job: Job
    marker: Path
    images: Images
    beside: int = 1


def make(request: Request, inputs: Inputs) -> Iterator[Message]:
    """Make the runs of a job in a process of their own, and tell how they ended.

    Where this node sees the driver's results folder, they are made there. Else they are made in a folder that goes
    with the job, and the files that the runs write are sent as they change.

    A job that can't begin here, as its images or files can't be had, or whose folder here can't be written to, is
    refused: another node may make it.
    """
    with ExitStack() as stack:
        job = _begun(request, inputs, stack)
        if isinstance(job, Refusal):
            yield job
            return
        moved = job.runs != request.job.runs
        changed = ChangedFiles([*job.folders.values()] if moved else [])
        ends = yield from _made(with_workers(job, request.beside), changed)
    ends = {name: _told(end, job.runs, request.job.runs) for name, end in ends.items()}
    unwritten = [end.words for end in ends.values() if isinstance(end, Failure) and end.unwritten]
    yield Refusal(this_node(), job.experiments[0].fingerprint, unwritten[0]) if moved and unwritten else Ended(ends)


def _begun(request: Request, inputs: Inputs, stack: ExitStack) -> Job | Refusal:
    """The job as it can be made here, until the stack is left; or why it can't."""
    first = request.job.experiments[0]
    about = first.data.name
    try:
        request = _with_images(request)
        about = first.fingerprint
        return stack.enter_context(_at_place(request, inputs))
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


def _with_images(request: Request) -> Request:
    """The same, with the folder of data sets on this node; those of the job are there.

    Raises:
        ValueError: they can't be had; one line.
    """
    root = folder_here(request.job.data)
    with plain_disk_errors(root):
        make_ready(request.job.experiments[0].data, root, request.images)
    return replace(request, job=replace(request.job, data=root))


@contextmanager
def _at_place(request: Request, inputs: Inputs) -> Iterator[Job]:
    """The job where it can be made on this node: as it is, if this node sees the driver's results folder.

    Raises:
        ValueError: there is no room for its inputs; one line.
        DamagedError: one of them has arrived damaged, and so it has at a second try.
    """
    if request.marker.exists():
        yield request.job
        return
    with work_folder() as folder:
        job, places = _moved(request.job, folder)
        with plain_disk_errors(folder):
            for path, references in inputs.items():
                put_together(map(_fetched, references), places[path.parents[1]] / path.parent.name / path.name)
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


def _made(job: Job, changed: ChangedFiles) -> Generator[FilePiece, None, Ends]:
    """Make the runs, and send their files as they change; if that is given up, the process ends with it."""
    with _processes() as executor:
        future = executor.submit(job)
        while not wait([future], LOOK_EVERY).done:
            yield from changed.pieces()
        yield from changed.pieces()
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
