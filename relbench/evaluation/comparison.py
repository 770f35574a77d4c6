"""What a comparison of two models says: made by the statistics, drawn by the report."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["beats", "not shown to differ", "loses", "no verdict"]


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval.

    Attributes:
        mean: In the unit of the data.
        low: Lower end; None where a single value says nothing about spread.
        high: Upper end; None likewise.
    """

    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def side(self) -> int | None:
        """1 if it lies above zero, -1 if below, 0 if it holds zero; None without ends."""
        if self.low is None or self.high is None:
            return None
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Comparison:
    """Recall@1 of a student minus that of its teacher, on the same queries.

    Attributes:
        difference: Mean over seeds, in [-1, 1].
        over_queries: What new test classes could give; without ends for a single class of queries.
        over_seeds: What new training runs could give; without ends for a single seed.
        seeds: Number of paired runs that the verdict rests on.
        verdict: "beats" or "loses" where `p_adjusted` is low enough, on the difference's side of zero; "no verdict" for
            a single seed, which says nothing about new training runs, and for a single class of queries.
        p_over_queries: Of no difference over new test classes; below 0.05 where the 95 % interval leaves zero out;
            None for a single class.
        p_over_seeds: Of no difference over new training runs; None for a single seed.
        p_adjusted: `p_value` corrected for the comparisons that are made beside this one; the same where it is alone,
            None where there is no verdict.
        family: Number of comparisons that were corrected together, this one included.
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
        """Whether both intervals lie on one side of zero, and the correction leaves no verdict."""
        sides = {self.over_queries.side, self.over_seeds.side}
        return self.verdict == "not shown to differ" and sides in ({1}, {-1})
