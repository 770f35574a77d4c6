"""RKD's few-shot tables go the whole way at toy scale, on tiny archives: runs, table, claims, report."""

import pandas as pd
import pytest
from studies.tiny_archives import put

from relbench.results.records import Row, read_record
from relbench.studies.record import read_study

DATA_SETS = {"rkd-table5": "omniglot", "rkd-table6": "mini-imagenet"}
RULES = {("rkd-table6", "paper"): "validation"}  # "last" elsewhere


@pytest.fixture
def make(call, cards, tmp_path, monkeypatch):
    """Make a study of toy scale; returns its folder, and the numbers of its cells."""

    def make(name, *more):
        root = tmp_path / "datasets"
        put(DATA_SETS[name], root, cards, monkeypatch)
        where = ("--data", root, "--results", tmp_path / "results", "--jobs", "1", "--device", "cpu")
        made = call("reproduce", name, "--scale", "toy", *where, *more)
        assert made.code == 0, made.error
        (folder,) = (tmp_path / "results").iterdir()
        return folder, pd.read_csv(folder / "cells.csv", keep_default_na=False, na_values=[""])

    return make


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA_SETS)
@pytest.mark.parametrize(("protocol", "seeds"), [("paper", "0,1"), ("fair", "0")])
def test_from_archives_to_the_table(make, call, tmp_path, name, protocol, seeds):
    folder, frame = make(name, "--protocol", protocol, "--seeds", seeds)
    study, rule = read_study(folder).study, RULES.get((name, protocol), "last")
    assert frame["paper"].tolist() == pytest.approx([cell.published for cell in study.cells])
    assert frame["metric"].tolist() == [cell.metric for cell in study.cells]
    assert frame[f"{rule}_mean"].between(0, 1).all()
    assert (frame[f"{rule}_seeds"] == len(seeds.split(","))).all()
    assert ("paper_half_interval" in frame) == (name == "rkd-table6")
    claims = pd.read_csv(folder / "claims.csv")
    assert claims["claim"].tolist() == [claim.text for claim in study.claims]
    rows = [read_record(Row, path) for path in folder.glob("runs/*/row.json")]
    assert {row.experiment.task.shot for row in rows} == {1, 5}
    assert {row.parameters for row in rows} == {{"omniglot": 516, "mini-imagenet": 588}[DATA_SETS[name]]}
    assert {counts.groups for row in rows for counts in row.all_counts.values()} == {tuple(map(str, range(10)))}
    text = (folder / "table.md").read_text()
    assert ("Learning rate of rkd-da/1-shot" in text) == (protocol == "fair")
    assert {"table.tex", "report.html", "cells.csv", "table.md"} <= {path.name for path in folder.iterdir()}
    (folder / "table.md").unlink()
    assert call("report", folder, "--data", tmp_path / "datasets").code == 0
    assert (folder / "table.md").read_text() == text
