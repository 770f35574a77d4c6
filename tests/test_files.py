"""Files are whole or not there, whatever happens to the process."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import relbench
from relbench.files import written_whole

OLD, NEW = "old " * 1000, "new " * 1000


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_written(tmp_path):
    path = tmp_path / "deep" / "down" / "file.txt"
    with written_whole(path) as temporary:
        temporary.write_text(NEW, encoding="utf-8")
        assert not path.exists()
        assert temporary.parent == path.parent  # a move between file systems would be no single step
    assert path.read_text(encoding="utf-8") == NEW
    assert names(path.parent) == ["file.txt"]


def test_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with written_whole(Path("file.txt")) as temporary:
        temporary.write_text(NEW, encoding="utf-8")
    assert names(tmp_path) == ["file.txt"]


class DeliberateError(Exception):
    pass


def half_write(path):
    with written_whole(path) as temporary:
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
    with pytest.raises(FileNotFoundError), written_whole(path):
        pass
    assert path.read_text(encoding="utf-8") == OLD


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), written_whole(tmp_path / "file" / "below") as temporary:
        temporary.touch()


def test_a_name_that_cannot_be_written(tmp_path):
    with pytest.raises(OSError, match="too long"), written_whole(tmp_path / ("x" * 300)) as temporary:
        temporary.touch()
    assert not names(tmp_path)


KILLED = """
import sys, time
from pathlib import Path
from relbench.files import written_whole
with written_whole(Path(sys.argv[1])) as temporary, temporary.open("w") as file:
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
    with written_whole(path) as temporary:  # and what it left is in nobody's way
        temporary.write_text(NEW, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == NEW


def test_a_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text(OLD, encoding="utf-8")

    def write():
        for content in [NEW, OLD] * 40:
            with written_whole(path) as temporary:
                temporary.write_text(content, encoding="utf-8")

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(path.read_text(encoding="utf-8"))
    writer.join()
    assert set(seen) <= {OLD, NEW}
