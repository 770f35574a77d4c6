"""Files that travel through Ray's object store: in pieces, each of which is checked by its hash, as is the whole."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from relbench.files import atomic_write, open_regular

SIZE = 4 * 2**20  # bytes of a piece: a network of 100 MB is 25 pieces, and none needs a large block of memory


@dataclass(frozen=True)
class Piece:
    """A part of a file.

    Attributes:
        content: its bytes.
        hash: of the content.
        whole: hash of all pieces' hashes, if this is the last one; else None.
    """

    content: bytes
    hash: bytes
    whole: bytes | None = None

    @property
    def is_sound(self) -> bool:
        """Whether the content is what was sent."""
        return sha256(self.content).digest() == self.hash


Stamp = tuple[int, int]
"""What two files that have had the same name differ in."""


def stamp(path: Path) -> Stamp | None:
    """Another one after each change of a file that is written as a whole; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def pieces_of(path: Path) -> Iterator[Piece]:
    """Cut a file into pieces; what takes its place meanwhile is another file, of which nothing is read.

    Raises:
        OSError: it can't be read.
    """
    digest = sha256()
    with open_regular(path) as file:
        content = file.read(SIZE)
        while following := file.read(SIZE):
            yield _piece(content, digest)
            content = following
    last = _piece(content, digest)
    yield replace(last, whole=digest.digest())


def _piece(content: bytes, digest: Any) -> Piece:
    piece = Piece(content, sha256(content).digest())
    digest.update(piece.hash)
    return piece


def put_together(pieces: Iterable[Piece], path: Path) -> None:
    """Write a file from its pieces; it takes its place when all of them are there and belong together.

    Args:
        pieces: up to the last one; no more are taken.
        path: of the file.

    Raises:
        DamagedError: the bytes are not those that were sent; the file that was there before stays.
        OSError: it can't be written.
    """
    digest, whole = sha256(), None
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        for piece in pieces:
            if not piece.is_sound:
                break
            digest.update(piece.hash)
            file.write(piece.content)
            whole = piece.whole
            if whole is not None:
                break
        if whole != digest.digest():
            raise DamagedError(f"{path} has arrived damaged, and so it has at a second try: run the command again")


class DamagedError(Exception):
    """A file has arrived with other bytes than were sent."""
