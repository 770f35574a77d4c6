"""Files downloaded from mirrors: resumed, checked, and given up where an address is slow or sends something else.

Downloads are done with requests itself. pooch, which is made for this, can neither resume nor tell a page that says
"too many downloads" from a file; both would have to be written all the same, and little of it would be left.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO

import requests
import urllib3

from relbench.data.download.card import Archive
from relbench.data.download.checksum import BytesDone, checksum_mismatch
from relbench.data.download.disk import check_room
from relbench.files import open_to_write

Fetched = Callable[[str, int, int | None], None]  # told: what is done, bytes so far, of how many (None: not known)

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


class _MirrorError(Exception):
    """An address does not return the file."""


class _BrokenOffError(_MirrorError):
    """An address returned a part of the file; the rest may come when it is asked again."""


def download(archive: Archive, path: Path, progress: Fetched) -> None:
    """Fetch a file from the first address that returns it; what came so far is kept beside it, ending in `.part`.

    Args:
        archive: the file, as its card describes it.
        path: where it is put once it is whole and has the right checksum.
        progress: told what is done ("fetching ...", "checking ..."), and how far it is.

    Raises:
        ValueError: no address returns it, each with its reason; or it doesn't fit on the disk. One line.
    """
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


def _from_address(session: requests.Session, address: str, archive: Archive, part: Path, progress: Fetched) -> None:
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
    """The server's answer, and the byte at which the file begins in it."""
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

    It is read as it comes, not in full pieces: a server that sends a byte now and then would never be found out.
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
