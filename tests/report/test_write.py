"""All files, whole, the same each time."""

import csv
import io
from pathlib import Path

import pytest

from relbench.analysis.summary import Summary
from relbench.report import write, write_report

NAMES = [
    *("table.md", "table.csv", "pairs.csv", "table.tex", "recall_at_k.png", "recall_at_k.svg"),
    *("recall_at_1.png", "training.png", "rows.csv", "report.html"),
]


@pytest.fixture
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time spent on drawing, where the test is about the files."""
    for name in NAMES:
        if name.startswith(("recall", "training", "report")):
            monkeypatch.setitem(write.FILES, name, lambda _: b"drawn")


def test_it_writes_what_it_returns_and_nothing_else(study: Summary, tmp_path: Path, plain_pictures: None) -> None:
    paths = write_report(study, tmp_path / "new" / "report")
    assert [path.name for path in paths] == NAMES
    assert sorted(path.name for path in (tmp_path / "new" / "report").iterdir()) == sorted(NAMES)
    assert all(path.stat().st_size for path in paths)


def test_the_same_summary_gives_the_same_files(study: Summary, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_report(study, tmp_path / "first")]
    assert [path.read_bytes() for path in write_report(study, tmp_path / "second")] == first


def test_rows_hold_every_run(study: Summary, tmp_path: Path, plain_pictures: None) -> None:
    write_report(study, tmp_path)
    text = (tmp_path / "rows.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    rows = {row.fingerprint: row for method in study.methods for row in method.rows}
    assert [line["fingerprint"] for line in lines] == [entry.fingerprint for entry in study.entries]
    assert [float(line["recall@1"]) for line in lines] == [
        rows[line["fingerprint"]].metrics["recall@1"] for line in lines
    ]


def test_a_failure_leaves_the_old_report(
    study: Summary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_pictures: None
) -> None:
    before = {path: path.read_bytes() for path in write_report(study, tmp_path)}

    def fail(summary: Summary) -> str:
        raise RuntimeError("no page")

    monkeypatch.setitem(write.FILES, "report.html", fail)
    monkeypatch.setitem(write.FILES, "table.md", lambda _: "half")
    with pytest.raises(RuntimeError, match="no page"):
        write_report(study, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
