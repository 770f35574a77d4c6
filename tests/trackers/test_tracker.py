"""What a run tells: when it is written, who can read it, and what is left."""

import os
import subprocess
import sys
import time

import pytest

from relbench.trackers import FolderTracker, read, tracker
from relbench.trackers.tracker import EVERY, FILE


@pytest.fixture
def clock(monkeypatch):
    """Stands still until it is set."""
    now = [100.0]
    monkeypatch.setattr(tracker.time, "monotonic", lambda: now[0])
    return now


def test_what_is_told_can_be_read(tmp_path, clock):
    told = FolderTracker(tmp_path / "run")
    assert (read(tmp_path / "run").phase, read(tmp_path / "run").done) == ("preparing", 0)
    told.begin("training")
    told.log({"step": 3, "triplet": 0.25})
    told.log({"step": 3, "recall@1": 0.5})
    clock[0] += EVERY
    told.step(3)
    status = read(tmp_path / "run")
    assert (status.phase, status.done) == ("training", 3)
    assert status.history == ({"step": 3, "triplet": 0.25}, {"step": 3, "recall@1": 0.5})
    assert status.process == os.getpid()
    assert 0 <= time.time() - status.updated < 60
    assert status.began <= status.updated


def test_steps_are_written_every_so_often_and_phases_at_once(tmp_path, clock):
    told = FolderTracker(tmp_path)
    for step, seconds in enumerate((0.0, EVERY - 0.01, EVERY, EVERY + 0.1, 2 * EVERY)):
        clock[0] = 100.0 + seconds
        told.step(step)
        assert read(tmp_path).done == (0, 0, 2, 2, 4)[step]
    told.step(5)
    told.begin("evaluating")
    assert (read(tmp_path).phase, read(tmp_path).done) == ("evaluating", 5)


def test_the_speed_is_that_of_this_process(tmp_path, monkeypatch):
    """Steps of an earlier process, and the time before the training, say nothing about it."""
    now = [1000.0]
    monkeypatch.setattr(tracker.time, "time", lambda: now[0])
    told = FolderTracker(tmp_path)
    now[0] += 500
    told.step(70)  # where the checkpoint was
    told.begin("training")
    assert read(tmp_path).steps_per_second is None
    for done, phase in ((90, "validating"), (90, "training"), (100, "evaluating")):
        now[0] += 5
        told.step(done)
        told.begin(phase)
    assert read(tmp_path).steps_per_second == 30 / 15


def test_nothing_is_left_of_a_run_that_has_ended(tmp_path):
    told = FolderTracker(tmp_path / "run")
    told.clear()
    told.clear()
    assert read(tmp_path / "run") is None
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("damage", ["", "{", "{}", '{"phase": "resting"}', "\0" * 50])
def test_what_can_not_be_read_is_no_news(tmp_path, damage):
    assert read(tmp_path / "nowhere") is None
    (tmp_path / FILE).write_text(damage)
    assert read(tmp_path) is None
    FolderTracker(tmp_path)
    assert read(tmp_path).done == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from relbench.trackers import FolderTracker
told = FolderTracker(Path(sys.argv[1]))
told.step(8)
told.begin("validating")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_last_words_of_a_killed_process_can_be_read_by_another(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
    assert (read(tmp_path).phase, read(tmp_path).done) == ("validating", 8)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_folder_that_can_not_be_written_is_an_error(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(OSError, match="run"):
        FolderTracker(tmp_path / "run")
