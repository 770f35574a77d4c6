"""An impossible number of a printed table is refused in one line that names its place; nothing is written."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from printed_tables import ours, table1

from relbench.analysis.printed import AnsweredClaim, Cell, Ours, PrintedSummary
from relbench.evaluation.comparison import Interval
from relbench.report import write_printed
from relbench.report.printed_checking import refuse_impossible

GOOD = ours(0.5, 1, 3)
SINGLE = ours(0.5, 1, 1)


def with_cell(**values: object) -> Callable[[PrintedSummary], PrintedSummary]:
    """An edit of the second number, whose place is named."""

    def edit(summary: PrintedSummary) -> PrintedSummary:
        first, second, *others = summary.cells
        changed: Cell = replace(second, **values)  # type: ignore[arg-type]
        return replace(summary, cells=(first, changed, *others))

    return edit


def with_ours(runs: Ours) -> Callable[[PrintedSummary], PrintedSummary]:
    return with_cell(ours={"last": runs})


def with_settings(**values: object) -> Callable[[PrintedSummary], PrintedSummary]:
    return lambda summary: replace(summary, **values)  # type: ignore[arg-type]


PLACE = "CUB-200-2011 / ResNet18-16 / Baseline"
BAD = {
    "printed in percent": (with_cell(printed=37.71), f"{PLACE}.*printed as 37.71"),
    "printed is nan": (with_cell(printed=math.nan), f"{PLACE}.*printed as nan"),
    "value in percent": (with_ours(replace(GOOD, values=(0.5, 0.5, 50.0))), r"the value 50.0, .* in \[0, 1\]"),
    "value is nan": (with_ours(replace(GOOD, values=(math.nan, 0.5, 0.5))), "the value nan"),
    "fewer seeds": (with_ours(replace(GOOD, seeds=(0, 1))), "3 values, 2 seeds, 3 steps"),
    "fewer steps": (with_ours(replace(GOOD, steps=(1, 2))), "3 values, 3 seeds, 2 steps"),
    "no seeds": (with_ours(Ours((), (), Interval(0.5), ())), "0 values, 0 seeds, 0 steps"),
    "a seed twice": (with_ours(replace(GOOD, seeds=(0, 1, 1))), "a seed twice: 0, 1, 1"),
    "another's mean": (with_ours(replace(GOOD, interval=Interval(0.6, 0.5, 0.7))), "has the mean 0.6"),
    "nan's mean": (with_ours(replace(GOOD, interval=Interval(math.nan, 0.4, 0.6))), "has the mean nan"),
    "ends upside down": (
        with_ours(replace(GOOD, interval=replace(GOOD.interval, low=0.9, high=0.1))),
        r"has the interval \[0.9, 0.1\]",
    ),
    "end is infinite": (with_ours(replace(GOOD, interval=replace(GOOD.interval, high=math.inf))), "has the interval"),
    "no ends": (with_ours(replace(GOOD, interval=Interval(GOOD.interval.mean))), "an interval without bounds"),
    "one seed with ends": (
        with_ours(replace(SINGLE, interval=replace(SINGLE.interval, low=0.0, high=1.0))),
        "has an interval from one seed",
    ),
    "no network": (with_cell(path="", ours={"last": GOOD}), "has no network to train"),
    "a note without network": (with_cell(path="", note="?"), "has no network to train"),
    "a place twice": (
        lambda summary: replace(summary, cells=(*summary.cells, summary.cells[1])),
        f"there are 2 numbers at {PLACE}",
    ),
    "no numbers": (with_settings(cells=()), "the table has no numbers"),
    "unknown scale": (with_settings(scale="Toy"), "scale 'Toy' must be one of full, toy"),
    "no rule": (with_settings(shown=()), "rules of selection"),
    "a rule twice": (with_settings(shown=("last", "last")), "rules of selection"),
    "unknown rule": (with_settings(shown=("best",)), "'best' must be one of last, validation, test"),
    "unknown answer": (with_settings(claims=(AnsweredClaim("It is so.", "yes", ""),)), "the answer 'yes'"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("edit", "message"), BAD.values(), ids=BAD)
def test_it_is_refused_in_one_line_and_nothing_is_written(
    edit: Callable[[PrintedSummary], PrintedSummary], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        write_printed(edit(table1()), tmp_path / "report")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("no report of 'rkd-table1': ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("printed", "values"), [(0.0, (0.0, 0.0)), (1.0, (1.0, 1.0)), (None, (0.0, 1.0))])
def test_the_ends_of_what_can_be_are_possible(printed: float | None, values: tuple[float, float]) -> None:
    mean = sum(values) / 2
    runs = Ours(values, (0, 1), Interval(mean, mean, mean), (1, 1))
    refuse_impossible(with_cell(printed=printed, ours={"last": runs})(table1()))
