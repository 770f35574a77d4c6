"""Estimates: means whose variance is known from one or two sources of chance, with their interval and test.

Source:
    Satterthwaite, An Approximate Distribution of Estimates of Variance Components, Biometrics Bulletin 2(6), 1946.
    Cochran, Approximate Significance Levels of the Behrens-Fisher Test, Biometrics 20(1), 1964.
"""

from dataclasses import dataclass
from math import exp, log

import numpy as np
from scipy.special import nctdtrinc, stdtr, stdtrit

from relbench.evaluation.comparison import Interval, VariancePart
from relbench.evaluation.knn.points import Floats

POWER = 0.8
_LEAST = 1e-300  # p-values below are none that a double holds to full precision


def variance_of_mean(values: Floats) -> VariancePart | None:
    """s^2 / n of n values, exactly zero where all are equal, as their computed mean may not be; None of one value."""
    count = len(values)
    if count == 1:
        return None
    spread = 0.0 if np.ptp(values) == 0 else float(values.var(ddof=1))
    return VariancePart(spread / count, count - 1)


@dataclass(frozen=True)
class Estimate:
    """A mean, and the parts of its variance.

    With parts v_i of f_i degrees of freedom, the variance is V = sum_i v_i. The ratio of the mean to sqrt(V) is held
    against Cochran's critical value, sum_i v_i t(f_i) / V, a mean of the parts' quantiles of Student's t. For a single
    part this is Student's test. For two, a test by Satterthwaite's degrees of freedom alone would be bolder: it errs
    most where the part with few degrees of freedom comes out small by chance (see `significance`).

    Attributes:
        mean: In the unit of the data.
        parts: None where the variance is unknown, as of a single value.
    """

    mean: float
    parts: tuple[VariancePart, ...] = ()

    @property
    def error(self) -> float:
        """Standard error of the mean: sqrt(V)."""
        return float(sum(part.variance for part in self.parts) ** 0.5)

    @property
    def freedom(self) -> float | None:
        """Satterthwaite's degrees of freedom of V: V^2 / sum_i (v_i^2 / f_i); None where V is unknown or zero."""
        if self.error == 0:
            return None
        return self.error**4 / sum(part.variance**2 / part.freedom for part in self.parts)

    def critical(self, level: float) -> float:
        """Cochran's critical value of |mean| / sqrt(V)."""
        whole = sum(part.variance for part in self.parts)
        if whole == 0:
            return 0.0
        return sum(part.variance * -float(stdtrit(part.freedom, level / 2)) for part in self.parts) / whole

    def interval(self, confidence: float) -> Interval:
        """Mean +- critical value x sqrt(V); without ends where V is unknown."""
        if not self.parts:
            return Interval(self.mean)
        reach = self.critical(1 - confidence) * self.error
        return Interval(self.mean, self.mean - reach, self.mean + reach)

    @property
    def p_value(self) -> float | None:
        """The level at which the two-sided test of zero is just passed; None where V is unknown.

        A V of zero says nothing of chance: nothing varies in what was seen. Without a difference p is 1 all the same.
        """
        if self.error == 0:
            return 1.0 if self.parts and self.mean == 0 else None
        ratio = abs(self.mean) / self.error
        alone = [2 * float(stdtr(part.freedom, -ratio)) for part in self.parts if part.variance]
        low, high = max(min(alone), _LEAST), max(alone)
        return high if low >= high else self._level_of(ratio, low, high)

    def _level_of(self, ratio: float, low: float, high: float) -> float:
        """The level between two others that a ratio is critical at."""
        from scipy.optimize import brentq  # noqa: PLC0415 - takes longer to load than all else here

        if self.critical(low) <= ratio:
            return low
        if self.critical(high) >= ratio:
            return high
        return exp(brentq(lambda power: self.critical(exp(power)) - ratio, log(low), log(high)))

    def detectable(self, level: float, power: float = POWER) -> float | None:
        """Smallest true mean that a two-sided test of a level shows with some probability, usually 0.8.

        The noncentrality of Student's t with `freedom` that exceeds the critical value with that probability, times
        sqrt(V): an estimate itself, as V is estimated. By simulation, the root of the mean of its squares is shown with
        probability 0.78 to 0.85; in four of five tables it is 0.2 to 1.6 times as large as that with three seeds, and
        0.6 to 1.4 times with ten (results/simulations/families.md). None where V is unknown or zero.
        """
        if self.freedom is None:
            return None
        return float(nctdtrinc(self.freedom, 1 - power, self.critical(level))) * self.error
