"""The table of all figures, and the command that prints it."""

import re

import pytest

from relbench.benchmarks import tables
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.section import measure


@pytest.fixture
def made_up(monkeypatch):
    """Three parts: one meets its target, one misses it, one breaks after its first figure."""

    def quick():
        yield Figure(name="loss", value=2.5, spread=(2.4, 2.6), target=2, bound="at least", why="a [why]")

    def slow():
        yield Figure(name="step", value=1.23, target=1.05)

    def broken():
        yield Figure(name="memory", value=12, unit="MB")
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(tables, "PARTS", {"quick": quick, "slow": slow, "broken": broken})


@pytest.mark.usefixtures("made_up")
def test_all_parts_in_one_table(call):
    done = call("bench")
    assert done.code == 1  # as a part failed
    for words in ("2.50 times", "2.40 to 2.60", "at least 2: met", "at most 1.05: MISSED", "12.00 MB"):
        assert words in done.out
    assert "RuntimeError: two lines" in done.out
    assert "loss: a [why]" in done.out
    assert "torch 2." in done.out
    assert "python 3." in done.out
    assert done.error.splitlines()[:2] == ["quick ...", "  loss: 2.50 times at least 2: met"]


@pytest.mark.usefixtures("made_up")
def test_a_single_part(call):
    done = call("bench", "slow")
    assert done.code == 0  # a missed target is no failure
    assert "1.05: MISSED" in done.out
    assert "2.50 times" not in done.out


def test_an_unknown_part(call):
    done = call("bench", "speed")
    assert done.code == 2
    assert done.error == (f"relbench: unknown benchmark 'speed': known are {', '.join(tables.PARTS)}, all and gpu\n")


@pytest.mark.usefixtures("made_up")
def test_figures_before_an_error_stay():
    told = []
    section = measure("broken", tables.PARTS["broken"], told.append)
    assert [figure.name for figure in section.figures] == ["memory"]
    assert section.error == "RuntimeError: two lines"
    assert 0 <= section.seconds < 1
    assert told == ["broken ...", "  memory: 12.00 MB", "  RuntimeError: two lines (0 s)"]


def test_the_help_names_every_part(call):
    said = call("bench", "--help").out
    assert [part for part in tables.PARTS if not re.search(rf"\b{part}\b", said)] == []
