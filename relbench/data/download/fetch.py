"""Archives fetched from the addresses of a card, checked, and unpacked: one folder for each data set.

Downloads are done with requests itself. pooch, which is made for this, can neither resume nor tell a page that says
"too many downloads" from a file; both would have to be written all the same, and little of it would be left.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Literal

import requests
import urllib3

from relbench.data.download.card import Archive, Card, Layout
from relbench.data.download.checksum import BytesDone, checksum_mismatch
from relbench.data.download.unpack import check_room, is_settled, plain_disk_errors, settle, unpack
from relbench.files import open_to_write
from relbench.locks import HeldError, lock

Progress = Callable[[str, int, int | None], None]  # told: what is done, bytes so far, of how many (None: not known)
State = Literal["absent", "partial", "archive", "ready"]

TIMEOUT = (15.0, 60.0)  # seconds: to connect, and between two pieces
SLOWEST = 1000  # bytes a second, on average over
PATIENCE = 60.0  # seconds: a slower address is given up
TRIES = 10  # at one address, as long as each gets further
REDIRECTS = 10
PIECE = 1 << 16  # bytes
PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<?xml")

REASONS = (  # the first that fits
    (requests.exceptions.ConnectTimeout, f"no answer within {TIMEOUT[0]:.0f} seconds"),
    (requests.exceptions.Timeout, "silent for too long"),
    (urllib3.exceptions.TimeoutError, "silent for too long"),
    (requests.exceptions.TooManyRedirects, "redirects without end"),
    (requests.exceptions.SSLError, "its certificate can't be trusted"),
    (requests.exceptions.ConnectionError, "can't be reached"),
    (urllib3.exceptions.ProtocolError, "broke off"),
)


class ManualStepsError(ValueError):
    """The data set can't be downloaded: the message tells, on several lines, what to do by hand."""


class _MirrorError(Exception):
    """An address does not give the file."""


class _BrokenOffError(_MirrorError):
    """It gave a part of the file; the rest may come when it is asked again."""


def fetch(card: Card, root: Path, progress: Progress) -> Path:
    """Bring a data set into its folder: download what is missing, check it, unpack it.

    Archives placed in the folder by hand are taken if they fit the card. What is already there is not touched, and an
    interrupted download goes on where it stopped. The archives stay; once the data set is ready they may be deleted.

    Args:
        card: the data set.
        root: the folder of all data sets; this one's is `root / card.name`.
        progress: told what is done ("fetching ...", "checking ...", "unpacking ..."), and how far it is.

    Returns:
        The data set's folder.

    Raises:
        ManualStepsError: no layout can be completed by downloading.
        ValueError: one line. No address gives the archive (each with its reason); an archive placed by hand is not
            the card's; something is in the way; another process is fetching; the disk is full or can't be written.
    """
    folder = root / card.name
    with plain_disk_errors(folder):
        if is_settled(folder):
            if state(card, root) == "ready":  # also where the folder can't be written
                return folder
            _refuse_by_hand(card, folder)  # before anything is written
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            settle(folder)
            if state(card, root) != "ready":
                _complete(card, folder, progress)
    return folder


def state(card: Card, root: Path) -> State:
    """What is there of a data set.

    Returns:
        "ready": the paths of a layout are there; "archive": whole archives, to be unpacked; "partial": something, but
        not enough; "absent": nothing. That all images are there is for `verify` to say.

    Raises:
        ValueError: one line: the folder can't be looked into.
    """
    with plain_disk_errors(root / card.name):
        return _state(card, root / card.name)


def _state(card: Card, folder: Path) -> State:
    if any(not _missing(layout, folder) for layout in card.accepted):
        return "ready"
    if _needed(card, folder, download=False) is not None:
        return "archive"
    names = {name for archive in card.archives for name in (archive.file, f"{archive.file}.part")}
    names |= {PurePosixPath(path).parts[0] for layout in card.accepted for path in layout.paths}
    return "partial" if any((folder / name).exists() for name in names) else "absent"


