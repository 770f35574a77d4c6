"""Results of comparing two models: computed by the statistics, drawn by the report."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["beats", "not shown to differ", "loses", "no verdict"]
Outcome = Literal["shown", "within the margin", "not shown", "open", "withdrawn"]


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval.

    Attributes:
        mean: In the unit of the data.
        low: Lower end; None for a single value, which has no spread.
        high: Upper end; likewise.
    """

    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def side(self) -> int | None:
        """1 if it lies above zero, -1 if below, 0 if it contains zero; None without ends."""
        if self.low is None or self.high is None:
            return None
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class VariancePart:
    """A part of the variance of a mean, and how surely it is known.

    Attributes:
        variance: Estimated, in the square of the data's unit.
        freedom: Degrees of freedom of that estimate.
    """

    variance: float
    freedom: int


@dataclass(frozen=True)
class Decision:
    """What became of a comparison whose seeds were added until it was decided, see `sequential`.

    Attributes:
        outcome: "open" where there are looks to come; "withdrawn" where a difference that was shown lies on the other
            side of zero at the last look that was made, which takes its verdict away.
        side: of zero, on which the difference was shown; 0 where it was not.
        seeds: of the look that decided, or of the last one that was made.
        p_value: of the comparison alone, over all looks that it was open at; None where chance is unknown.
        p_adjusted: likewise, corrected for the family; below the whole level where the comparison is shown.
    """

    outcome: Outcome = "open"
    side: int = 0
    seeds: int = 0
    p_value: float | None = None
    p_adjusted: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The primary metric of a student minus that of its teacher, on the same trials.

    Attributes:
        difference: Mean over seeds, in [-1, 1].
        interval: Over new training runs and new test classes at once; without ends for a single seed or class.
        over_classes: Interval over new test classes alone; without ends for a single class.
        over_seeds: Interval over new training runs alone; without ends for a single seed.
        seeds: Number of paired runs that the verdict rests on.
        verdict: "beats" or "loses" where `p_adjusted` is low enough, on the difference's side of zero; "no verdict" for
            a single seed, which says nothing about new training runs, for a single class, and where nothing varies.
        p_value: Of no difference over new runs and classes; below 0.05 where the 95 % interval excludes zero; None for
            a single seed or class, and where the difference is the same in all of them.
        p_over_classes: Of no difference over new test classes; None for a single class, and where it is alike in all.
        p_over_seeds: Of no difference over new training runs; None for a single seed, and where it is the same in all.
        p_adjusted: `p_value` corrected for the family of comparisons; unchanged for a family of 1, None where there is
            no verdict.
        parts: Of the variance of the difference: over runs, and what classes add; none for a single seed or class.
        remaining: Of the first part, what is not the runs' own: their interaction with classes, and single queries.
        freedom: Degrees of freedom of the whole variance (Satterthwaite); None where it is unknown or zero.
        detectable: Smallest true difference that would be shown with probability 0.8, after the family's correction;
            None where the variance is unknown or zero.
        family: Number of comparisons that were corrected together, this included.
        level: Of the family's test at the present seeds: what is detectable, and the interval, are so at this level.
        decision: Of seeds that are added until all is decided, what became of it: p-values are then of all looks.
    """

    difference: float
    interval: Interval
    over_classes: Interval
    over_seeds: Interval
    seeds: int
    verdict: Verdict
    p_value: float | None
    p_over_classes: float | None
    p_over_seeds: float | None
    p_adjusted: float | None
    parts: tuple[VariancePart, ...] = ()
    remaining: float = 0.0
    freedom: float | None = None
    detectable: float | None = None
    family: int = 1
    level: float = 1 - 0.95
    decision: Decision | None = None

    @property
    def error(self) -> float | None:
        """Standard error of the difference over new runs and classes; None for a single seed or class."""
        return float(sum(part.variance for part in self.parts) ** 0.5) if self.parts else None

    @property
    def taken_back(self) -> bool:
        """Whether the interval excludes zero, but the correction leaves no verdict."""
        return self.verdict == "not shown to differ" and self.interval.side in (1, -1)
