"""All files, whole, the same each time."""

from pathlib import Path

import pytest
from printed_tables import SHAPES, figure3

from relbench.report import printed_write, write_printed

NAMES = ["table.md", "cells.csv", "floors.csv", "claims.csv", "table.tex", "cells.png", "report.html"]


def test_it_writes_what_it_returns_and_nothing_else_the_same_each_time(tmp_path: Path) -> None:
    first = write_printed(figure3(), tmp_path / "new" / "first")
    second = write_printed(figure3(), tmp_path / "second")
    assert [path.name for path in first] == NAMES
    assert sorted(path.name for path in first[0].parent.iterdir()) == sorted(NAMES)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert all(path.stat().st_size for path in first)


@pytest.mark.parametrize("name", ["empty", "one number"])
def test_a_table_without_runs_is_written(name: str, tmp_path: Path) -> None:
    assert [path.name for path in write_printed(SHAPES[name](), tmp_path)] == NAMES


def test_a_failure_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in write_printed(figure3(), tmp_path)}

    def fail(_: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setitem(printed_write.FILES, "report.html", fail)
    monkeypatch.setitem(printed_write.FILES, "table.md", lambda _: "half")
    with pytest.raises(RuntimeError, match="no page"):
        write_printed(figure3(), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