def _alone(folder: Path) -> IO[str]:
    """Keep other processes from fetching the same; the system lets go when this one ends, however it does."""
    try:
        return lock(folder)
    except HeldError:
        raise ValueError(f"another process is fetching into {folder}: try again when it has finished") from None


def _missing(layout: Layout, folder: Path) -> list[str]:
    return [path for path in layout.paths if not (folder / path).exists()]


def _needed(card: Card, folder: Path, *, download: bool) -> list[Archive] | None:
    """The archives that complete the first layout that can be completed; None if none can."""

    def obtainable(archive: Archive) -> bool:
        return archive.place(folder).is_file() or (download and bool(archive.addresses))

    for layout in card.accepted:
        sources = {path: [a for a in card.providers(path) if obtainable(a)] for path in layout.paths}
        if all(sources[path] for path in _missing(layout, folder)):
            needed = {archives[0].file: archives[0] for archives in sources.values() if archives}
            return [archive for archive in needed.values() if archive.is_plain or _lacks(archive, folder)]
    return None


def _lacks(archive: Archive, folder: Path) -> bool:
    """Something that comes out of the archive is not there."""
    return any(not (folder / path).exists() for path in archive.unpacks_to)


def _complete(card: Card, folder: Path, progress: Progress) -> None:
    _refuse_by_hand(card, folder)
    archives = _needed(card, folder, download=False) or _needed(card, folder, download=True) or []
    for archive in archives:
        if not archive.is_plain:
            _refuse_in_the_way(archive, folder)
    for archive in archives:
        path = _at_hand(archive, folder, progress)
        if not archive.is_plain:
            unpack(path, folder, partial(progress, f"unpacking {archive.file}"), archive.unpacks_to)


def _refuse_by_hand(card: Card, folder: Path) -> None:
    if _needed(card, folder, download=True) is None:
        raise ManualStepsError(_manual_steps(card, folder))


def _manual_steps(card: Card, folder: Path) -> str:
    layouts = "\n".join(f"  - {layout.name}: {', '.join(layout.paths)}" for layout in card.accepted)
    steps = card.manual.strip().replace("{folder}", str(folder))
    return f"{steps}\nUnpacked by hand, any of these is taken:\n{layouts}"


def _refuse_in_the_way(archive: Archive, folder: Path) -> None:
    """Better before the download than after it."""
    for name in sorted({PurePosixPath(path).parts[0] for path in archive.unpacks_to}):
        if (folder / name).exists():
            raise ValueError(
                f"{folder / name} is there, but not complete: complete it, or move it away or delete it, then fetch "
                f"again to get it from {archive.file}"
            )


def _at_hand(archive: Archive, folder: Path, progress: Progress) -> Path:
    """The archive's path; it is there, and the one that the card names."""
    path = archive.place(folder)
    if not path.exists():
        _download(archive, path, progress)
    elif wrong := checksum_mismatch(path, archive, partial(progress, f"checking {archive.file}")):
        raise ValueError(f"{path} {wrong}: move it away or delete it, then fetch again")
    return path


def _download(archive: Archive, path: Path, progress: Progress) -> None:
    """Fetch a file from the first address that gives it; what came so far is kept beside it, ending in `.part`."""
    part = path.with_name(f"{path.name}.part")
    failures = []
    with requests.Session() as session:
        session.max_redirects = REDIRECTS
        for address in archive.addresses:
            try:
                _from_address(session, address, archive, part, progress)
            except _MirrorError as error:
                failures.append(f"{address} {error}")
            else:
                part.replace(path)
                return
    raise ValueError(
        f"{archive.file} can't be fetched: {'; '.join(failures)}: try again later, or place the file in {path.parent}"
    )


