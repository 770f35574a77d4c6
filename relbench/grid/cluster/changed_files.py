"""The files that runs write on a node which does not see the results folder: sent to the driver as they change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from relbench.grid.cluster.pieces import Piece, pieces_of, stamp
from relbench.results.run_folder import RunFolder
from relbench.trackers.tracker import FILE


@dataclass(frozen=True)
class FilePiece:
    """A message: a piece of a run's file; the others follow, with nothing between them, up to the one with the hash.

    Attributes:
        run: its fingerprint.
        file: its name in the run's folder.
        piece: of the file.
    """

    run: str
    file: str
    piece: Piece


class ChangedFiles:
    """Files of runs, of which those are sent that have changed.

    Args:
        folders: of the runs; files that are there already are known to the driver.
    """

    def __init__(self, folders: Sequence[RunFolder]) -> None:
        self._folders = folders
        self._known = {path: stamp(path) for folder in folders for path in _in_order(folder)}

    def pieces(self) -> Iterator[FilePiece]:
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


def _pieces(path: Path) -> Iterator[FilePiece]:
    try:
        for piece in pieces_of(path):
            yield FilePiece(path.parent.name, path.name, piece)
    except FileNotFoundError:  # it was there a moment ago: the run has ended, or begins anew
        return
