"""Studies as files, from the command line: shown, changed, listed, planned."""

import pytest

from relbench.studies import build_study
from relbench.studies.files import study_text


def test_a_study_is_shown_as_its_file(call):
    assert call("study", "show", "quickstart").out == study_text(build_study("quickstart"))
    toy = call("study", "show", "rkd-table2", "--protocol", "fair", "--scale", "toy")
    assert toy.out == study_text(build_study("rkd-table2", {"protocol": "fair", "scale": "toy"}))
    assert "quickstart has no --protocol" in call("study", "show", "quickstart", "--protocol", "fair").error


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "my_study.toml"
    path.write_text(study_text(build_study("quickstart")).replace('"quickstart"', '"my-study"').replace("1200", "12"))
    return path


def test_a_file_stands_wherever_a_study_is_named(call, mine, tmp_path, data_folder):
    where = ("--data", data_folder, "--results", tmp_path / "results", "--seeds", "0", "--runs")
    planned = call("reproduce", mine, *where, "--set", "student.dim=16", "--only", "rkd-d")
    assert planned.code == 0, planned.error
    assert "2 runs to make" in planned.out
    assert "12 steps, after teacher" in planned.out
    compared = call("compare", "pkt", "--study", mine, *where)
    assert "pkt, seed 0" in compared.out
    assert "teacher.steps" in call("settings", mine).out
    refused = call("reproduce", mine, "--set", "student.dims=16", *where)
    assert f"did you mean student.dim? `relbench settings {mine}` lists all settings" in refused.error


def test_a_file_that_is_wrong_or_not_there(call, mine):
    mine.write_text(mine.read_text().replace("decay =", "gamma ="))
    refused = call("reproduce", mine)
    assert (refused.code, refused.error.count("\n")) == (2, 1)
    assert "my_study.toml: [training] has an unknown setting 'gamma': did you mean decay?" in refused.error
    assert "nowhere.toml is not there: `relbench study show NAME" in call("settings", "nowhere.toml").error
