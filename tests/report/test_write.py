"""All files, whole, the same each time."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from printed_tables import SHAPES, figure3

from relbench.analysis.summary import Summary
from relbench.report import write, write_report
from relbench.report.write import files_of

OF_METHODS = [
    *("table.md", "table.csv", "pairs.csv", "table.tex", "recall_at_k.png", "recall_at_k.svg"),
    *("recall_at_1.png", "training.png", "forest.png", "forest.svg", "rows.csv", "report.html"),
]
OF_CELLS = ["table.md", "cells.csv", "floors.csv", "claims.csv", "table.tex", "cells.png", "report.html"]


@pytest.fixture
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time spent on drawing, where the test is about the files."""

    def drawn(name: str) -> bool:
        return name.startswith("report") or name.endswith((".png", ".svg"))

    monkeypatch.setattr(
        write,
        "files_of",
        lambda summary: {
            name: (lambda _: b"drawn") if drawn(name) else render for name, render in files_of(summary).items()
        },
    )


def test_it_writes_what_it_returns_and_nothing_else(study: Summary, tmp_path: Path, plain_pictures: None) -> None:
    paths = write_report(study, tmp_path / "new" / "report")
    assert sorted(path.name for path in paths) == sorted(OF_METHODS)
    assert sorted(path.name for path in (tmp_path / "new" / "report").iterdir()) == sorted(OF_METHODS)
    assert all(path.stat().st_size for path in paths)


def test_the_same_summary_gives_the_same_files(study: Summary, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_report(study, tmp_path / "first")]
    assert [path.read_bytes() for path in write_report(study, tmp_path / "second")] == first


def test_cells_are_written_the_same_each_time(tmp_path: Path) -> None:
    first = write_report(figure3(), tmp_path / "new" / "first")
    second = write_report(figure3(), tmp_path / "second")
    assert sorted(path.name for path in first) == sorted(OF_CELLS)
    assert sorted(path.name for path in first[0].parent.iterdir()) == sorted(OF_CELLS)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert all(path.stat().st_size for path in first)


@pytest.mark.parametrize("name", ["empty", "one number"])
def test_a_table_without_runs_is_written(name: str, tmp_path: Path) -> None:
    assert sorted(path.name for path in write_report(SHAPES[name](), tmp_path)) == sorted(OF_CELLS)


def test_methods_and_cells_are_written_together(study: Summary, tmp_path: Path) -> None:
    """Every section, file and address of the page once."""
    cells = figure3()
    both = study.replaced(cells=cells.cells, shown=cells.shown, claims=cells.claims, source=cells.source)
    names = [path.name for path in write_report(both, tmp_path)]
    assert sorted(names) == sorted({*OF_METHODS, *OF_CELLS})
    text = (tmp_path / "table.md").read_text()
    assert "| teacher |" in text
    assert "## Trained on Cars 196" in text
    assert text.count("numbers to measure") == 1
    page = (tmp_path / "report.html").read_text()
    ids = [part.partition('"')[0] for part in page.split(' id="')[1:]]
    assert {"results", "training", "table", "claims"} < set(ids)
    assert len(ids) == len(set(ids))
    assert page.count(study.notes[0].replace("&", "&amp;")) == 1


def test_without_several_k_there_are_no_curves_over_k(study: Summary, tmp_path: Path) -> None:
    """The primary metric names the figure of sizes."""
    few = {"recall@1", "map@r"}
    methods = []
    for method in study.methods:
        rows = tuple(
            row.model_copy(update={"metrics": {name: row.metrics[name] for name in few}}) for row in method.rows
        )
        kept = {name: interval for name, interval in method.metrics.items() if name in few}
        methods.append(replace(method, rows=rows, metrics=kept))
    names = [path.name for path in write_report(study.replaced(methods=tuple(methods), primary="map@r"), tmp_path)]
    assert sorted(names) == sorted({*OF_METHODS, "map_at_r.png"} - {name for name in OF_METHODS if "recall" in name})
    page = (tmp_path / "report.html").read_text()
    assert 'href="#recall"' not in page
    assert 'id="recall"' not in page
    assert "MAP@R and size" in page
    assert "Recall@1 minus" not in page


def test_rows_hold_every_run(study: Summary, tmp_path: Path, plain_pictures: None) -> None:
    write_report(study, tmp_path)
    text = (tmp_path / "rows.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    rows = {row.fingerprint: row for method in study.methods for row in method.rows}
    assert [line["fingerprint"] for line in lines] == [entry.fingerprint for entry in study.entries]
    assert [float(line["recall@1"]) for line in lines] == [
        rows[line["fingerprint"]].metrics["recall@1"] for line in lines
    ]


@pytest.mark.parametrize("kind", ["methods", "cells"])
def test_a_failure_leaves_the_old_report(
    study: Summary, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_pictures: None
) -> None:
    summary = study if kind == "methods" else figure3()
    before = {path: path.read_bytes() for path in write_report(summary, tmp_path)}

    def fail(_: Summary) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr(write, "files_of", lambda _: {"table.md": lambda _: "half", "report.html": fail})
    with pytest.raises(RuntimeError, match="no page"):
        write_report(summary, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
