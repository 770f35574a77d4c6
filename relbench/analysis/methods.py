"""Lines of methods in a summary: each method's runs and metrics, its comparisons, and floors without training."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from relbench.evaluation.comparison import Comparison, Interval, Verdict
from relbench.results.records import Role, Row


@dataclass(frozen=True)
class Method:
    """One line of the table and one curve of the plots."""

    label: str
    role: Role
    rows: tuple[Row, ...]  # one per seed
    metrics: dict[str, Interval]  # over seeds, in the order of the columns
    against_teacher: Comparison | None  # None for the teacher itself

    @property
    def row(self) -> Row:
        """Any of the rows: what does not depend on the seed (settings, parameters)."""
        return self.rows[0]


@dataclass(frozen=True)
class Pair:
    """A method against another that is not the teacher: paired seeds, the same trials."""

    label: str
    other: str
    comparison: Comparison  # of `label` with `other`, where that says student and teacher


@dataclass(frozen=True)
class Floor:
    """A line of the table for what is reached without training; it makes no claim and gets no verdict."""

    label: str
    net: str  # as in the table; "" for none
    parameters: int
    seeds: int
    metrics: dict[str, Interval]  # over seeds; without ends where nothing depends on a seed
    how: str  # a sentence: how images become vectors


def method_problems(method: Method, expected: tuple[str, ...]) -> Iterator[str]:
    """Holes and impossible numbers in a method, which must have exactly the expected metrics."""
    if not method.rows:
        yield "has no runs"
    yield from other_metrics(method, expected)
    for metric, interval in method.metrics.items():
        if not (_finite(interval) and 0 <= interval.mean <= 1):
            yield f"has {metric} = {interval}, which must be finite and its mean in [0, 1]"
    yield from _run_problems(method, expected)
    if method.against_teacher:
        yield from comparison_problems(method.against_teacher)
    elif method.role != "teacher":
        yield "has no comparison with the teacher"


def other_metrics(line: Method | Floor, expected: tuple[str, ...]) -> Iterator[str]:
    """Metrics of a line that are not the teacher's."""
    if tuple(line.metrics) != expected:
        yield f"has the metrics {', '.join(line.metrics)}, the teacher {', '.join(expected)}"


def _run_problems(method: Method, expected: tuple[str, ...]) -> Iterator[str]:
    for row in method.rows:
        wrong = [metric for metric in expected if not 0 <= row.metrics.get(metric, math.nan) <= 1]
        if wrong:
            yield f"has a run, {row.fingerprint}, where {wrong[0]} is missing or not in [0, 1]"
        if not all(math.isfinite(value) for entry in row.history for value in entry.values()):
            yield f"has a run, {row.fingerprint}, with a number that is not finite in its training history"


def comparison_problems(comparison: Comparison) -> Iterator[str]:
    """Numbers that no comparison has, and verdicts that its numbers contradict."""
    verdicts = get_args(Verdict)
    intervals = comparison.interval, comparison.over_classes, comparison.over_seeds
    if not (math.isfinite(comparison.difference) and _finite(*intervals)):
        yield f"has a comparison that is not finite: {comparison}"
    if not _possible_p(comparison.p_value, comparison.p_adjusted):
        yield f"has impossible p-values: {comparison.p_value}, corrected {comparison.p_adjusted}"
    if comparison.seeds == 1 and comparison.verdict != "no verdict":
        yield f"has the verdict {comparison.verdict!r} from a single seed, which allows none"
    if comparison.verdict not in verdicts:
        yield f"has the verdict {comparison.verdict!r}, which must be one of {', '.join(verdicts)}"
    elif _contradicts(comparison):
        yield f"has the verdict {comparison.verdict!r} with a difference of {comparison.difference}"


def _possible_p(alone: float | None, adjusted: float | None) -> bool:
    """Whether both are there, and the correction makes p no smaller; or neither is, as for a single seed."""
    if alone is None or adjusted is None:
        return alone is adjusted
    return 0 <= alone <= adjusted <= 1


def _contradicts(comparison: Comparison) -> bool:
    """Whether the difference has the other sign than its verdict says."""
    sign = {"beats": 1, "loses": -1}.get(comparison.verdict, 0)
    return sign != 0 and sign * comparison.difference <= 0


def floor_problems(floor: Floor) -> Iterator[str]:
    """Impossible numbers in a floor."""
    if not all(_finite(interval) and 0 <= interval.mean <= 1 for interval in floor.metrics.values()):
        yield "has a metric that is not in [0, 1]"


def _finite(*intervals: Interval) -> bool:
    numbers = [number for interval in intervals for number in (interval.mean, interval.low, interval.high)]
    return all(math.isfinite(number) for number in numbers if number is not None)
