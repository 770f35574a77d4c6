"""Planning of comparisons: what a number of seeds can show, and how many seeds a difference needs.

The variance of a paired difference over S seeds and C groups of trials (test classes, episodes) has two parts, see
`crossed`: MS_seed / (S C) = (s + r / C) / S, of S - 1 degrees of freedom, and c / C, of C - 1, where s, c and r are the
variances between seeds, between groups, and of the rest (their interaction, and the chance of single queries). Of n
seeds, on as many groups of the same kind, the first is S / n times as large, with n - 1 degrees of freedom; the second
stays as it is: no number of seeds makes it smaller.

    v_seeds(n) = v_seeds(S) S / n,    v_groups(n) = v_groups(S)

What n seeds can show is then `Estimate.detectable` of these parts: the noncentrality of Student's t, with
Satterthwaite's degrees of freedom, that exceeds Cochran's critical value with probability 0.8. For n = S it is what the
table calls detectable. As the variances are estimates, so is all that follows from them: `Spread.unsure` has the
interval of the one that few seeds leave least known.

Source:
    Cohen, Statistical Power Analysis for the Behavioral Sciences, 2nd edition 1988, chapter 2: the noncentral t.
    Brennan, Generalizability Theory, 2001, chapter 4: projecting the variance of a crossed mean to other numbers (a
    decision study).
    Snedecor and Cochran, Statistical Methods, 8th edition 1989, section 5.11: the interval of a variance.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from scipy.special import chdtri, nctdtr

from relbench.evaluation.comparison import VariancePart
from relbench.evaluation.estimate import POWER, Estimate

MOST = 1000  # seeds: who needs more needs another question
NUMBERS = (*range(2, 101), *range(110, MOST + 1, 10))  # of seeds that are looked at
FEW_GROUPS = 30  # up to here the groups' critical value may outweigh that of seeds so far that fewer seeds show more


@dataclass(frozen=True)
class Spread:
    """What the variance of a paired difference is made of, as found with some seeds.

    Attributes:
        parts: of the variance of the difference: over seeds, and, where that is known, what groups add.
        remaining: the part of the first that is not the seeds' own: r / (S C).
    """

    parts: tuple[VariancePart, ...]
    remaining: float = 0.0

    @property
    def seeds(self) -> int:
        """With which it was found."""
        return self.parts[0].freedom + 1

    @property
    def groups(self) -> int | None:
        """Of trials, such as test classes; None where the difference is known over seeds alone."""
        return self.parts[1].freedom + 1 if len(self.parts) > 1 else None

    @property
    def of_one_seed(self) -> float:
        """Standard deviation of the difference over seeds, for the groups at hand: sqrt(s + r / C)."""
        return float((self.parts[0].variance * self.seeds) ** 0.5)

    @property
    def between_seeds(self) -> float:
        """The seeds' own part of that: sqrt(s)."""
        return float((max(self.parts[0].variance - self.remaining, 0) * self.seeds) ** 0.5)

    @property
    def of_the_rest(self) -> float:
        """What is left of it: sqrt(r / C)."""
        return float((self.remaining * self.seeds) ** 0.5)

    @property
    def of_groups(self) -> float:
        """Standard deviation of the difference over groups, which no number of seeds makes smaller: sqrt(c / C)."""
        return float(sum(part.variance for part in self.parts[1:]) ** 0.5)

    def with_seeds(self, number: int) -> Estimate:
        """A difference of zero with as many seeds, on as many groups.

        Raises:
            ValueError: fewer than two seeds, which have no variance.
        """
        if number < 2:
            raise ValueError(f"{number} seed(s) say nothing about new training runs: plan with two or more")
        first, *others = self.parts
        return Estimate(0.0, (VariancePart(first.variance * (self.seeds / number), number - 1), *others))

    def without_seeds(self) -> Estimate:
        """A difference of zero that groups alone make uncertain, as if of infinitely many seeds."""
        return Estimate(0.0, self.parts[1:])

    def scaled(self, factor: float) -> "Spread":
        """With another variance over seeds."""
        first, *others = self.parts
        return Spread((replace(first, variance=first.variance * factor), *others), self.remaining * factor)

    def unsure(self, confidence: float = 0.95) -> tuple["Spread", "Spread"]:
        """With the variance over seeds at either end of its interval, f v / chi2(f): exact where seeds are normal."""
        freedom, tail = self.parts[0].freedom, (1 - confidence) / 2
        low, high = (freedom / float(chdtri(freedom, upper)) for upper in (tail, 1 - tail))
        return self.scaled(low), self.scaled(high)


