"""Finished runs of other studies: taken over whole, or not at all."""

from types import SimpleNamespace

import pytest
from analysis.test_summarise import make_row

from relbench.experiment import Experiment, Term
from relbench.results.checkpoint import load_checkpoint
from relbench.results.records import read_row, write_record
from relbench.results.reuse import link_finished, to_be_linked
from relbench.results.run_folder import RunFolder
from relbench.settings import changed


@pytest.fixture
def finished(monkeypatch):
    """Make a finished run in a folder: files that only have to be there."""
    monkeypatch.setattr(RunFolder, "finished", lambda folder: SimpleNamespace(experiment=folder.experiment))
    monkeypatch.setattr(RunFolder, "state", lambda folder: folder.checkpoint.read_text())
    monkeypatch.setattr(RunFolder, "stored", lambda folder: folder.embeddings.read_text())

    def make(runs, experiment, files=("checkpoint.pt", "embeddings.npz", "row.json")):
        folder = RunFolder(runs, experiment)
        folder.path.mkdir(parents=True)
        for name in files:
            (folder.path / name).write_text(f"{runs.parent.name}: {name}")
        return folder

    return make


TEACHER = Experiment(terms=(Term(loss="triplet"),))
OTHER = changed(TEACHER, {"seed": 1})


def test_all_files_of_a_finished_run_are_taken_over(tmp_path, finished):
    there = finished(tmp_path / "first" / "runs", TEACHER)
    own = RunFolder(tmp_path / "second" / "runs", TEACHER)
    assert link_finished([TEACHER, OTHER], own.runs, tmp_path) == {there.runs: 1}
    assert [path.read_text() for path in own.files] == [path.read_text() for path in there.files]
    assert not RunFolder(own.runs, OTHER).path.exists()
    assert sorted(path.name for path in own.path.iterdir()) == ["checkpoint.pt", "embeddings.npz", "row.json"]


def test_what_was_begun_is_replaced(tmp_path, finished):
    there = finished(tmp_path / "first" / "runs", TEACHER)
    own = finished(tmp_path / "second" / "runs", TEACHER, files=("checkpoint.pt",))
    link_finished([TEACHER], own.runs, tmp_path)
    assert own.checkpoint.read_text() == "first: checkpoint.pt"
    assert there.checkpoint.read_text() == "first: checkpoint.pt"


def test_what_is_finished_here_stays(tmp_path, finished):
    finished(tmp_path / "first" / "runs", TEACHER)
    own = finished(tmp_path / "second" / "runs", TEACHER)
    assert link_finished([TEACHER], own.runs, tmp_path) == {}
    assert own.row.read_text() == "second: row.json"


@pytest.mark.parametrize("missing", ["checkpoint.pt", "embeddings.npz", "row.json"])
def test_a_run_with_a_missing_file_is_not_taken(tmp_path, finished, missing):
    files = {"checkpoint.pt", "embeddings.npz", "row.json"} - {missing}
    finished(tmp_path / "first" / "runs", TEACHER, files)
    assert link_finished([TEACHER], tmp_path / "second" / "runs", tmp_path) == {}
    assert not (tmp_path / "second").exists()


def test_files_are_copied_where_links_are_not_possible(tmp_path, finished, monkeypatch):
    there = finished(tmp_path / "first" / "runs", TEACHER)
    own = RunFolder(tmp_path / "second" / "runs", TEACHER)

    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    link_finished([TEACHER], own.runs, tmp_path)
    assert own.row.read_text() == there.row.read_text()
    assert own.row.stat().st_ino != there.row.stat().st_ino


def test_a_damaged_row_elsewhere_is_told(tmp_path, finished, monkeypatch):
    there = finished(tmp_path / "first" / "runs", TEACHER)
    monkeypatch.setattr(RunFolder, "finished", lambda folder: read_row(folder.row, "0"))
    with pytest.raises(ValueError, match=f"{there.row} is not a readable row.*delete {there.path}"):
        link_finished([TEACHER], tmp_path / "second" / "runs", tmp_path)
    assert not (tmp_path / "second").exists()


def test_a_damaged_checkpoint_elsewhere_is_told(tmp_path, finished, monkeypatch):
    there = finished(tmp_path / "first" / "runs", TEACHER)
    monkeypatch.setattr(RunFolder, "state", lambda folder: load_checkpoint(folder.checkpoint, "0", 1, "recall@1"))
    with pytest.raises(ValueError, match=f"{there.checkpoint} is not a readable checkpoint.*delete {there.path}"):
        link_finished([TEACHER], tmp_path / "second" / "runs", tmp_path)
    assert not (tmp_path / "second").exists()


def test_a_student_of_another_teacher_is_not_taken_over(tmp_path, monkeypatch):
    """The study has its teacher already, made on another machine: numbers of two teachers are not mixed."""
    student = changed(OTHER, {"terms": (Term(loss="rkd_distance"),), "teacher": TEACHER})
    monkeypatch.setattr(RunFolder, "state", lambda folder: folder.checkpoint.read_bytes())
    monkeypatch.setattr(RunFolder, "stored", lambda folder: folder.embeddings.read_bytes())

    def make(experiment, runs, **hashes):
        row = make_row(experiment, (1, 2, 3)).model_copy(update=hashes)
        row = row.model_copy(update={"history": ({"step": float(row.selected_step)},)})
        folder = RunFolder(runs, experiment)
        write_record(row, folder.row)
        folder.checkpoint.touch()
        folder.embeddings.touch()

    for name, weights in (("first", "one"), ("second", "two"), ("third", "one")):
        make(TEACHER, tmp_path / name / "runs", weights_hash=weights)
    make(student, tmp_path / "first" / "runs", weights_hash="x", dependencies={"teacher": "one"})
    assert link_finished([TEACHER, student], tmp_path / "second" / "runs", tmp_path) == {}
    assert not RunFolder(tmp_path / "second" / "runs", student).path.exists()
    assert link_finished([TEACHER, student], tmp_path / "third" / "runs", tmp_path) == {tmp_path / "first" / "runs": 1}


def test_what_would_be_taken_over_is_known_before(tmp_path, finished):
    there = finished(tmp_path / "first" / "runs", TEACHER)
    own = tmp_path / "second" / "runs"
    assert to_be_linked([TEACHER, OTHER], own, tmp_path) == {TEACHER.fingerprint: there.runs}
    assert not own.exists()
