"""SP's and REFILLED's studies go the whole way at toy scale, on tiny archives: runs, table, claims, report."""

from fnmatch import fnmatchcase

import pandas as pd
import pytest
from studies.tiny_archives import put

from relbench.results.records import Row, read_record
from relbench.studies.record import read_study

STUDIES = {
    "sp-cifar10": "cifar10",
    "sp-dtd": "dtd",
    "sp-cinic10": "cinic10",
    "refilled-cifar100": "cifar100",
    "refilled-label-spaces": "cifar100",
    "refilled-middle-shot": "cifar100",
    "refilled-cub200": "cub200",
    "refilled-incremental": "cub200",
}
ONLY = {  # the others are alike
    "refilled-label-spaces": ("teacher", "m20/wrn-16-2/gkd", "m50/wrn-16-2/*"),
    "refilled-middle-shot": ("teacher", "k5/*", "k10/refilled", "all/ce"),
}
SELECTIONS = {  # of classes and images; 1 elsewhere
    "refilled-label-spaces": 3,
    "refilled-middle-shot": 4,
    "refilled-incremental": 2,
}


@pytest.fixture
def make(call, cards, tmp_path, monkeypatch):
    """Make a study of toy scale; returns its folder, and the numbers of its cells."""

    def make(name, *more):
        root = tmp_path / "datasets"
        put(STUDIES[name], root, cards, monkeypatch)
        where = ("--data", root, "--results", tmp_path / "results", "--jobs", "1", "--device", "cpu")
        made = call("reproduce", name, "--scale", "toy", *where, "--seeds", "0", *more)
        assert made.code == 0, made.error
        (folder,) = (tmp_path / "results").iterdir()
        return folder, pd.read_csv(folder / "cells.csv", keep_default_na=False, na_values=[""])

    return make


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_from_archives_to_the_table(make, name):
    only = ONLY.get(name, ("*",))
    folder, frame = make(name, *(part for pattern in only for part in ("--only", pattern)))
    study = read_study(folder).study
    published = [float("nan") if cell.published is None else cell.published for cell in study.cells]
    assert frame["paper"].tolist() == pytest.approx(published, nan_ok=True)
    asked = frame["path"].map(lambda path: any(fnmatchcase(str(path), pattern) for pattern in only))
    assert frame.loc[asked & frame["path"].notna(), "last_mean"].between(0, 1).all()
    assert len(pd.read_csv(folder / "claims.csv")) == len(study.claims)
    rows = [read_record(Row, path) for path in folder.glob("runs/*/row.json")]
    assert {row.primary for row in rows} == {"accuracy"}
    assert len({row.experiment.data.images_in_use for row in rows}) == SELECTIONS.get(name, 1)


@pytest.mark.slow
def test_a_rate_is_chosen_on_images_held_out_and_the_report_is_made_from_what_is_kept(make, call, tmp_path):
    """With stages that have settings of their own, and numbers in doubt."""
    folder, frame = make("refilled-cifar100", "--protocol", "fair", "--only", "teacher", "--only", "wrn-16-2/refilled*")
    assert frame.loc[frame["path"].isin(["teacher", "wrn-16-2/refilled"]), "last_mean"].between(0, 1).all()
    text = (folder / "table.md").read_text()
    assert "Learning rate of wrn-16-2/refilled" in text
    assert "Stale: of June 2020" in text
    (folder / "table.md").unlink()
    assert call("report", folder, "--data", tmp_path / "datasets").code == 0
    assert (folder / "table.md").read_text() == text