def pooled(spreads: Sequence[Spread]) -> Spread:
    """The mean of several variances, part by part: what a comparison of such a family has on average.

    It is known no better than each: comparisons share their teacher, and need not vary alike. Of unequal numbers of
    seeds or groups, the smallest counts.

    Raises:
        ValueError: there are none.
    """
    if not spreads:
        raise ValueError("no variances to pool: a comparison needs two seeds or more")
    seeds = min(spread.seeds for spread in spreads)
    first = [spread.parts[0].variance * spread.seeds / seeds for spread in spreads]
    rest = [spread.remaining * spread.seeds / seeds for spread in spreads]
    others = [spread.parts[1] for spread in spreads if len(spread.parts) > 1]
    parts = [VariancePart(sum(first) / len(first), seeds - 1)]
    if others:
        freedom = min(part.freedom for part in others)
        parts.append(VariancePart(sum(part.variance for part in others) / len(others), freedom))
    return Spread(tuple(parts), sum(rest) / len(rest))


def power_at(estimate: Estimate, difference: float, level: float) -> float | None:
    """Probability that a two-sided test shows a true difference, on its side; None where the variance is unknown.

    The noncentral t that `Estimate.detectable` inverts.
    """
    if estimate.freedom is None:
        return None
    beyond = estimate.critical(level)
    return float(1 - nctdtr(estimate.freedom, abs(difference) / estimate.error, beyond))


@dataclass(frozen=True)
class Need:
    """How many seeds show a true difference.

    Attributes:
        difference: in the unit of the data.
        seeds: the fewest; above 100, in tens; None: more than a thousand, or no number.
        fewest: as many if the variance over seeds is at the lower end of its 95 % interval.
        most: likewise, at the upper end.
        leaves: what groups alone leave undetectable where that is more than the difference: no number of seeds is
            enough; else None.
    """

    difference: float
    seeds: int | None
    fewest: int | None
    most: int | None
    leaves: float | None = None


@lru_cache(maxsize=10_000)  # the documents of a report ask for the same
def seeds_needed(spread: Spread, difference: float, level: float, power: float = POWER) -> Need:
    """How many seeds show a true difference in a two-sided test of a level, with some probability."""
    low, high = spread.unsure()
    fewest, seeds, most = (_fewest(each, difference, level, power) for each in (low, spread, high))
    leaves = _left(spread, level, power) if seeds is None else 0.0
    return Need(difference, seeds, fewest, most, leaves if leaves > difference else None)


def _fewest(spread: Spread, difference: float, level: float, power: float) -> int | None:
    """The first of `NUMBERS` with which what is detectable is no more than the difference."""

    def above(number: int) -> bool:
        least = spread.with_seeds(number).detectable(level, power)
        return least is None or least > difference

    if spread.groups is not None and spread.groups <= FEW_GROUPS:
        return next((number for number in NUMBERS if not above(number)), None)
    at = bisect_left(NUMBERS, 1, key=lambda number: int(not above(number)))  # more seeds show more
    return NUMBERS[at] if at < len(NUMBERS) else None


def _left(spread: Spread, level: float, power: float) -> float:
    """What stays undetectable with infinitely many seeds."""
    return spread.without_seeds().detectable(level, power) or 0.0
