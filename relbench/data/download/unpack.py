"""Archives unpacked so that nothing lands outside the folder and nothing half-made stays behind.

Nothing but names and bytes is taken from an archive: files are written here, as the user's own. So links, devices,
owners and modes can't come along, with less to trust than tarfile's "data" filter, and zip is treated alike.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from relbench.data.download.archive_members import Member, content_of, members_of
from relbench.data.download.checksum import BytesDone
from relbench.data.download.disk import check_room, plain_disk_errors

HALF, WHOLE = ".unpacking", ".unpacked"  # ends of the names of temporary folders
BLOCK = 4096  # bytes: what is kept on disk comes in such pieces


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
            with members_of(archive) as members:
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
            for piece in content_of(archive, member):
                file.write(piece)
                done += len(piece)
                progress(done, total)
