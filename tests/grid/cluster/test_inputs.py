"""Files that are sent with a job, those that come back, and the folder where they are in between."""

import os

import pytest
from small_jobs import experiment

from relbench.experiment import Experiment, Term
from relbench.grid.cluster.changed_files import ChangedFiles
from relbench.grid.cluster.inputs import ObjectCache, input_files
from relbench.grid.cluster.work_folder import work_folder
from relbench.grid.jobs import Job
from relbench.locks import lock
from relbench.results.run_folder import RunFolder

TEACHER = Experiment(terms=(Term(loss="rkd_angle"),), teacher=experiment(0))
FIRST = Experiment(terms=(Term(loss="refilled_embedding"),), teacher=TEACHER)
SECOND = Experiment(terms=(Term(loss="refilled_classifier"),), teacher=TEACHER, initialized_from=FIRST)


def test_what_a_second_stage_needs(tmp_path):
    """The networks that it builds on, and their rows; of the teacher's teacher the row, which names its weights."""
    runs, other = tmp_path / "runs", tmp_path / "other"
    shorter = RunFolder(other, FIRST)
    job = Job(lambda *_: {}, (SECOND,), runs, tmp_path, {SECOND.fingerprint: shorter})
    expected = [
        *(RunFolder(runs, run).path / file for run in (TEACHER, FIRST) for file in ("row.json", "checkpoint.pt")),
        *(RunFolder(runs, experiment(0)).row, RunFolder(runs, SECOND).checkpoint),
        *(shorter.row, shorter.checkpoint, RunFolder(other, TEACHER).row, RunFolder(other, experiment(0)).row),
    ]
    assert sorted(input_files(job)) == sorted(expected)


def test_each_file_is_sent_once_until_it_changes(tmp_path):
    sent = []
    cache = ObjectCache(lambda piece: sent.append(piece.content) or len(sent))
    jobs = [Job(lambda *_: {}, (run,), tmp_path, tmp_path) for run in (FIRST, SECOND)]
    teacher = RunFolder(tmp_path, TEACHER)
    teacher.path.mkdir()
    teacher.checkpoint.write_bytes(b"weights")
    assert [cache.inputs(job) for job in (*jobs, *jobs)] == [{teacher.checkpoint: (1,)}] * 4
    assert sent == [b"weights"]
    teacher.checkpoint.unlink()
    teacher.checkpoint.write_bytes(b"others")
    assert cache.inputs(jobs[0]) == {teacher.checkpoint: (2,)}


def test_files_are_sent_when_they_have_changed_and_the_row_last(tmp_path):
    folder = RunFolder(tmp_path, TEACHER)
    folder.path.mkdir()
    folder.checkpoint.write_text("an input")
    changed = ChangedFiles([folder])
    assert not list(changed.pieces())
    for path in (folder.row, folder.embeddings, folder.checkpoint, folder.path / "another"):
        path.unlink(missing_ok=True)
        path.write_text(path.name)
    sent = list(changed.pieces())
    assert [message.file for message in sent] == ["checkpoint.pt", "embeddings.npz", "row.json"]
    assert [message.piece.content.decode() for message in sent] == [message.file for message in sent]
    assert {message.run for message in sent} == {TEACHER.fingerprint}
    assert not list(changed.pieces())


def test_a_row_is_never_sent_before_the_files_that_it_is_of(tmp_path, monkeypatch):
    """The run goes on while its folder is looked at: its last checkpoint and its row appear after the first look."""
    folder = RunFolder(tmp_path, TEACHER)
    folder.path.mkdir()
    changed, looks = ChangedFiles([folder]), []

    def look(path):
        looks.append(path)
        if len(looks) == 2:
            for file in folder.files:
                file.write_text("done")
        return path.exists() or None

    monkeypatch.setattr("relbench.grid.cluster.changed_files.stamp", look)
    first, second = ([message.file for message in changed.pieces()] for _ in range(2))
    assert "row.json" not in first
    assert {*first, *second} == {"checkpoint.pt", "embeddings.npz", "row.json"}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_work_folders_of_killed_workers_are_cleared_away(temporary):
    """Not those that are held, if only by a process of another container, nor of a process that runs without locks."""
    with work_folder() as first:
        killed, held, unlocked = (
            first.with_name(f"{number}-job") for number in (999_999_999, 999_999_998, os.getpid())
        )
        for folder in (killed, held, unlocked):
            folder.mkdir()
            (folder / "checkpoint.pt").touch()
        with lock(held), work_folder() as second:
            assert set(first.parent.iterdir()) == {first, second, held, unlocked, first.parent / ".lock"}
            assert second.parent.stat().st_mode & 0o077 == 0
        assert not second.exists()
    assert not first.exists()


def test_a_work_folder_of_somebody_else_is_refused(temporary, monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 12345)
    (temporary / "relbench-12345").mkdir()
    with pytest.raises(ValueError, match="relbench-12345 belongs to another user: set TMPDIR"), work_folder():
        pass
