"""What the report of a printed table refuses: numbers that can't be, and answers without a question."""

import math
from collections import Counter
from collections.abc import Iterator
from statistics import fmean
from typing import get_args

from relbench.analysis.printed import Answer, Cell, Ours, PrintedSummary
from relbench.report.printed_words import RULES

SCALES = ("full", "toy")  # another word for toy would pass for real numbers


def refuse_impossible(summary: PrintedSummary) -> None:
    """Check a summary before anything is drawn.

    Raises:
        ValueError: no numbers, two at one place, one outside [0, 1], seeds and values that do not match, an interval
            that is not theirs, or an unknown scale, rule or answer; one line that names the place.
    """
    problem = next(_problems(summary), None)
    if problem:
        raise ValueError(f"no report of {summary.name!r}: {problem}; repair or rerun what it names")


def _problems(summary: PrintedSummary) -> Iterator[str]:
    yield from _setting_problems(summary)
    yield from _repeated(summary)
    for cell in summary.cells:
        for problem in _cell_problems(cell):
            yield f"the number at {cell.part} / {cell.row} / {cell.column} {problem}"
    for claim in summary.claims:
        if claim.answer not in get_args(Answer):
            yield f"the claim {claim.text!r} has the answer {claim.answer!r}, not one of {', '.join(get_args(Answer))}"


def _setting_problems(summary: PrintedSummary) -> Iterator[str]:
    if not summary.cells:
        yield "the table has no numbers"
    if summary.scale not in SCALES:
        yield f"the scale {summary.scale!r} must be one of {', '.join(SCALES)}"
    if not summary.shown or len(set(summary.shown)) < len(summary.shown):
        yield f"the rules of selection shown ({', '.join(summary.shown)}) must be one or more, each once"
    for unknown in sorted(set(summary.shown) - set(RULES)):
        yield f"the rule of selection {unknown!r} must be one of {', '.join(RULES)}"


def _repeated(summary: PrintedSummary) -> Iterator[str]:
    """A table has one number at a place: a second would hide the first."""
    counts = Counter((cell.part, cell.row, cell.column) for cell in summary.cells)
    for where, count in counts.items():
        if count > 1:
            yield f"there are {count} numbers at {' / '.join(where)}"


def _cell_problems(cell: Cell) -> Iterator[str]:
    if cell.printed is not None and not 0 <= cell.printed <= 1:
        yield f"is printed as {cell.printed}, which must be in [0, 1]"
    if (cell.ours or cell.note) and not cell.path:
        yield "has no network to train, but has runs or a note"
    for rule, ours in cell.ours.items():
        for problem in _ours_problems(ours):
            yield f"({rule}) {problem}"


def _ours_problems(ours: Ours) -> Iterator[str]:
    if not ours.values or not len(ours.values) == len(ours.seeds) == len(ours.steps):
        counts = f"{len(ours.values)} values, {len(ours.seeds)} seeds, {len(ours.steps)} steps"
        yield f"has {counts}; every seed needs one of each, and there must be at least one seed"
        return
    if len(set(ours.seeds)) < len(ours.seeds):
        yield f"has a seed twice: {', '.join(map(str, ours.seeds))}"
    wrong = [value for value in ours.values if not 0 <= value <= 1]
    if wrong:
        yield f"has the value {wrong[0]}, which must be in [0, 1]"
    elif not math.isclose(ours.interval.mean, fmean(ours.values), abs_tol=1e-9):
        yield f"has the mean {ours.interval.mean}, but its values' is {fmean(ours.values)}"
    yield from _interval_problems(ours)


def _interval_problems(ours: Ours) -> Iterator[str]:
    low, mean, high = ours.interval.low, ours.interval.mean, ours.interval.high
    if low is None or high is None:
        if len(ours.seeds) > 1 or low is not high:
            yield f"has {len(ours.seeds)} seeds, but an interval without bounds"
    elif len(ours.seeds) == 1:
        yield "has an interval from one seed, which allows none"
    elif not (math.isfinite(low) and math.isfinite(high) and low <= mean <= high):
        yield f"has the interval [{low}, {high}] around {mean}"
