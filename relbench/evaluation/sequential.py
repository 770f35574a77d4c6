"""Tests at several looks: seeds are added until every comparison is decided, and the false-positive rate is kept.

Looks are fixed beforehand, by their numbers of seeds n_1 < ... < n_K. Look k has its own level,

    alpha_k = alpha (n_k^1.5 - n_{k-1}^1.5) / n_K^1.5,    n_0 = 0,

which add up to alpha = 5 %: most is left for the last look, so that little power is lost there. At each look, the
comparisons that have not been shown yet are tested at that look's level, corrected by Holm's step-down for their
number; those that are closed otherwise, and those without a p-value, count among them.

Without any true difference in the family, a look shows one with probability alpha_k at most, so that all together do
with alpha at most, however the looks depend on each other (Bonferroni's inequality), as far as the test of a look keeps
its level (see `significance`). With m_0 comparisons without a true difference, at least m_0 are still open before the
first of these is shown, so that it passes a level of alpha_k / m_0: the rate is kept for families in which some
comparisons have a true difference, too, and those that are shown need not be counted any more. A comparison is decided

- as shown, where its corrected p is below the look's level;
- as within the margin, where its interval at the level alpha_k / m, of all m comparisons, lies within the margin on
  both sides of zero: all these intervals, of all comparisons at all looks, hold the truth together with probability
  1 - alpha or more, so that 5 % of families at most call a comparison so whose true difference is larger;
- as not shown, at the last look.

A p-value of all looks so far is the smallest of p_k alpha / alpha_k, as for weighted hypotheses: it is below alpha
where some look shows the comparison, and may be read like any other p. Likewise the interval of the last look that was
made, at the level alpha_k, holds the truth with probability 1 - alpha or more whenever one stops.

The levels are a choice: whatever adds up to alpha is valid. In simulations (results/simulations/sequential.md) those in
proportion to that power of seeds show nearly as much as 20 seeds that are fixed beforehand. Group-sequential boundaries
that use how looks depend on each other (Pocock; O'Brien and Fleming) are not exact for a test with two estimated parts
of its variance, of few degrees of freedom; what they would gain is small.

Source:
    Kim and DeMets, Design and Analysis of Group Sequential Tests Based on the Type I Error Spending Rate Function,
    Biometrika 74(1), 1987: the power family of spending functions.
    Jennison and Turnbull, Interim Analyses: The Repeated Confidence Interval Approach, JRSS B 51(3), 1989.
    Genovese, Roeder and Wasserman, False Discovery Control with p-Value Weighting, Biometrika 93(3), 2006: weights.
    Ye, Li, Liu and Yao, A Group Sequential Holm Procedure with Multiple Primary Endpoints, Statistics in Medicine
    32(7), 2013.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from relbench.evaluation.comparison import Decision, Outcome
from relbench.evaluation.estimate import Estimate
from relbench.evaluation.significance import chance_of, claimed_sides, holm_adjusted

LOOKS = (5, 8, 12, 20)  # numbers of seeds; each later look has about 1.6 times as many as the one before
GROWTH = 1.6
SPENT = 1.5  # power of the number of seeds by which the level is spent


def looks_up_to(most: int) -> tuple[int, ...]:
    """Numbers of seeds at which is looked: those of `LOOKS` and beyond, and the last.

    Raises:
        ValueError: fewer than the first look has.
    """
    if most < LOOKS[0]:
        raise ValueError(f"at most {most} seeds: the first look has {LOOKS[0]}, so allow as many or more")
    looks = list(LOOKS)
    while looks[-1] < most:
        looks.append(round(looks[-1] * GROWTH))
    return (*(look for look in looks if look < most), most)


def levels_of(looks: Sequence[int], level: float) -> tuple[float, ...]:
    """The level of each look; they add up to the whole.

    Args:
        looks: numbers of seeds, rising.
        level: of all looks together.
    """
    spent = [level * (look / looks[-1]) ** SPENT for look in (0, *looks)]
    return tuple(after - before for before, after in pairwise(spent))


def decisions(
    looks: Sequence[int], made: Sequence[Sequence[Estimate | None]], margin: float, confidence: float = 0.95
) -> list[Decision]:
    """What the looks so far decide of a family of comparisons.

    Args:
        looks: numbers of seeds at all looks, those to come among them.
        made: for each look that was made, the estimate of each comparison, from that look's seeds; None where there is
            none.
        margin: true differences that are no more than this are of no interest.
        confidence: of the family, over all looks.

    Raises:
        ValueError: no look was made, more than there are, or of unequal numbers of comparisons.
    """
    _check_looks(looks, made)
    found = [Decision() for _ in made[0]]
    for seeds, level, estimates in zip(looks, levels_of(looks, 1 - confidence), made, strict=False):
        found = _after_look(found, estimates, seeds, level, (1 - confidence) / level, margin)
    return [_at_the_end(each, made[-1][at], last=len(made) == len(looks)) for at, each in enumerate(found)]


def claim_decisions(
    looks: Sequence[int], made: Sequence[Sequence[Estimate | None]], margin: float, confidence: float = 0.95
) -> list[Decision]:
    """What the looks so far decide of a claim that all its differences lie above zero, see `claimed_sides`.

    The claim is decided as a whole: at the first look that shows all of them above zero, or one below; or where one
    lies within the margin, corrected for their number, so that the claim says nothing of interest.

    Args:
        looks: numbers of seeds at all looks, those to come among them.
        made: for each look that was made, the estimate of each difference.
        margin: see `decisions`.
        confidence: of the claim, over all looks.

    Raises:
        ValueError: see `decisions`.
    """
    _check_looks(looks, made)
    found = [Decision() for _ in made[0]]
    for seeds, level, estimates in zip(looks, levels_of(looks, 1 - confidence), made, strict=False):
        if any(each.outcome != "open" for each in found):
            break
        found = _claim_after_look(found, estimates, seeds, level, (1 - confidence) / level, margin)
    return [_at_the_end(each, made[-1][at], last=len(made) == len(looks)) for at, each in enumerate(found)]


def _check_looks(looks: Sequence[int], made: Sequence[Sequence[Estimate | None]]) -> None:
    if not 0 < len(made) <= len(looks) or len({len(estimates) for estimates in made}) > 1:
        raise ValueError(f"{len(made)} looks of {len(looks)}: pass the same comparisons for each look that was made")


def _at_the_end(decision: Decision, latest: Estimate | None, *, last: bool) -> Decision:
    if decision.side and latest and decision.side * latest.mean <= 0:
        return replace(decision, outcome="withdrawn", side=0)
    return replace(decision, outcome="not shown") if last and decision.outcome == "open" else decision


def _claim_after_look(
    before: Sequence[Decision],
    estimates: Sequence[Estimate | None],
    seeds: int,
    level: float,
    weight: float,
    margin: float,
) -> list[Decision]:
    """Decisions on the differences of a claim after one more look; arguments as of `_after_look`."""
    sides = claimed_sides(estimates, 1 - level)
    answered = -1 in sides or all(side == 1 for side in sides)
    inside = any(_lies_within(each, level / len(estimates), margin) for each in estimates)
    outcome: Outcome = "within the margin" if inside and not answered else "open"
    p_values = [_least(one.p_value, chance_of(each), weight) for one, each in zip(before, estimates, strict=True)]
    return [
        Decision("shown", side, seeds, p, p)
        if answered and side
        else Decision("not shown" if answered else outcome, 0, seeds, p, p)
        for side, p in zip(sides, p_values, strict=True)
    ]


def _after_look(
    before: Sequence[Decision],
    estimates: Sequence[Estimate | None],
    seeds: int,
    level: float,
    weight: float,
    margin: float,
) -> list[Decision]:
    """Decisions after one more look.

    Args:
        before: decisions so far.
        estimates: of this look.
        seeds: of this look.
        level: of this look.
        weight: by which its p-values count: the whole level divided by this look's.
        margin: see `decisions`.
    """
    unshown = [at for at, each in enumerate(before) if each.outcome != "shown"]
    p_values = {at: chance_of(estimates[at]) if before[at].outcome == "open" else None for at in unshown}
    adjusted = dict(zip(p_values, holm_adjusted(list(p_values.values())), strict=True))
    found = list(before)
    for at, estimate in enumerate(estimates):
        if before[at].outcome == "open":
            outcome = _outcome(estimate, adjusted[at], level, level / len(before), margin)
            found[at] = Decision(
                outcome,
                (1 if estimate.mean > 0 else -1) if estimate and outcome == "shown" else 0,
                seeds,
                _least(before[at].p_value, p_values[at], weight),
                _least(before[at].p_adjusted, adjusted[at], weight),
            )
    return found


def _outcome(
    estimate: Estimate | None, p_adjusted: float | None, level: float, of_each: float, margin: float
) -> Outcome:
    if p_adjusted is not None and p_adjusted < level:
        return "shown"
    return "within the margin" if _lies_within(estimate, of_each, margin) else "open"


def _lies_within(estimate: Estimate | None, level: float, margin: float) -> bool:
    """Whether the interval of a level lies within the margin on both sides of zero; not where chance is unknown."""
    if chance_of(estimate) is None or estimate is None:
        return False
    interval = estimate.interval(1 - level)
    return interval.low is not None and interval.high is not None and -margin < interval.low <= interval.high < margin


def _least(before: float | None, now: float | None, weight: float) -> float | None:
    """The smaller of two p-values, the later one weighted; no more than 1."""
    found = [each for each in (before, None if now is None else min(1.0, now * weight)) if each is not None]
    return min(found, default=None)
