"""Cells of a table in a summary: the published numbers, ours, and the answers to claims about them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal, get_args

from relbench.evaluation.comparison import Decision, Interval
from relbench.evaluation.power import Spread
from relbench.results.records import Selection

Answer = Literal["holds", "does not", "not shown"]


@dataclass(frozen=True)
class Ours:
    """Our values for a number, under one rule of selection."""

    values: tuple[float, ...]  # by seed, in [0, 1]
    seeds: tuple[int, ...]
    interval: Interval  # over seeds
    steps: tuple[int, ...]  # by seed: the step that the rule chose
    over_groups: float | None = None  # half of the interval over groups of trials, mean over seeds; None: not measured


@dataclass(frozen=True)
class FilledCell:
    """A number of the table: where it stands, what was published there, what we measured."""

    part: str
    row: str
    column: str
    metric: str
    path: str  # of our network, such as "cub200/rkd-da/64"; "" where the number is another paper's
    on: str  # the data set measured on, where it is not the one trained on
    published: float | None  # in [0, 1]; None: no such number was published
    ours: Mapping[Selection, Ours]  # without a rule where nothing is finished, or the rule can't be applied
    note: str = ""  # in what our network cannot be what the paper had
    doubt: str = ""  # why nobody may rely on the published number
    published_interval: float | None = None  # half of its 95 % interval, in [0, 1], where one was printed

    def difference(self, rule: Selection) -> float | None:
        """Ours minus the published number, where there are both."""
        if self.published is None or rule not in self.ours:
            return None
        return self.ours[rule].interval.mean - self.published


@dataclass(frozen=True)
class PairedDifference:
    """What a claim says is better minus what it says is worse, by the seeds that both have."""

    interval: Interval  # 95 %, of this comparison alone; without ends where chance is unknown
    seeds: int
    over_groups: bool  # over new training runs and new groups of the same trials at once; else over new runs alone
    p_value: float | None  # None where chance is unknown
    p_adjusted: float | None  # corrected for the family; the same without one
    family: int = 1  # comparisons that were corrected together, this included
    spread: Spread | None = None  # what the variance is made of; None where chance is unknown
    level: float = 1 - 0.95  # of the family's test, and of the interval, at the present seeds
    decision: Decision | None = None  # of seeds that are added until all is decided
    of_networks: Interval | None = None  # of a single seed: over new groups of trials, for the two networks at hand


@dataclass(frozen=True)
class AnsweredClaim:
    """A claim, and what our rows say to it."""

    text: str
    answer: Answer
    detail: str  # how many of the comparisons are as claimed
    difference: PairedDifference | None = None  # of a claim of a single comparison, where any seed has both
    family: str = ""  # of claims that are asked together; "": judged for itself
    comparisons: Mapping[str, PairedDifference] = field(
        default_factory=dict
    )  # all that any seed has, by what is compared


def cell_problems(cell: FilledCell) -> Iterator[str]:
    """Holes and impossible numbers in a cell."""
    if cell.published is not None and not 0 <= cell.published <= 1:
        yield f"is published as {cell.published}, which must be in [0, 1]"
    if cell.published_interval is not None and (cell.published is None or not 0 <= cell.published_interval <= 1):
        yield f"is published with an interval of {cell.published_interval}, which must be in [0, 1], and of a number"
    if cell.doubt and cell.published is None:
        yield "has a doubtful published number, but no such number"
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
    elif ours.over_groups is not None and not 0 <= ours.over_groups <= 1:
        yield f"has the interval ± {ours.over_groups} over groups of trials, which must be in [0, 1]"
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


def claim_problems(claim: AnsweredClaim) -> Iterator[str]:
    """An answer that no claim can have."""
    answers = get_args(Answer)
    if claim.answer not in answers:
        yield f"has the answer {claim.answer!r}, not one of {', '.join(answers)}"
    if claim.difference:
        yield from _difference_problems(claim.answer, claim.difference)


def _difference_problems(answer: Answer, difference: PairedDifference) -> Iterator[str]:
    alone, adjusted, mean = difference.p_value, difference.p_adjusted, difference.interval.mean
    if alone is None or adjusted is None:
        if alone is not adjusted or answer != "not shown":
            yield f"has the answer {answer!r} from a difference of unknown chance"
    elif not 0 <= alone <= adjusted <= 1:
        yield f"has impossible p-values: {alone}, corrected {adjusted}"
    if (answer == "holds" and mean <= 0) or (answer == "does not" and mean >= 0):
        yield f"has the answer {answer!r} with a difference of {mean}"
