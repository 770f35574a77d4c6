"""Verdicts at looks: comparisons of a study whose seeds are added until every verdict is decided."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison, Decision, Interval, Verdict
from relbench.evaluation.estimate import Estimate
from relbench.evaluation.sequential import decisions, levels_of
from relbench.studies.record import UntilDecided

CONFIDENCE = 0.95


def judged_at_looks(rule: UntilDecided, compared: Callable[[Sequence[int]], list[Comparison]]) -> list[Comparison]:
    """A family's comparisons with the verdicts of the looks that were made.

    Each is that of the last of these looks, with p-values of all looks, and an interval and what is detectable at the
    level of the last.

    Args:
        rule: by which seeds are added.
        compared: returns the family's comparisons, from these seeds alone.

    Raises:
        ValueError: a row of a look that was made is gone; one line.
    """
    if not rule.made:
        return [_unseen(each) for each in compared(rule.seeds_now)]
    made = [_whole(compared(rule.seeds[:look]), look) for look in rule.looks[: rule.made]]
    estimates = [[Estimate(each.difference, each.parts) for each in look] for look in made]
    decided = decisions(rule.looks, estimates, rule.margin, CONFIDENCE)
    level = last_level(rule)
    return [_judged(each, decision, level, len(decided)) for each, decision in zip(made[-1], decided, strict=True)]


def last_level(rule: UntilDecided) -> float:
    """The level of the last look that was made."""
    return levels_of(rule.looks, 1 - CONFIDENCE)[rule.made - 1]


def _unseen(comparison: Comparison) -> Comparison:
    """Before the first look there is a difference, and nothing that is said of it."""
    return replace(
        comparison,
        verdict="no verdict",
        interval=Interval(comparison.difference),
        p_value=None,
        p_adjusted=None,
        detectable=None,
        decision=Decision(),
    )


def _whole(comparisons: list[Comparison], seeds: int) -> list[Comparison]:
    if any(each.seeds < seeds for each in comparisons):
        raise ValueError(
            f"verdicts were made with {seeds} seeds, and not all of their runs are there any more: run the command "
            "that made them again"
        )
    return comparisons


def _judged(comparison: Comparison, decision: Decision, level: float, family: int) -> Comparison:
    estimate = Estimate(comparison.difference, comparison.parts)
    words: dict[int, Verdict] = {1: "beats", -1: "loses", 0: "not shown to differ"}
    return replace(
        comparison,
        verdict="no verdict" if decision.p_adjusted is None else words[decision.side],
        interval=estimate.interval(1 - level),
        p_value=decision.p_value,
        p_adjusted=decision.p_adjusted,
        detectable=estimate.detectable(level / family),
        family=family,
        level=level,
        decision=decision,
    )


def decisions_of(summary: Summary) -> list[Decision]:
    """What became of every comparison of a study whose seeds are added; none of any other study."""
    found = [method.against_teacher.decision for method in summary.methods if method.against_teacher]
    found += [pair.comparison.decision for pair in summary.pairs]
    found += [difference.decision for claim in summary.claims for difference in claim.comparisons.values()]
    return [decision for decision in found if decision]
