"""Locks hold others off, follow no link, empty no file of somebody else, and stop nobody where there are none."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import relbench
from relbench import locks
from relbench.locks import HeldError, lock

HOLDING = """
import sys
from pathlib import Path
from relbench.locks import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    folder = Path(relbench.__file__).parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stdout.readline() == "held\n"
        yield process


def test_held_by_another_process(tmp_path, holder):
    with pytest.raises(HeldError, match=f"held by process {holder.pid}: wait") as caught:
        lock(tmp_path)
    assert caught.value.holder == str(holder.pid)
    assert (tmp_path / ".lock").read_text() == f"{holder.pid}\n"  # trying changes nothing
    holder.communicate()
    with lock(tmp_path, wait=True):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def link_to(target):
    return lambda path: path.symlink_to(target)


def hard_link_to(target):
    return lambda path: path.hardlink_to(target)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.parametrize("kind", [link_to, hard_link_to])
def test_nothing_is_written_through_a_link(tmp_path, kind):
    """As the superuser too: rights would not stop it."""
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    kind(mine)(tmp_path / ".lock")
    with pytest.raises(ValueError, match=r"\.lock is a link or not a regular file, and is never written to: delete it"):
        lock(tmp_path)
    assert mine.read_text() == "mine"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "make",
    [Path.mkdir, os.mkfifo, a_socket, link_to("nowhere"), link_to("/dev/null")],
    ids=["folder", "pipe", "socket", "link to nothing", "link to a device"],
)
@pytest.mark.parametrize("wait", [True, False])
def test_what_is_no_file_is_refused(tmp_path, monkeypatch, make, wait):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make(Path(".lock"))
    with pytest.raises(ValueError, match="is a link or not a regular file"):
        lock(Path(), wait=wait)
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_named_once_and_stops_nobody(tmp_path, monkeypatch, capsys, number):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    locks._tell_once.cache_clear()
    for wait in (True, False):
        lock(tmp_path, wait=wait).close()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "has no locks: let only one process write to a folder at a time" in said


def test_another_failure_of_the_system_is_no_silence(tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"):
        lock(tmp_path)


def test_a_killed_process_holds_nothing(tmp_path, holder):
    holder.kill()
    holder.wait()
    lock(tmp_path).close()
