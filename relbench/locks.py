"""Locks on folders: only one process writes at a time, and what is no lock file of our own is left alone.

The lock itself is filelock's, on a descriptor that is opened here: its locks on paths would write through hard links,
do not say which process holds them, and on file systems without flock leave files behind that stop every later run
after a kill on another machine.
"""

import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import IO

from filelock import lock_descriptor

from relbench.files import open_to_write

WITHOUT_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)  # what file systems without flock answer
LONGEST = 20  # characters of a process number that is worth showing


class HeldError(ValueError):
    """Another process holds the lock.

    Attributes:
        holder: number of that process, as text.
    """

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is held by process {holder}: wait for it")
        self.holder = holder


def lock(folder: Path, *, wait: bool = False) -> IO[str]:
    """Hold a folder's lock until the returned file is closed, or the process ends, however it does.

    Where the file system has no locks, that is said once, and nothing is locked: a lock is only there to keep a second
    process from doing the same work, or from deleting what a first one is writing.

    Args:
        folder: it is there; its file `.lock` is made if need be, and stays.
        wait: until the other process lets go.

    Raises:
        HeldError: another process holds it, and `wait` is not set.
        ValueError: `.lock` is a link, or otherwise not a file of its own; it is neither followed nor changed.
        OSError: the file can't be made or opened.
    """
    path = folder / ".lock"
    file = os.fdopen(open_to_write(path), "r+", encoding="utf-8", errors="replace")
    try:
        _take(file, path, wait=wait)
    except BaseException:
        file.close()
        raise
    return file


def _take(file: IO[str], path: Path, *, wait: bool) -> None:
    try:
        taken = lock_descriptor(file.fileno(), blocking=wait)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        _tell_once()
        return
    if not taken:
        raise HeldError(path, file.read(LONGEST).strip())
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()


@cache
def _tell_once() -> None:
    sys.stderr.write("relbench: this file system has no locks: let only one process write to a folder at a time\n")
