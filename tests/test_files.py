"""Files are whole or not there, whatever happens to the process."""

import errno
import os
import platform
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

import relbench
from relbench.files import atomic_folder, atomic_write, clear_unfinished_below, open_regular, read_regular

OLD, NEW = "old " * 1000, "new " * 1000


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_written(tmp_path):
    path = tmp_path / "deep" / "down" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text(NEW, encoding="utf-8")
        assert not path.exists()
        assert temporary.parent == path.parent  # a move between file systems would be no single step
    assert path.read_text(encoding="utf-8") == NEW
    assert names(path.parent) == ["file.txt"]


def test_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_write(Path("file.txt")) as temporary:
        temporary.write_text(NEW, encoding="utf-8")
    assert names(tmp_path) == ["file.txt"]


class DeliberateError(Exception):
    pass


def half_write(path):
    with atomic_write(path) as temporary:
        temporary.write_text(NEW[:100], encoding="utf-8")
        raise DeliberateError


@pytest.mark.parametrize("old", [OLD, None])
def test_an_exception_leaves_what_was_there(tmp_path, old):
    path = tmp_path / "file.txt"
    if old:
        path.write_text(old, encoding="utf-8")
    with pytest.raises(DeliberateError):
        half_write(path)
    assert names(tmp_path) == (["file.txt"] if old else [])
    assert not old or path.read_text(encoding="utf-8") == old


def test_nothing_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text(OLD, encoding="utf-8")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert path.read_text(encoding="utf-8") == OLD


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), atomic_write(tmp_path / "file" / "below") as temporary:
        temporary.touch()


