"""Inputs of a job, which a node that does not see the results folder is sent: files of the runs that it builds on."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from relbench.grid.cluster.pieces import Piece, Stamp, pieces_of, stamp
from relbench.grid.jobs import Job
from relbench.results.run_folder import RunFolder

References = tuple[Any, ...]
"""References of a file's pieces in the object store."""

Inputs = Mapping[Path, References]
"""References of files, by their paths on the driver."""

KEPT = 64  # files: as long as they are kept, jobs that need the same file need not send it again


class ObjectCache:
    """Files in the object store, each put there once while it stays as it is, however many jobs need it.

    A node fetches each piece once for all of its jobs: that is the object store's work.

    Args:
        put: a piece into the store; returns the reference.
    """

    def __init__(self, put: Callable[[Piece], Any]) -> None:
        self._put = put
        self._references = lru_cache(KEPT)(self._put_file)

    def inputs(self, job: Job) -> Inputs:
        """Files that a job reads, as far as they are there."""
        stamps = {path: stamp(path) for path in input_files(job)}
        return {path: self._references(path, known) for path, known in stamps.items() if known}

    def _put_file(self, path: Path, _: Stamp) -> References:
        return tuple(map(self._put, pieces_of(path)))


def input_files(job: Job) -> Iterator[Path]:
    """The files that the runs of a job read, or would read if they were there.

    They are rows and checkpoints of runs that they build on; of these runs' own bases, whose weights they name, the
    rows; likewise for shorter runs that they go on from; and the checkpoints that they go on from themselves.
    """
    folders = job.folders
    found = dict[Path, None]()
    for folder in (*folders.values(), *job.shorter.values()):
        found[folder.checkpoint] = None
        for base in _bases(folder):
            found |= dict.fromkeys((base.checkpoint, base.row) if folder.path.name in folders else (base.row,))
            found |= dict.fromkeys(below.row for below in _bases(base))
    found |= {folder.row: None for folder in job.shorter.values()}
    yield from found


def _bases(folder: RunFolder) -> list[RunFolder]:
    return [RunFolder(folder.runs, run) for run in folder.experiment.dependencies.values()]
