"""Results of comparing two models: computed by the statistics, drawn by the report."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["beats", "not shown to differ", "loses", "no verdict"]


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
class Comparison:
    """Recall@1 of a student minus that of its teacher, on the same queries.

    Attributes:
        difference: Mean over seeds, in [-1, 1].
        over_queries: Interval over new test classes; without ends for a single class of queries.
        over_seeds: Interval over new training runs; without ends for a single seed.
        seeds: Number of paired runs that the verdict rests on.
        verdict: "beats" or "loses" where `p_adjusted` is low enough, on the difference's side of zero; "no verdict" for
            a single seed, which says nothing about new training runs, and for a single class of queries.
        p_over_queries: Of no difference over new test classes; below 0.05 where the 95 % interval excludes zero; None
            for a single class.
        p_over_seeds: Of no difference over new training runs; None for a single seed.
        p_adjusted: `p_value` corrected for the family of comparisons; unchanged for a family of 1, None where there is
            no verdict.
        family: Number of comparisons that were corrected together, this included.
    """

    difference: float
    over_queries: Interval
    over_seeds: Interval
    seeds: int
    verdict: Verdict
    p_over_queries: float | None
    p_over_seeds: float | None
    p_adjusted: float | None
    family: int = 1

    @property
    def p_value(self) -> float | None:
        """The larger of the two: a verdict needs both tests, so the weaker evidence counts; None without both."""
        if self.p_over_queries is None or self.p_over_seeds is None:
            return None
        return max(self.p_over_queries, self.p_over_seeds)

    @property
    def taken_back(self) -> bool:
        """Whether both intervals lie on the same side of zero, but the correction leaves no verdict."""
        sides = {self.over_queries.side, self.over_seeds.side}
        return self.verdict == "not shown to differ" and sides in ({1}, {-1})
