"""Studies of code version 1 are read and tabulated as ever: no name changes, and no mean.

`version_1.zip` holds the records, rows and floors of two studies as version 1 wrote them: the quick start of three
seeds, with its table; and of every method on Glyphs the runs of seed 0 in two stages, or with losses of logits.
"""

import csv
import json
import zipfile
from pathlib import Path

import pytest

from relbench.experiment import CODE_VERSION, Experiment
from relbench.results.records import read_row, write_record
from relbench.settings import changed
from relbench.studies.record import read_study

ARCHIVE = Path(__file__).with_name("version_1.zip")
LABELS = ("teacher", "triplet", "rkd-d", "rkd-a", "rkd-da", "teacher, student's steps")
ROWS = [name for name in zipfile.ZipFile(ARCHIVE).namelist() if name.endswith("row.json")]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folders of both studies."""
    folder = tmp_path_factory.mktemp("version-1")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("name", ROWS, ids=lambda name: name.split("/")[2])
def test_a_row_is_named_by_the_fingerprint_of_its_settings(written, name):
    """Recomputed by today's classes from the settings in the file; and so those of the runs that it builds on."""
    path = written / name
    given = json.loads(path.read_text())
    experiment = Experiment.model_validate_json(json.dumps(given["experiment"]))
    assert experiment.code_version == 1
    assert experiment.fingerprint == given["fingerprint"] == path.parent.name
    assert read_row(path, experiment.fingerprint).experiment == experiment
    for needed in experiment.dependencies.values():
        assert read_row(path.parents[1] / needed.fingerprint / "row.json", needed.fingerprint).experiment == needed


def test_some_of_the_rows_are_of_stages_and_of_students():
    kinds = [json.loads(zipfile.ZipFile(ARCHIVE).read(name))["experiment"] for name in ROWS]
    assert sum(bool(kind.get("start") or kind.get("initialized_from")) for kind in kinds) == 2
    assert sum(bool(kind.get("teacher")) for kind in kinds) > 5


@pytest.mark.parametrize("study", ["quickstart", "glyphs-methods"])
def test_a_record_is_read(written, study):
    record = read_study(written / study)
    assert record.study.name == study
    assert record.study.code_version == 1
    assert list(record.study.runs)[-1] == "teacher, student's steps"


def test_a_report_made_anew_has_the_same_means(call, written, tmp_path):
    """Its intervals and verdicts are today's."""
    folder = written / "quickstart"
    before = means(folder)
    assert call("report", folder, "--data", tmp_path / "none").code == 0
    assert [labels for labels, _ in means(folder)] == [labels for labels, _ in before]
    for (_, now), (_, then) in zip(means(folder), before, strict=True):
        assert now == pytest.approx(then, rel=1e-12, nan_ok=True)
    assert [label for label, _ in before] == [*LABELS, "raw pixels", "untrained network"]


def means(folder):
    """Label, and seeds, Recall@1 and difference, of each line of a table."""
    columns = ("seeds", "recall@1", "difference_to_teacher")
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        return [(row["method"], [float(row[name] or "nan") for name in columns]) for row in csv.DictReader(file)]


def test_a_study_of_an_earlier_code_version_is_no_part_of_todays(written, tmp_path):
    """Its record says which runs are its own; the same study, built today, has others, and needs another folder."""
    record = read_study(written / "quickstart")
    anew = record.model_copy(update={"study": changed(record.study, {"code_version": CODE_VERSION})})
    assert anew.merged(record) is None
    write_record(anew, tmp_path / "study.json")
    assert read_study(tmp_path) == anew
