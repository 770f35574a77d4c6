"""A table of another paper goes the whole way: one file and its numbers, and an entry among the studies."""

import ast
from pathlib import Path

import pandas as pd
import pytest
from studies.foreign import table7

from relbench.results.records import Row, read_record
from relbench.settings import changed
from relbench.studies import STUDIES
from relbench.studies.record import read_study


@pytest.fixture
def foreign(monkeypatch):
    monkeypatch.setitem(STUDIES, "foreign", table7.build)


@pytest.fixture
def make(foreign, call, data_folder, tmp_path):
    def make(*options, command=("reproduce", "foreign")):
        where = ("--data", data_folder, "--results", tmp_path, "--jobs", "1")
        return call(*command, "--seeds", "0,1", *where, *options)

    return make


def test_it_has_nothing_of_rkds():
    with Path(table7.__file__).open(encoding="utf-8") as file:
        tree = ast.parse(file.read())
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [module for module in imported if "rkd" in module]
    assert not [term for term in table7.build().losses if term in {"triplet", "rkd_distance", "rkd_angle"}]


@pytest.mark.slow
def test_from_one_file_to_its_table(make, call, tmp_path):
    made = make()
    assert made.code == 0, made.error
    folder = tmp_path / "foreign-short"
    frame = pd.read_csv(folder / "cells.csv", keep_default_na=False, na_values=[""])
    assert frame["paper"].tolist() == [0.415, 0.4725, 0.6, 0.52, 0.44]
    assert frame.loc[frame["path"].notna(), "last_mean"].between(0, 1).all()
    assert frame.loc[frame["path"].isna(), "last_mean"].isna().all()  # another's result is not trained
    assert frame["metric"].tolist() == ["recall@1", "recall@1", "recall@2", "recall@1", "recall@1"]
    claims = pd.read_csv(folder / "claims.csv")
    assert claims["claim"].tolist() == ["A teacher helps", "The student beats its teacher"]
    text = (folder / "table.md").read_text()
    assert "Nobody wrote it." in text
    assert "Learning rate of small/pkt" in text  # it was chosen, with no protocol that says so
    rows = [read_record(Row, path) for path in folder.glob("runs/*/row.json")]
    students = [row.experiment for row in rows if row.experiment.teacher]
    assert {one.total_steps for one in students if one.initialized_from} == {4}
    before = (folder / "table.md").read_bytes()
    (folder / "table.md").unlink()
    assert call("report", folder).code == 0
    assert (folder / "table.md").read_bytes() == before
    assert "runs are finished already" in make("--set", "student.weight_decay=0.0").out
    assert read_study(folder).seeds == (0, 1)


def test_its_options_are_those_of_every_study(make, foreign, call):
    planned = make("--only", "small/alone", "--runs")
    assert planned.code == 0, planned.error
    assert "2 runs to make" in planned.out
    for options, told in (
        (("--protocol", "fair"), "foreign has no --protocol"),
        (("--set", "student.learning_rate=0.1"), "foreign (patience short) chooses it on validation images"),
        (("--selection", "test"), "runs then record only the last step"),
        (("--only", "small/pk"), "did you mean small/pkt"),
    ):
        refused = make(*options, "--runs")
        assert refused.code == 2
        assert told in refused.error
    assert "student.dim" in call("settings", "foreign").out
    assert "A table of nobody's" in call("list").out


def test_a_loss_beside_it(make):
    planned = make("--runs", command=("compare", "hard_darkrank", "--study", "foreign"))
    assert planned.code == 0, planned.error
    assert "small/pkt/hard_darkrank at 0.001" in planned.out


def test_longer_trainings_are_another_study(foreign):
    short, long = table7.build(), table7.build(patience="long")
    assert {run.training.steps for run in long.runs.values()} == {8}
    assert changed(long, {"variant": short.variant}) != short
