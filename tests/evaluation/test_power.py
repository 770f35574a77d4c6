"""What a number of seeds can show: against the definition in loops, the house's `detectable`, and simulation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relbench.evaluation import Counts, compare, holm, over_seeds_and_classes
from relbench.evaluation.comparison import VariancePart
from relbench.evaluation.estimate import Estimate
from relbench.evaluation.power import NUMBERS, Spread, pooled, power_at, seeds_needed

variances = st.floats(1e-6, 1e-2)


def spread(of_seeds=4e-4, of_groups=1e-5, seeds=5, groups=200, remaining=0.0):
    return Spread((VariancePart(of_seeds, seeds - 1), VariancePart(of_groups, groups - 1)), remaining)


def drawn(rng, seeds=4, classes=30, queries=12):
    groups, trials = tuple(map(str, range(classes))), (queries,) * classes
    return [
        Counts(groups=groups, trials=trials, correct=tuple(rng.binomial(queries, 0.5, classes).tolist()))
        for _ in range(seeds)
    ]


def of_comparison(found):
    return Spread(found.parts, found.remaining)


def test_the_parts_are_the_components_of_variance_in_loops():
    """Of one seed: s, c / C and r / C from the mean squares of the table of seeds by classes, all classes alike."""
    rng = np.random.default_rng(3)
    own, other = drawn(rng), drawn(rng)
    table = [[(a - b) / 12 for a, b in zip(x.correct, y.correct, strict=True)] for x, y in zip(own, other, strict=True)]
    seeds, classes = 4, 30
    mean = sum(map(sum, table)) / (seeds * classes)
    by_seed = [sum(row) / classes for row in table]
    by_class = [sum(row[at] for row in table) / seeds for at in range(classes)]
    of_seed = classes * sum((each - mean) ** 2 for each in by_seed) / (seeds - 1)
    of_class = seeds * sum((each - mean) ** 2 for each in by_class) / (classes - 1)
    rest = sum((table[s][c] - by_seed[s] - by_class[c] + mean) ** 2 for s in range(seeds) for c in range(classes)) / (
        (seeds - 1) * (classes - 1)
    )
    found = of_comparison(compare(own, other))
    below = min(rest, of_seed)
    assert (found.seeds, found.groups) == (4, 30)
    assert found.of_one_seed**2 == pytest.approx(of_seed / classes)
    assert found.between_seeds**2 == pytest.approx((of_seed - below) / classes)
    assert found.of_the_rest**2 == pytest.approx(below / classes)
    assert found.of_groups**2 == pytest.approx(max(of_class - below, 0) / (seeds * classes))


@pytest.mark.parametrize("family", [1, 4])
def test_with_the_present_seeds_it_is_what_the_table_calls_detectable(family):
    rng = np.random.default_rng(0)
    table = holm([compare(drawn(rng), drawn(rng)) for _ in range(family)])
    for found in table:
        assert of_comparison(found).with_seeds(found.seeds).detectable((1 - 0.95) / family) == found.detectable


@settings(max_examples=30)
@given(variances, variances, st.integers(2, 9), st.integers(3, 40))
def test_other_numbers_of_seeds_are_as_in_the_definition(of_seeds, of_groups, seeds, number):
    found = spread(of_seeds, of_groups, seeds).with_seeds(number)
    first, second = of_seeds * seeds / number, of_groups
    whole, level = first + second, 0.01
    critical = (first * stats.t.ppf(1 - level / 2, number - 1) + second * stats.t.ppf(1 - level / 2, 199)) / whole
    freedom = whole**2 / (first**2 / (number - 1) + second**2 / 199)
    least = found.detectable(level)
    assert stats.nct.sf(critical, freedom, least / whole**0.5) == pytest.approx(0.8, abs=1e-6)
    assert power_at(found, least, level) == pytest.approx(0.8, abs=1e-6)
    assert power_at(found, -least, level) == pytest.approx(0.8, abs=1e-6)


def test_the_number_needed_is_the_first_that_is_enough():
    for difference in (0.05, 0.03, 0.02):
        need = seeds_needed(spread(), difference, 0.05 / 4)
        assert spread().with_seeds(need.seeds).detectable(0.05 / 4) <= difference
        assert spread().with_seeds(need.seeds - 1).detectable(0.05 / 4) > difference
        assert need.fewest <= need.seeds <= (need.most or NUMBERS[-1])
    with_more = seeds_needed(spread(), 0.02, 0.05 / 4, power=0.9)
    assert with_more.seeds > need.seeds


def test_classes_alone_can_set_the_limit():
    """With c / C = 0.005^2, no difference below about 0.005 x (1.97 + 0.84) is ever shown."""
    found = spread(of_groups=0.005**2)
    need = seeds_needed(found, 0.01, 0.05)
    assert (need.seeds, need.fewest, need.most) == (None, None, None)
    assert need.leaves == pytest.approx(0.005 * (stats.t.ppf(0.975, 199) + stats.norm.ppf(0.8)), rel=0.01)
    many = seeds_needed(spread(of_seeds=1.0, of_groups=0.0), 0.01, 0.05)
    assert (many.seeds, many.leaves) == (None, None)  # more than are looked at, but not never


def test_few_groups_say_no_less_than_is_so():
    """Two groups: their critical value is so large that ten seeds may show what a thousand can't."""
    found = spread(of_seeds=1e-4, of_groups=1e-5, groups=2)
    least = [found.with_seeds(number).detectable(0.05) for number in (10, 1000)]
    assert least[0] < least[1]
    assert seeds_needed(found, least[0] * 1.001, 0.05).seeds <= 10


