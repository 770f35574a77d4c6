"""Archives unpacked so that nothing lands outside the folder and nothing half-made stays behind.

Nothing but names and bytes is taken from an archive: files are written here, as the user's own. So links, devices,
owners and modes can't come along, with less to trust than tarfile's "data" filter, and zip is treated alike.
"""

import bz2
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, TypeVar, cast

from rich.filesize import decimal

from relbench.data.download.checksum import CHUNK, BytesDone
from relbench.files import free_space, open_regular

HALF, WHOLE = ".unpacking", ".unpacked"  # ends of the names of temporary folders
BLOCK = 4096  # bytes: what is kept on disk comes in such pieces
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


def unpack(archive: Path, target: Path, progress: BytesDone, must_hold: Sequence[str] = ()) -> None:
    """Unpack a tar archive (plain, gzip, bzip2) or a zip archive; all of it takes its place, or nothing.

    A process killed in between leaves a hidden folder that the next call clears or, if it is whole, puts in place.
    One process at a time may unpack into a folder.

    Args:
        archive: the file; what it is shows in its content, not in its name.
        target: the folder in which the top members shall lie; made if need be.
        progress: told the bytes written so far, of how many.
        must_hold: paths without which this is not the expected archive.

    Raises:
        ValueError: one line. The archive is damaged, cut short or no archive, or holds far more than its size allows;
            a member would lie outside the target, is a link or a device, occurs twice, needs a password; something in
            the target is in the way; the disk has no room or can't be written.
    """
    with plain_disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        if archive.name in settle(target):
            return
        half = target / f".{archive.name}{HALF}"
        try:
            progress(0, None)  # to list a compressed archive takes a while
            with _members(archive) as members:
                _write(archive, _checked(archive, list(members), target, must_hold), half, progress)
            os.sync()  # a power cut must not leave names without their content
            half.rename(target / f".{archive.name}{WHOLE}")
        finally:
            shutil.rmtree(half, ignore_errors=True)
        settle(target)


def is_settled(target: Path) -> bool:
    """No killed process left anything."""
    return not _left_in(target)


def settle(target: Path) -> set[str]:
    """Finish what a killed process left: clear what is half unpacked, put in place what is whole.

    Returns:
        The names of the archives whose members were put in place.

    Raises:
        ValueError: what looks like that is a link or a file, so no process of ours left it.
    """
    for left in _left_in(target):
        if left.is_symlink() or not left.is_dir():
            raise ValueError(f"{left} is a link or a file where a folder was left: delete it, then try again")
    for half in target.glob(f".*{HALF}"):
        shutil.rmtree(half)
    return {_put_in_place(whole) for whole in sorted(target.glob(f".*{WHOLE}"))}


def _left_in(target: Path) -> list[Path]:
    return [path for end in (HALF, WHOLE) for path in target.glob(f".*{end}")]


def _put_in_place(whole: Path) -> str:
    for member in sorted(whole.iterdir(), key=Path.is_dir):  # folders last: when they are there, all is
        _refuse_in_the_way(whole.parent / member.name)
        member.rename(whole.parent / member.name)
    whole.rmdir()
    return whole.name[1 : -len(WHOLE)]


def _refuse_in_the_way(place: Path) -> None:
    if os.path.lexists(place):
        raise ValueError(f"{place} is in the way of what is unpacked: move it away or delete it, then try again")


@contextmanager
def plain_disk_errors(folder: Path) -> Iterator[None]:
    """Turn the system's errors into one line.

    Raises:
        ValueError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{error.filename or folder}: {error.strerror or error}: free some space, change the rights or choose "
            "another folder, then try again"
        ) from None


def check_room(needed: int, folder: Path, what: str) -> None:
    """Refuse what doesn't fit on the disk.

    Raises:
        ValueError: with the bytes needed and free.
    """
    free = free_space(folder)
    if needed > free:
        raise ValueError(
            f"{what} needs {decimal(needed)} on the disk of {folder}, but {decimal(free)} are free: free some space, "
            "or choose another folder"
        )


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
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


def _checked(archive: Path, members: list[Member], target: Path, must_hold: Sequence[str]) -> list[Member]:
    """The members, if all may be written."""
    for member in members:
        _refuse_unsafe(archive, member)
    files = [member.path for member in members if member.kind == "file"]
    folders = {folder for member in members for folder in member.path.parents}
    folders |= {member.path for member in members if member.kind == "folder"}
    _refuse_twice(archive, files, folders)
    for path in must_hold:
        if PurePosixPath(path) not in folders.union(files):
            raise ValueError(f"{archive} does not hold {path}: it is another archive than expected")
    for top in sorted({path.parts[0] for path in folders.union(files) if path.parts}):
        _refuse_in_the_way(target / top)
    check_room(sum(-(-member.size // BLOCK) * BLOCK for member in members), target, f"what {archive} holds")
    return members


def _refuse_unsafe(archive: Path, member: Member) -> None:
    if member.kind not in ("file", "folder"):
        raise ValueError(f"{archive}: {member.name!r} is a {member.kind}: the archive is refused")
    if "\\" in member.name or not member.name.isprintable():
        raise ValueError(f"{archive}: {member.name!r} has characters not allowed in file names: the archive is refused")
    if member.path.parts and member.path.parts[0].startswith(".") and member.path.parts[0].endswith((HALF, WHOLE)):
        raise ValueError(f"{archive}: {member.name!r} has a name reserved for unpacking: the archive is refused")
    empty = member.kind == "file" and not member.path.parts
    if member.path.is_absolute() or ".." in member.path.parts or empty:
        raise ValueError(f"{archive}: {member.name!r} does not lie inside the archive's folder: the archive is refused")


def _refuse_twice(archive: Path, files: list[PurePosixPath], folders: set[PurePosixPath]) -> None:
    seen = set(folders)
    for path in files:
        if path in seen:
            raise ValueError(f"{archive}: {str(path)!r} occurs twice: the archive is refused")
        seen.add(path)
    if not files:
        raise ValueError(f"{archive} holds no file: it is another archive than expected")


def _write(archive: Path, members: Sequence[Member], half: Path, progress: BytesDone) -> None:
    """Write all members below a new folder."""
    total, done = sum(member.size for member in members), 0
    half.mkdir()
    for member in members:
        place = half / member.path
        folder = place if member.kind == "folder" else place.parent
        folder.mkdir(parents=True, exist_ok=True)
        if member.kind == "folder":
            continue
        with place.open("xb") as file:
            for piece in _guarded(archive, repr(member.name), _pieces(member)):
                file.write(piece)
                done += len(piece)
                progress(done, total)


def _pieces(member: Member) -> Iterator[bytes]:
    """The content of a file, exactly as long as stated."""
    done = 0
    with member.open() as source:
        while piece := source.read(CHUNK):
            done += len(piece)
            yield piece
    if done != member.size:
        raise EOFError(f"{done} bytes instead of {member.size}")
