"""What a job takes along to a node that does not see the results folder: files of the runs that it builds on."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from relbench.grid.cluster.pieces import Piece, pieces_of
from relbench.grid.jobs import Job
from relbench.results.run_folder import RunFolder

Parcel = tuple[Any, ...]
"""References of a file's pieces in the object store."""

Luggage = Mapping[Path, Parcel]
"""Parcels by the path of the file on the driver."""

KEPT = 64  # files: as long as they are kept, jobs that need the same file need not send it again


class Shelf:
    """Files in the object store, each put there once while it stays as it is, however many jobs need it.

    A node fetches each piece once for all of its jobs: that is the object store's work.

    Args:
        put: a piece into the store; returns the reference.
    """

    def __init__(self, put: Callable[[Piece], Any]) -> None:
        self._put = put
        self._parcel = lru_cache(KEPT)(self._packed)

    def pack(self, job: Job) -> Luggage:
        """All that a job needs and that is there."""
        return {path: self._parcel(path, path.stat().st_mtime_ns) for path in needed(job) if path.exists()}

    def _packed(self, path: Path, _: int) -> Parcel:
        return tuple(map(self._put, pieces_of(path)))


def needed(job: Job) -> Iterator[Path]:
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