def _from_address(session: requests.Session, address: str, archive: Archive, part: Path, progress: Progress) -> None:
    """Complete the part file and check it."""
    resumed = _size(part) > 0
    if _size(part) != archive.bytes:  # else it was killed just before the end
        _insist(session, address, archive, part, partial(progress, f"fetching {archive.file}"))
    wrong = checksum_mismatch(part, archive, partial(progress, f"checking {archive.file}"))
    if not wrong:
        return
    part.unlink()
    if not resumed:
        raise _MirrorError(f"returns another file: it {wrong}")
    _from_address(session, address, archive, part, progress)  # the old part may have been the wrong one


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _insist(session: requests.Session, address: str, archive: Archive, part: Path, progress: BytesDone) -> None:
    """Ask for the rest again as long as that gets further."""
    before = -1
    for _ in range(TRIES):
        try:
            _transfer(session, address, archive, part, progress)
        except _BrokenOffError:
            if _size(part) <= before:
                raise
            before = _size(part)
        else:
            return
    raise _MirrorError(f"broke off {TRIES} times")


def _transfer(session: requests.Session, address: str, archive: Archive, part: Path, progress: BytesDone) -> None:
    """Ask once, and write what comes to the part file."""
    response, done = _answer(session, address, _size(part))
    with response:
        total = _total(response, archive, done)
        pieces = _pieces(response)
        first = next(pieces, b"")
        _refuse_page(response, first)
        check_room((total or 0) - done, part.parent, f"the rest of {archive.file}")
        with _opened_from(part, done) as file:
            for piece in chain([first], pieces):
                done += len(piece)
                if total is not None and done > total:
                    raise _MirrorError(f"sends more than {total} bytes")
                file.write(piece)
                progress(done, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise _BrokenOffError(f"broke off after {done} of {total} bytes")


def _opened_from(part: Path, done: int) -> IO[bytes]:
    """The part file, to be written to from there on."""
    file = os.fdopen(open_to_write(part), "r+b")
    file.truncate(done)
    file.seek(done)
    return file


def _answer(session: requests.Session, address: str, start: int) -> tuple[requests.Response, int]:
    """The server's answer, and the byte from which on it gives the file."""
    if start:
        response = _get(session, address, {"Range": f"bytes={start}-"})
        if response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            return response, start
        if response.status_code == 200:
            return response, 0
        response.close()
    response = _get(session, address, {})
    if response.status_code != 200:
        response.close()
        raise _MirrorError(f"answers {response.status_code} {response.reason or ''}".strip())
    return response, 0


def _get(session: requests.Session, address: str, headers: dict[str, str]) -> requests.Response:
    try:
        return session.get(address, headers={"Accept-Encoding": "identity", **headers}, stream=True, timeout=TIMEOUT)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _MirrorError(_reason(error)) from None


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """The body as it is: some servers call a .tgz a compressed text, and requests would unpack it.

    It is read as it comes, not in full pieces: a server that gives a byte now and then would never be found out.
    """
    since, got = time.monotonic(), 0
    try:
        while piece := response.raw.read1(PIECE, decode_content=False):
            yield piece
            got += len(piece)
            seconds = time.monotonic() - since
            if seconds > PATIENCE:
                _refuse_slow(got, seconds)
                since, got = time.monotonic(), 0
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _BrokenOffError(_reason(error)) from None


def _refuse_slow(got: int, seconds: float) -> None:
    if got < SLOWEST * seconds:
        raise _MirrorError(f"is too slow: {got} bytes in {seconds:.0f} seconds")


def _reason(error: Exception) -> str:
    return next((words for kind, words in REASONS if isinstance(error, kind)), f"fails ({type(error).__name__})")


def _total(response: requests.Response, archive: Archive, done: int) -> int | None:
    """Bytes that the whole file will have, by the card and the server."""
    length = response.headers.get("Content-Length", "")
    promised = done + int(length) if length.isdecimal() else None
    if promised is not None and archive.bytes is not None and promised != archive.bytes:
        page = "a page, not a file: " if _is_page(response) else ""
        raise _MirrorError(f"returns {page}{promised} bytes instead of {archive.bytes}")
    return archive.bytes if promised is None else promised


def _refuse_page(response: requests.Response, first: bytes) -> None:
    if not first:
        raise _MirrorError("returns nothing")
    if _is_page(response) or first.lstrip().lower().startswith(PAGE_STARTS):
        raise _MirrorError("returns a page, not a file")


def _is_page(response: requests.Response) -> bool:
    return response.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml"))
