"""What earlier versions wrote is read, named and tabulated as ever: no number changes, and no name.

`earlier_version.zip` holds runs as 890b0d6 wrote them, before settings were renamed: under `finished` a teacher, a
first stage and the student that goes on from it, on three test classes of Glyphs, two steps each; under `interrupted`
the student's checkpoint after the first step. `test_version_1.py` reads whole studies of the time after that.
"""

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from relbench.results.records import read_row, write_record
from relbench.results.run_folder import RunFolder, load_trained
from relbench.run import run
from relbench.settings import FORMER_NAMES
from relbench.trackers import Silent

TEACHER, FIRST, STUDENT = "8168cfe1f1052b0c", "461172c46901c1c8", "15b9cfa10743820e"


@pytest.fixture
def earlier(tmp_path):
    """Folders of runs that an earlier version wrote."""
    with zipfile.ZipFile(Path(__file__).with_name("earlier_version.zip")) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_a_row_of_former_names_is_read_and_written_under_todays(earlier, tmp_path):
    path = earlier / "finished" / STUDENT / "row.json"
    written = json.loads(path.read_text())
    settings = written["experiment"]
    for group, names in ((settings, ("training", "initialized_from", "code_version")), (written, ("dependencies",))):
        for name in names:
            assert FORMER_NAMES[name] in group
            assert name not in group
    assert settings["protocol"]["watch_test"] is True
    row = read_row(path, STUDENT)
    assert row.experiment.training.log_test_metrics
    assert row.experiment.initialized_from.fingerprint == FIRST
    assert row.experiment.teacher.fingerprint == TEACHER
    assert set(row.dependencies) == {"teacher", "first stage"}
    assert row.metrics_at("test")[1].keys() == row.metrics.keys()  # they were logged
    write_record(row, tmp_path / "row.json")
    assert not {"protocol", "start", "recipe", "foundations", "watch_test"} & names_in(tmp_path / "row.json")
    assert read_row(tmp_path / "row.json", STUDENT) == row


def names_in(path):
    """All keys at any depth of a JSON file."""
    return set(re.findall(r'"(\w+)": ', path.read_text()))


@pytest.mark.parametrize("name", [TEACHER, FIRST, STUDENT])
def test_a_finished_run_of_an_earlier_version_is_finished_today(earlier, name):
    """Its row, its checkpoint and its embeddings fit together by their hashes, and its network can be loaded."""
    runs = earlier / "finished"
    experiment = read_row(runs / name / "row.json", name).experiment
    folder = RunFolder(runs, experiment)
    row = folder.finished()
    assert folder.state()["step"] == experiment.training.steps == 2
    assert folder.stored().hash == row.embeddings_hash
    network = load_trained(experiment, runs, 1, "teacher").network
    assert sum(parameter.numel() for parameter in network.parameters()) == row.parameters


@pytest.mark.parametrize("begun", [False, True])
def test_a_run_of_an_earlier_code_version_is_not_gone_on_with(earlier, data_folder, begun):
    """Nor made anew under its name: its numbers would be others. What it has left can be read, and stays."""
    runs = earlier / "finished"
    experiment = read_row(runs / STUDENT / "row.json", STUDENT).experiment
    folder = RunFolder(runs, experiment)
    shutil.rmtree(folder.path)
    if begun:
        shutil.copytree(earlier / "interrupted" / STUDENT, folder.path)
        assert folder.state()["step"] == 1
    with pytest.raises(ValueError, match=rf"{STUDENT} is a run of code version 1, whose numbers version \d does not"):
        run(experiment, runs, data_folder, Silent())
    assert folder.checkpoint.exists() == begun
    assert not folder.row.exists()