@pytest.mark.parametrize(("number", "stops"), [(errno.EINVAL, False), (errno.EOPNOTSUPP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_be_asked_to_write_a_folder_down(tmp_path, monkeypatch, number, stops):
    """Of files it must be possible, and a failing disk is no such file system."""

    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    refusal = pytest.raises(OSError, match="Input/output") if stops else nullcontext()
    with refusal, atomic_write(tmp_path / "file.txt") as temporary:
        temporary.write_text(NEW, encoding="utf-8")
    assert (tmp_path / "file.txt").read_text(encoding="utf-8") == NEW


def test_a_name_that_cannot_be_written(tmp_path):
    with pytest.raises(OSError, match="too long"), atomic_write(tmp_path / ("x" * 300)) as temporary:
        temporary.touch()
    assert not names(tmp_path)


KILLED = """
import sys, time
from pathlib import Path
from relbench.files import atomic_write, clear_unfinished_below
with atomic_write(Path(sys.argv[1])) as temporary, temporary.open("w") as file:
    file.write("new " * 500)
    file.flush()
    print("half", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text(OLD, encoding="utf-8")
    command = [sys.executable, "-c", KILLED, str(path)]
    folder = Path(relbench.__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert path.read_text(encoding="utf-8") == OLD
    assert len(names(tmp_path)) == 2  # it had begun
    with atomic_write(tmp_path / "another file.txt") as temporary:  # whatever is written next into the folder
        temporary.write_text(NEW, encoding="utf-8")
    assert names(tmp_path) == ["another file.txt", "file.txt"]


def ended():
    """Number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


HOUR, WEEK = 3600, 7 * 86_400


@pytest.mark.parametrize(
    ("name", "age", "gone"),
    [
        (".checkpoint.pt.{ended}@{here}.unfinished", 0, True),
        (".checkpoint.pt.{parent}@{here}.unfinished", 0, False),
        (".checkpoint.pt.{own}@{here}.unfinished", 50 * WEEK, True),  # of a process that had the same number
        (".x.{ended}@another machine.unfinished", HOUR, False),
        (".x.{ended}@another machine.unfinished", WEEK, True),
        (".x.{ended}", WEEK, False),  # somebody's own
        ("x.{ended}@{here}.unfinished", WEEK, False),
        (".x.unfinished", WEEK, False),
        (".x.{no_number}@{here}.unfinished", WEEK, False),
    ],
    ids=str,
)
def test_only_what_nobody_is_writing_is_cleared(tmp_path, name, age, gone):
    processes = {"ended": ended(), "parent": os.getppid(), "own": os.getpid(), "no_number": "9" * 99}
    name = name.format(**processes, here=platform.node())
    path = tmp_path / "runs" / "deep" / name
    path.parent.mkdir(parents=True)
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    (path.parent / "kept.txt").touch()
    clear_unfinished_below(tmp_path)
    assert names(path.parent) == (["kept.txt"] if gone else sorted([name, "kept.txt"]))


def fill(path, how):
    with atomic_folder(path) as folder:
        (folder / "file").write_text("new")
        how(path)


def fails(_):
    raise KeyError


def is_made_meanwhile(path):
    path.mkdir()
    (path / "mine").write_text("mine")


def test_a_folder_takes_its_place_whole_and_replaces_nothing(tmp_path):
    fill(tmp_path / "a" / "model", lambda path: None)
    assert names(tmp_path / "a" / "model") == ["file"]
    with pytest.raises(FileExistsError, match="model"):
        fill(tmp_path / "a" / "model", fails)
    with pytest.raises(KeyError):
        fill(tmp_path / "other", fails)
    with pytest.raises(OSError, match="not empty"):
        fill(tmp_path / "late", is_made_meanwhile)
    assert (names(tmp_path), names(tmp_path / "late")) == (["a", "late"], ["mine"])


def test_clearing_deletes_nothing_through_links(tmp_path):
    name = f".row.json.{ended()}@{platform.node()}.unfinished"
    for folder in ("outside", "results"):
        (tmp_path / folder).mkdir()
    for path in (tmp_path / "outside" / name, tmp_path / "outside" / "mine"):
        path.write_text("mine")
    (tmp_path / "results" / "runs").symlink_to(tmp_path / "outside")
    (tmp_path / "results" / name).symlink_to(tmp_path / "outside" / "mine")
    (tmp_path / "results" / f".a{name}").mkdir()  # no file of ours
    clear_unfinished_below(tmp_path / "results")
    assert names(tmp_path / "results") == [f".a{name}", "runs"]
    assert names(tmp_path / "outside") == sorted([name, "mine"])


@pytest.mark.parametrize("kind", [Path.symlink_to, Path.hardlink_to], ids=["symbolic", "hard"])
def test_nothing_is_written_through_a_link(tmp_path, kind):
    """Neither where the file belongs, nor where it is written first; as the superuser too."""
    mine, path = tmp_path / "mine.txt", tmp_path / "results" / "file.txt"
    mine.write_text("mine", encoding="utf-8")
    with atomic_write(path) as temporary:
        temporary.touch()
    path.unlink()
    kind(path, mine)
    kind(temporary, mine)
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(NEW)
    assert path.read_text(encoding="utf-8") == NEW
    assert not path.is_symlink()
    assert mine.read_text(encoding="utf-8") == "mine"
    assert names(tmp_path / "results") == ["file.txt"]


def test_only_regular_files_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "link") == b"content"
    os.mkfifo(tmp_path / "pipe")
    for path, error, why in (
        (tmp_path / "pipe", OSError, "Not a regular file"),
        (Path("/dev/zero"), OSError, "Not a regular file"),
        (tmp_path, IsADirectoryError, "Is a directory"),
        (tmp_path / "none", FileNotFoundError, "No such file"),
    ):
        with pytest.raises(error, match=why) as caught:
            open_regular(path)
        assert str(caught.value.filename) == str(path)


def test_a_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text(OLD, encoding="utf-8")

    def write():
        for content in [NEW, OLD] * 40:
            with atomic_write(path) as temporary:
                temporary.write_text(content, encoding="utf-8")

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(path.read_text(encoding="utf-8"))
    writer.join()
    assert set(seen) <= {OLD, NEW}
