"""A measured number beside its target."""

from typing import Literal

from relbench.settings import Settings

Bound = Literal["at most", "at least"]


class Figure(Settings):
    """A measured number.

    Attributes:
        name: what was measured, and at which size.
        value: the median of several rounds, unless `why` says otherwise.
        unit: "times" of a ratio, "s", "MB", "%", "per s"; empty of a plain number.
        spread: the quartiles of the rounds; None where there was one measurement.
        target: what is asked for; None: nothing is, the number stands beside others.
        bound: whether the target is the largest or the smallest number that meets it.
        why: what the number can't say itself: how it was measured, or why it misses its target.
    """

    name: str
    value: float
    unit: str = "times"
    spread: tuple[float, float] | None = None
    target: float | None = None
    bound: Bound = "at most"
    why: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.bound == "at most" else self.value >= self.target

    @property
    def verdict(self) -> str:
        """The target and whether it is met, in words; empty without one."""
        if self.target is None:
            return ""
        return f"{self.bound} {self.target:,g}: {'met' if self.met else 'MISSED'}"

    @property
    def shown(self) -> str:
        """The number with its unit, in three digits or more."""
        return f"{in_digits(self.value)} {self.unit}".rstrip()

    @property
    def shown_spread(self) -> str:
        """The quartiles; empty without them."""
        return " to ".join(map(in_digits, self.spread)) if self.spread else ""


def in_digits(value: float) -> str:
    """A number in at least three digits, without an exponent: 0.00123, 1.23, 1,235."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    decimals = 2
    while value and abs(value) * 10**decimals < 100 and decimals < 8:
        decimals += 1
    return f"{value:.{decimals}f}"
