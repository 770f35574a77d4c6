"""What a report refuses: a hole or an impossible number in a summary must not become an empty cell."""

import math
from collections.abc import Iterator

from relbench.analysis.summary import Method, Summary
from relbench.evaluation.comparison import Comparison, Interval
from relbench.report.wording import MAIN, VERDICTS, all_rows


def refuse_incomplete(summary: Summary) -> None:
    """Check a summary before anything is drawn.

    Raises:
        ValueError: the first method is no teacher, a run or a metric is missing, a number is not finite or not a
            fraction, or a verdict contradicts its difference; one line that names the method.
    """
    problem = next(_problems(summary), None)
    if problem:
        raise ValueError(f"no report of {summary.plan.study!r}: {problem}; repair or rerun what it names")


def _problems(summary: Summary) -> Iterator[str]:
    if not summary.methods or summary.methods[0].role != "teacher":
        yield "the first method must be the teacher"
        return
    expected = tuple(summary.methods[0].metrics)
    if MAIN not in expected:
        yield f"the teacher has no {MAIN}"
    for method in summary.methods:
        for problem in _method_problems(method, expected):
            yield f"method {method.label!r} {problem}"
    yield from _pair_problems(summary)
    yield from _floor_problems(summary, expected)
    missing = {entry.fingerprint for entry in summary.plan.entries} - {row.fingerprint for row in all_rows(summary)}
    if missing:
        yield f"the plan's run {min(missing)} has no row"


def _method_problems(method: Method, expected: tuple[str, ...]) -> Iterator[str]:
    if not method.rows:
        yield "has no runs"
    if tuple(method.metrics) != expected:
        yield f"has the metrics {', '.join(method.metrics)}, the teacher {', '.join(expected)}"
    for metric, interval in method.metrics.items():
        if not (_finite(interval) and 0 <= interval.mean <= 1):
            yield f"has {metric} = {interval}, which must be finite and its mean in [0, 1]"
    yield from _run_problems(method, expected)
    if method.against_teacher:
        yield from _comparison_problems(method.against_teacher)
    elif method.role != "teacher":
        yield "has no comparison with the teacher"


def _run_problems(method: Method, expected: tuple[str, ...]) -> Iterator[str]:
    for row in method.rows:
        wrong = [metric for metric in expected if not 0 <= row.metrics.get(metric, math.nan) <= 1]
        if wrong:
            yield f"has a run, {row.fingerprint}, where {wrong[0]} is missing or not in [0, 1]"
        if not all(math.isfinite(value) for entry in row.history for value in entry.values()):
            yield f"has a run, {row.fingerprint}, with a number that is not finite in its training history"


def _pair_problems(summary: Summary) -> Iterator[str]:
    for pair in summary.pairs:
        for problem in _comparison_problems(pair.comparison):
            yield f"pair {pair.label!r} against {pair.other!r} {problem}"


def _floor_problems(summary: Summary, expected: tuple[str, ...]) -> Iterator[str]:
    for floor in summary.floors:
        if tuple(floor.metrics) != expected:
            yield f"floor {floor.label!r} has the metrics {', '.join(floor.metrics)}, the teacher {', '.join(expected)}"
        if not all(_finite(one) and 0 <= one.mean <= 1 for one in floor.metrics.values()):
            yield f"floor {floor.label!r} has a metric that is not in [0, 1]"


def _comparison_problems(comparison: Comparison) -> Iterator[str]:
    if not (math.isfinite(comparison.difference) and _finite(comparison.over_queries, comparison.over_seeds)):
        yield f"has a comparison that is not finite: {comparison}"
    if not _possible_p(comparison.p_value, comparison.p_adjusted):
        yield f"has impossible p-values: {comparison.p_value}, corrected {comparison.p_adjusted}"
    if comparison.seeds == 1 and comparison.verdict != "no verdict":
        yield f"has the verdict {comparison.verdict!r} from a single seed, which allows none"
    if comparison.verdict not in VERDICTS:
        yield f"has the verdict {comparison.verdict!r}, which must be one of {', '.join(VERDICTS)}"
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


def _finite(*intervals: Interval) -> bool:
    numbers = [number for interval in intervals for number in (interval.mean, interval.low, interval.high)]
    return all(math.isfinite(number) for number in numbers if number is not None)
