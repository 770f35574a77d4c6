import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from relbench.evaluation.comparison import Interval, VariancePart
from relbench.evaluation.estimate import Estimate

variances = st.floats(1e-6, 1.0)
freedoms = st.integers(1, 2000)


def two_parts(mean, first, second, few, many):
    return Estimate(mean, (VariancePart(first, few), VariancePart(second, many)))


def test_a_single_part_is_students_test():
    values = np.array([0.5, 1.0, 2.5, 0.1])
    found = Estimate(values.mean(), (VariancePart(values.var(ddof=1) / 4, 3),))
    wanted = stats.ttest_1samp(values, 0)
    assert found.p_value == pytest.approx(wanted.pvalue)
    interval = wanted.confidence_interval(0.9)
    assert (found.interval(0.9).low, found.interval(0.9).high) == pytest.approx((interval.low, interval.high))
    assert found.freedom == pytest.approx(3)


def test_two_parts_by_hand():
    """Variances 3 and 1: error 2; critical at 5 %: (3 t(2) + t(20)) / 4 = (3 x 4.30265 + 2.08596) / 4 = 3.74848."""
    found = two_parts(5.0, 3.0, 1.0, 2, 20)
    assert found.error == 2
    assert (found.interval(0.95).low, found.interval(0.95).high) == pytest.approx((-2.49696, 12.49696), abs=1e-5)
    assert found.freedom == pytest.approx(16 / (9 / 2 + 1 / 20))
    assert two_parts(2 * 3.748478, 3.0, 1.0, 2, 20).p_value == pytest.approx(0.05, abs=1e-6)


@given(variances, variances, freedoms, freedoms, st.floats(1e-4, 0.9))
def test_p_is_the_level_of_the_interval_that_ends_at_zero(first, second, few, many, level):
    reach = two_parts(0.0, first, second, few, many).interval(1 - level).high
    for sign in (1, -1):
        assert two_parts(sign * reach, first, second, few, many).p_value == pytest.approx(level, rel=1e-6)


@given(variances, variances, freedoms, freedoms, st.floats(0, 1e6))
def test_p_is_a_probability_and_between_those_of_the_parts(first, second, few, many, mean):
    found = two_parts(mean, first, second, few, many)
    alone = [2 * stats.t.sf(mean / found.error, freedom) for freedom in (few, many)]
    assert min(alone) * (1 - 1e-6) <= found.p_value <= max(alone) * (1 + 1e-6) <= 1 + 1e-6


def test_a_part_of_zero_has_no_say():
    assert two_parts(1.0, 1.0, 0.0, 4, 50).p_value == pytest.approx(2 * stats.t.sf(1, 4))
    assert two_parts(1.0, 0.0, 1.0, 4, 50).p_value == pytest.approx(2 * stats.t.sf(1, 50))


def test_what_is_unknown_or_without_spread():
    unknown = Estimate(0.5)
    assert (unknown.interval(0.95), unknown.p_value, unknown.freedom) == (Interval(0.5), None, None)
    assert unknown.detectable(0.05) is None
    for mean, p in ((0.0, 1.0), (0.1, None)):
        fixed = two_parts(mean, 0.0, 0.0, 2, 20)
        assert (fixed.p_value, fixed.freedom, fixed.detectable(0.05)) == (p, None, None)
        assert fixed.interval(0.95) == Interval(mean, mean, mean)


@pytest.mark.parametrize(("freedom", "level"), [(2, 0.05), (6, 0.05), (6, 0.0125), (19, 0.05)])
def test_a_true_mean_of_what_is_detectable_is_shown_in_four_of_five(freedom, level):
    """By Student's test, of a mean with unit variance."""
    true = Estimate(0.0, (VariancePart(1.0, freedom),)).detectable(level)
    rng = np.random.default_rng(0)
    ratios = (rng.standard_normal(20_000) + true) / np.sqrt(rng.chisquare(freedom, 20_000) / freedom)
    shown = np.abs(ratios) > stats.t.ppf(1 - level / 2, freedom)
    assert shown.mean() == pytest.approx(0.8, abs=0.015)
