"""The members of tar and zip archives: their names and bytes, as long as these are what photos and lists can be."""

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, TypeVar, cast

from rich.filesize import decimal

from relbench.data.download.checksum import CHUNK
from relbench.files import open_regular

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
GZIP, BZIP2 = b"\x1f\x8b", b"BZh"
MOST_PACKED, SPARE_BYTES = 20, 10**8  # a byte of an archive holds that many; and what lists may hold beside photos
LEAST_PACKED, SPARE_MEMBERS = 64, 10_000  # bytes of an archive that a member takes
LARGEST_HEADER = CHUNK  # bytes
MOST_PADDING = 64 * CHUNK  # bytes
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    OverflowError,
    NotImplementedError,  # a compression method of zip that Python lacks
    struct.error,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)

Item = TypeVar("Item")


@dataclass(frozen=True)
class Member:
    """A file or a folder in an archive."""

    name: str  # as the archive has it
    size: int  # bytes, as the archive states it
    kind: str  # "file", "folder", or what it is instead
    open: Callable[[], IO[bytes]]

    @property
    def path(self) -> PurePosixPath:
        """Below the folder to unpack to."""
        return PurePosixPath(self.name)


@contextmanager
def members_of(archive: Path) -> Iterator[Iterator[Member]]:
    """The members of an archive, which can be read as long as the block lasts."""
    with open_regular(archive) as raw, ExitStack() as stack:
        try:
            members = _opened(raw, stack)
        except DAMAGE:
            raise ValueError(
                f"{archive} is not a tar or zip archive, or it is damaged or cut short: delete it, then fetch it again"
            ) from None
        yield _guarded(archive, "the list of members", _bounded(members, archive.stat().st_size))


def _opened(raw: BinaryIO, stack: ExitStack) -> Iterator[Member]:
    """What the archive is shows in its first bytes; xz is left out, as it takes as much memory as it likes."""
    start = raw.read(4)
    raw.seek(0)
    if start in ZIP_STARTS:
        return _zip_members(stack.enter_context(zipfile.ZipFile(raw)))
    unpacked = stack.enter_context(_uncompressed(raw, start))
    tar = stack.enter_context(tarfile.TarFile(fileobj=cast("IO[bytes]", _Headers(unpacked))))
    return _tar_members(tar)


def _uncompressed(raw: BinaryIO, start: bytes) -> IO[bytes]:
    if start.startswith(GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    return cast("IO[bytes]", bz2.BZ2File(raw)) if start.startswith(BZIP2) else raw


class _Headers:
    """A tar archive's bytes, as long as only the headers of members are read: a single one could take all memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.file.read(size)


def _bounded(members: Iterator[Member], packed: int) -> Iterator[Member]:
    """Refuse a small archive that holds much, before it is gone through: photos can't be packed like that."""
    most, room = packed // LEAST_PACKED + SPARE_MEMBERS, packed * MOST_PACKED + SPARE_BYTES
    for number, member in enumerate(members, start=1):
        room -= member.size
        if number > most or room < 0:
            raise ValueError(f"it holds far more than {decimal(packed)} of photos can")
        yield member


def _guarded(archive: Path, where: str, items: Iterator[Item]) -> Iterator[Item]:
    """The same items; what goes wrong in making them is told in one line."""
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except DAMAGE as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ValueError(
                f"{archive}: {where} can't be read ({reason}): the archive is damaged or cut short: delete it, then "
                "fetch it again"
            ) from None
        yield item


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    for info in tar:
        kind = "folder" if info.isdir() else "file" if info.isreg() and not info.issparse() else "link or device"
        yield Member(info.name, info.size, kind, lambda info=info: _tar_file(tar, info))  # type: ignore[misc]
    _check_end(tar)


def _tar_file(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    assert file is not None, "a regular file"
    return file


def _check_end(tar: tarfile.TarFile) -> None:
    """A tar archive ends with a block of zeros; tarfile takes a damaged header for the end as well."""
    assert tar.fileobj is not None, "opened for reading"
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no end mark where one must be")
    padding = 0
    while piece := tar.fileobj.read(CHUNK):  # to the end: a compressed file is cut short if there is none
        padding += len(piece)
        if padding > MOST_PADDING:
            raise tarfile.ReadError("it goes on after its end mark")


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        yield Member(info.filename, info.file_size, _zip_kind(info), lambda info=info: archive.open(info))  # type: ignore[misc]


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 1:
        return "file with a password"
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "link or device"
    return "folder" if info.is_dir() else "file"


def content_of(archive: Path, member: Member) -> Iterator[bytes]:
    """The content of a file in pieces, exactly as long as stated.

    Raises:
        ValueError: it can't be read, or is of another length; one line.
    """
    return _guarded(archive, repr(member.name), _pieces(member))


def _pieces(member: Member) -> Iterator[bytes]:
    """The content of a file, exactly as long as stated."""
    done = 0
    with member.open() as source:
        while piece := source.read(CHUNK):
            done += len(piece)
            yield piece
    if done != member.size:
        raise EOFError(f"{done} bytes instead of {member.size}")
