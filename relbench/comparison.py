"""What a comparison of two models says: made by the statistics, drawn by the report."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["beats", "does not differ", "loses"]


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
        over_queries: What new test classes could give.
        over_seeds: What new training runs could give; without ends for a single seed.
        seeds: Number of paired runs.
        verdict: "beats" or "loses" if every interval there is lies on that side of zero.
    """

    difference: float
    over_queries: Interval
    over_seeds: Interval
    seeds: int
    verdict: Verdict