def test_over_seeds_alone_there_is_no_limit():
    found = Spread((VariancePart(1e-4, 4),))
    assert (found.groups, found.of_groups, seeds_needed(found, 0.01, 0.05).leaves) == (None, 0.0, None)
    assert found.with_seeds(5).detectable(0.05) == Estimate(0.0, found.parts).detectable(0.05)


def test_one_seed_plans_nothing():
    with pytest.raises(ValueError, match="plan with two or more"):
        spread().with_seeds(1)
    with pytest.raises(ValueError, match="two seeds or more"):
        pooled([])


def test_the_interval_of_a_variance_holds_it():
    """In 95 of 100, for three seeds, of which the deviation is known to a factor between 0.5 and 6.3."""
    low, high = spread(seeds=3).unsure()
    assert np.sqrt([low.parts[0].variance / 4e-4, high.parts[0].variance / 4e-4]) == pytest.approx(
        [0.52, 6.28], abs=0.01
    )
    values = np.random.default_rng(0).standard_normal((4000, 3))
    held = [
        low.parts[0].variance <= 1 / 3 <= high.parts[0].variance
        for low, high in (spread(of_seeds=v / 3, seeds=3).unsure() for v in values.var(axis=1, ddof=1))
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.01)


def test_pooling():
    one, other = spread(of_seeds=1e-4, of_groups=2e-5), spread(of_seeds=3e-4, of_groups=4e-5, remaining=1e-5)
    assert pooled([one, one]) == one
    found = pooled([one, other])
    assert [part.variance for part in found.parts] == pytest.approx([2e-4, 3e-5])
    assert found.remaining == pytest.approx(5e-6)
    fewer = pooled([spread(of_seeds=1e-4, seeds=5), spread(of_seeds=1e-4, seeds=10)])
    assert (fewer.seeds, fewer.parts[0].variance) == (5, pytest.approx(1.5e-4))
    assert pooled([replace(one, parts=one.parts[:1]), one]).groups == 200


@pytest.mark.parametrize("number", [4, 9])
def test_predicted_power_is_what_simulated_seeds_show(number):
    """Normal effects, planned from true variances: 0.78 to 0.85 for 0.8, give or take three standard errors (0.027)."""
    rng, count, classes = np.random.default_rng(number), 2000, 60
    of_seed, of_class, rest = 0.02**2, 0.004**2, 0.01**2
    plan = Spread((VariancePart((of_seed + rest) / 5, 4), VariancePart(of_class, classes - 1)), rest / 5)
    level = 0.05 / 4
    difference = plan.with_seeds(number).detectable(level)
    by_seed = difference + (of_seed + rest) ** 0.5 * rng.standard_normal((count, number))
    over_seeds = by_seed.var(axis=1, ddof=1) / number
    over_classes = (of_class + rest / number) * rng.chisquare(classes - 1, count) / (classes - 1)
    added = np.maximum(over_classes - np.minimum(rest / number, over_seeds), 0)
    mean = by_seed.mean(axis=1) + of_class**0.5 * rng.standard_normal(count)
    shown = [
        estimate.mean > estimate.critical(level) * estimate.error
        for estimate in (
            Estimate(m, (VariancePart(v, number - 1), VariancePart(a, classes - 1)))
            for m, v, a in zip(mean, over_seeds, added, strict=True)
        )
    ]
    assert 0.78 - 0.027 < np.mean(shown) < 0.85 + 0.027


def test_estimates_and_comparisons_have_the_same_rest():
    rng = np.random.default_rng(9)
    own, other = drawn(rng), drawn(rng)
    assert over_seeds_and_classes(own, other).remaining == compare(own, other).remaining > 0
