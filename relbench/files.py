"""Files that are whole or not there, and that never lead elsewhere: no link is written to, or deleted through.

A file is written beside its place and then moved into it. What a killed process leaves of that is cleared away by the
next process that writes into the same folder, or locks a folder above it. What is read is a regular file: no pipe.
"""

import errno
import os
import platform
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import psutil
from rich.filesize import decimal

from relbench.memory import free_for_this_process

UNFINISHED = re.compile(r"\..+\.(?P<process>\d{1,9})@(?P<machine>.*)\.unfinished", re.DOTALL)
NO_PLAIN_FILE = (errno.ELOOP, errno.EISDIR, errno.ENXIO)  # the system's answers to a link, a folder, a socket
NO_FOLDER_TO_DISK = (errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES, errno.EISDIR)
DAY, MINUTE = 86_400.0, 60.0  # seconds


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path to write to; when the block ends well, the file takes its place at once.

    A process that dies in between leaves the old file as it was. Two processes may write the same file: the last wins.
    Where the path is a link, the file takes the link's place, and what that leads to stays as it is.

    Args:
        path: of the file.
        durable: whether a power cut right afterwards must leave it whole, which costs milliseconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_unfinished(path.parent)
    temporary = _beside(path)
    try:
        temporary.unlink(missing_ok=True)  # a link that somebody put there would be followed
        yield temporary
        if durable:
            _to_disk(temporary)
        temporary.replace(path)
        if durable:
            _name_to_disk(path.parent)
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None  # a full disk names no file
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; when the block ends well, it takes its place at once. What is there stays.

    A process that dies in between leaves nothing under that name.

    Args:
        path: of the folder.

    Raises:
        FileExistsError: something is there.
    """
    if path.exists() or path.is_symlink():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that had the same number
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            _to_disk(file)
        temporary.rename(path)  # onto a folder that holds files, the system refuses it
        _name_to_disk(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: Path) -> Path:
    """Where it is written before it takes its place."""
    return path.with_name(f".{path.name}.{os.getpid()}@{platform.node()}.unfinished")


def _to_disk(path: Path) -> None:
    """A power cut must not leave a name without its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name_to_disk(folder: Path) -> None:
    """The file's name, too. Some network and user-space file systems can't be asked for that: they do it in time."""
    try:
        _to_disk(folder)
    except OSError as error:
        if error.errno not in NO_FOLDER_TO_DISK:
            raise


def clear_unfinished(folder: Path) -> None:
    """Delete what killed processes left of the files that they were writing into a folder."""
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if entry.name.endswith(".unfinished") and _is_left_behind(entry)]
    for entry in found:
        Path(entry).unlink(missing_ok=True)


def clear_unfinished_below(folder: Path) -> None:
    """The same in a folder and all folders below it; links to folders are not followed."""
    for below, _, _ in os.walk(folder):
        clear_unfinished(Path(below))


def _is_left_behind(entry: os.DirEntry[str]) -> bool:
    """Whether no process is writing the file any more: what other machines do is not known, so a day must pass."""
    name = UNFINISHED.fullmatch(entry.name)
    if not name or entry.is_dir(follow_symlinks=False):
        return False
    try:
        changed = entry.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:  # its writer has just put it in place
        return False
    if name["machine"] != platform.node():
        return time.time() - changed > DAY
    return not _was_running(int(name["process"]), changed)


def _was_running(process: int, then: float) -> bool:
    """Whether the writer still runs; a process of its number that is younger than its file is another process."""
    try:
        return psutil.Process(process).create_time() < then + MINUTE  # clocks may differ a little
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # it is there, but tells nothing
        return True


def free_space(folder: Path) -> int:
    """Bytes that are free on the disk where a folder is, or would be made."""
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    return shutil.disk_usage(there).free


def check_memory(needed: int) -> None:
    """Refuse to read what would take more memory than is free: a few bytes can stand for very many.

    Raises:
        ValueError: with the bytes needed and free.
    """
    free = free_for_this_process()
    if needed > free:
        raise ValueError(f"it would take {decimal(needed)} of memory, but {decimal(free)} are free")


def open_to_write(path: Path, more: int = 0) -> int:
    """Open a file for reading and writing, or make it; what is in it stays.

    Args:
        path: of the file.
        more: flags of `os.open`.

    Returns:
        The descriptor.

    Raises:
        ValueError: it is a link (a hard one too: what is written would appear under the other name), or no plain file.
        OSError: it can't be opened.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | more, 0o666)
    except OSError as error:
        if error.errno in NO_PLAIN_FILE:
            raise _no_plain_file(path) from None
        raise
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(handle)
        raise _no_plain_file(path)
    return handle


def _no_plain_file(path: Path) -> ValueError:
    return ValueError(f"{path} is a link or not a regular file, and is never written to: delete it, then try again")


def refuse_links(folder: Path) -> None:
    """Refuse a folder that holds links to folders, at any depth: what is written or deleted there would be elsewhere.

    The folder itself may be a link.

    Raises:
        ValueError: one line with the first such link.
    """
    for below, folders, _ in os.walk(folder):
        links = sorted(name for name in folders if Path(below, name).is_symlink())
        if links:
            link = Path(below, links[0])
            raise ValueError(
                f"{link} is a link to a folder elsewhere, and nothing is written through links: put the folder itself "
                f"there, or let {folder} as a whole be a link"
            )


def open_regular(path: Path) -> BufferedReader:
    """A regular file, opened to be read as bytes.

    Opening a named pipe waits for a writer, perhaps for ever, and a device may never end.

    Raises:
        OSError: the file can't be opened, or is a pipe, a device, a socket or a folder.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of no effect on regular files; a pipe does not wait
    try:
        _refuse_irregular(os.fstat(handle).st_mode, path)
        return os.fdopen(handle, "rb")
    except OSError:
        os.close(handle)
        raise


def read_regular(path: Path) -> bytes:
    """All bytes of a regular file; raises what `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def _refuse_irregular(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
