"""Checksums: whether files are those that a card names."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from relbench.data.download.card import Archive, Card
from relbench.files import open_regular

BytesDone = Callable[[int, int | None], None]  # told: bytes done so far, of how many (None: not known)

MD5 = 32  # hexadecimal digits
CHUNK = 1 << 20  # bytes read at once


def checksum_mismatch(path: Path, archive: Archive, progress: BytesDone) -> str:
    """The difference of a file to the archive that the card names; "" if there is none in all that the card knows."""
    size = path.stat().st_size
    if archive.bytes is not None and size != archive.bytes:
        return f"has {size} bytes, not {archive.bytes}"
    known = {kind: wanted for kind, wanted in (("md5", archive.md5), ("sha256", archive.sha256)) if wanted}
    for kind, found in _digests(path, list(known), progress).items():
        if found != known[kind]:
            return f"has the {kind} {found}, not {known[kind]}"
    return ""


def _digests(path: Path, kinds: list[str], progress: BytesDone) -> dict[str, str]:
    """Checksums of a file, read once."""
    digests = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    size, done = path.stat().st_size, 0
    with open_regular(path) as file:
        while piece := file.read(CHUNK) if kinds else b"":
            for digest in digests.values():
                digest.update(piece)
            done += len(piece)
            progress(done, size)
    return {kind: digest.hexdigest() for kind, digest in digests.items()}


def wrong_files(card: Card, folder: Path) -> list[str]:
    """One line for each file of the card's list that is in the data set's folder with another checksum."""
    present = {folder / path: known for path, known in card.files.items() if (folder / path).is_file()}
    return [f"{path} {wrong}" for path, known in present.items() if (wrong := wrong_sum(path, known))]


def wrong_sum(path: Path, known: str) -> str:
    """The difference of a file's md5 or sha1, which their lengths tell apart, to the known one; "" if there is none."""
    kind = "md5" if len(known) == MD5 else "sha1"
    found = _digests(path, [kind], lambda _done, _total: None)[kind]
    return f"has the {kind} {found}, not {known}" if found != known else ""
