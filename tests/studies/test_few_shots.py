"""Studies of few-shot learning go the whole way: a table of lines, and one of cells of two tasks with four metrics."""

import numpy as np
import pandas as pd
import pytest
from studies import few_shots

from relbench.counts import Counts
from relbench.evaluation import compare, holm
from relbench.results.records import Row, read_record
from relbench.studies import STUDIES
from relbench.studies.record import read_study

NOT_COVERED = "intervals over new episodes do not cover other test classes, however many episodes there are."
METRICS = {shot: (f"5way_{shot}shot", f"20way_{shot}shot") for shot in (1, 5)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("few_shots")


@pytest.fixture
def make(monkeypatch, call, data_folder, folder):
    monkeypatch.setitem(STUDIES, "lines-of-episodes", few_shots.build_lines)
    monkeypatch.setitem(STUDIES, "cells-of-episodes", few_shots.build_cells)

    def make(name, *options, command="reproduce"):
        where = ("--data", data_folder, "--results", folder, "--jobs", "1", "--seeds", "0,1")
        return call(*command.split(), name, *where, *options)

    return make


def in_one_line(path):
    return " ".join(path.read_text().replace("\\", "").split())


def test_a_table_of_lines(make, folder):
    made = make("lines-of-episodes")
    assert made.code == 0, made.error
    table = pd.read_csv(folder / "lines-of-episodes" / "table.csv")
    assert table["method"].tolist() == ["teacher", "alone", "rkd-d", "rkd-a", "raw pixels", "untrained network"]
    for metric in METRICS[1]:
        assert table[metric].between(0, 1).all()
        assert table[f"{metric}_ci95"].between(0, 0.2).all()
    text = in_one_line(folder / "lines-of-episodes" / "table.md")
    for words in (
        "over new training runs and new episodes at once",
        f"All episodes are drawn from the same test classes and images: {NOT_COVERED}",
        "20 images, 5 classes of 1 support image and 3 queries each",
        "750 queries of 50 episodes",
        "20-way 1-shot ± 95 % over episodes: half of the interval of a single network",
        "5-way 1-shot ± 95 % over episodes, points | 20-way 1-shot accuracy, % |",
    ):
        assert words in text
    page = in_one_line(folder / "lines-of-episodes" / "report.html")
    assert NOT_COVERED in page
    assert "5-way 1-shot accuracy and size" in page


def rows_of(folder):
    """Rows by path and seed, by their settings: the study's own plan is not asked."""
    record, found = read_study(folder), {}
    rows = [read_record(Row, path) for path in folder.glob("runs/*/row.json")]
    for path, spec in record.study.items:
        for row in rows:
            terms = [term.loss for term in row.experiment.terms]
            if row.experiment.task == spec.task and terms == [term.loss for term in spec.stages[0].terms]:
                found[path, row.experiment.seed] = row
    return found


def counts_of(rows, path, metric) -> list[Counts]:
    return [rows[path, seed].all_counts[metric] for seed in (0, 1)]


def test_a_table_of_cells(make, call, folder):
    made = make("cells-of-episodes")
    assert made.code == 0, made.error
    made = folder / "cells-of-episodes"
    rows, cells = rows_of(made), pd.read_csv(made / "cells.csv")
    assert len(rows) == len(list(made.glob("runs/*"))) == 12
    for cell in cells.itertuples():
        own = [rows[cell.path, seed].metrics for seed in (0, 1)]
        assert cell.last_mean == pytest.approx(np.mean([each[cell.metric] for each in own]))
        halves = np.mean([each[f"{cell.metric}_ci95"] for each in own])
        assert cell.last_half_interval_over_groups == pytest.approx(halves)
    assert cells["paper_half_interval"].dropna().tolist() == [0.0082, 0.0084, 0.0066]
    claims = pd.read_csv(made / "claims.csv")
    judged = holm(
        [
            compare(counts_of(rows, f"{shot}/rkd-d", metric), counts_of(rows, f"{shot}/teacher", metric))
            for shot in (1, 5)
            for metric in METRICS[shot]
        ]
    )
    assert claims["p_adjusted"][:4].tolist() == pytest.approx([each.p_adjusted for each in judged])
    assert claims["difference"][:4].tolist() == pytest.approx([each.difference for each in judged])
    assert claims["family"].tolist()[:4] == [4] * 4
    assert claims["over"].tolist()[:4] == ["runs and groups"] * 4
    text = in_one_line(made / "table.md")
    for words in ("49.10 ± 0.82", "over episodes, as printed", NOT_COVERED, "Holm p", "Glyphs, shot = 1"):
        assert words in text
    before = {path.name: path.read_bytes() for path in made.glob("*.*")}
    assert call("report", made).code == 0
    assert {path.name: path.read_bytes() for path in made.glob("*.*")} == before


def test_other_settings_of_the_task(make):
    planned = make("cells-of-episodes", "--set", "task.queries=2", "--set", "task.scorer=nearest", "--runs")
    assert planned.code == 0, planned.error
    assert "12 runs to make" in planned.out
    refused = make("cells-of-episodes", "--set", "task.way=[5]", "--runs")
    assert refused.code == 2
    assert "unknown setting 'task.way': numbers of this table are named by it" in refused.error
    assert "relbench evaluate FOLDER_OF_A_RUN --task few-shot --way" in " ".join(refused.error.split())
    refused = make("lines-of-episodes", "--set", "task.queries=100", "--runs")
    assert refused.code == 2
    assert "a test episode has 101 images of each class, support and queries, but there is a class of" in refused.error


def test_a_loss_beside_them(make):
    planned = make("cells-of-episodes", "--runs", command="compare pkt --study")
    assert planned.code == 0, planned.error
    assert "1/rkd-d/pkt" in planned.out
    assert "5/rkd-d/pkt" in planned.out
