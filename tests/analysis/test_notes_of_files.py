"""A report on a study from a file says so."""

from itertools import islice

from relbench.analysis.summarise import _notes
from relbench.settings import changed
from relbench.studies import build_study
from relbench.studies.record import StudyRecord


def first_note(study):
    record = StudyRecord(study=study, changes={}, contents={}, seeds=(0,))
    return next(islice(_notes(record, None), 1))


def test_the_file_and_its_hash_are_named():
    study = build_study("quickstart")
    assert "file" not in first_note(study)
    told = first_note(changed(study, {"file": "my_study.toml", "file_hash": "0a1b"}))
    assert told.startswith("The study of the file my_study.toml (SHA-256 0a1b)")
