"""Variances of a difference over seeds and classes, against the definitions as plain loops and against resampling."""

import numpy as np
import pytest

from relbench.evaluation.crossed import crossed_estimates
from relbench.evaluation.estimate import variance_of_mean


def drawn(rng, seeds, classes, *, seed_sd=1.0, class_sd=1.0):
    size = rng.integers(2, 13, classes)
    expected = rng.standard_normal((seeds, 1)) * seed_sd + rng.standard_normal(classes) * class_sd
    return np.round(size / 12 * (expected + rng.standard_normal((seeds, classes)))), size


def mean_squares(gain, size):
    """Cell by cell."""
    seeds, classes = gain.shape
    difference = sum(map(sum, gain.tolist())) / (seeds * sum(size.tolist()))
    cell = [
        [(gain[s, c] - difference * size[c]) * (classes - 1) / (sum(size.tolist()) - size[c]) for c in range(classes)]
        for s in range(seeds)
    ]
    of_seed = [sum(row) / classes for row in cell]
    of_class = [sum(row[c] for row in cell) / seeds for c in range(classes)]
    middle = sum(of_class) / classes
    recall_gains = [sum(row) / sum(size.tolist()) for row in gain.tolist()]
    seed = classes * sum((each - difference) ** 2 for each in recall_gains) / (seeds - 1)
    klass = seeds * sum((each - middle) ** 2 for each in of_class) / (classes - 1)
    rest = sum((cell[s][c] - of_seed[s] - of_class[c] + middle) ** 2 for s in range(seeds) for c in range(classes)) / (
        (seeds - 1) * (classes - 1)
    )
    return difference, *(square / (seeds * classes) for square in (seed, klass, rest))


def test_a_textbook_example():
    """Sums of two measurements of twenty parts, here classes of two queries, by three operators, here seeds.

    Montgomery, Design and Analysis of Experiments, 8th edition 2012, example 13.1 (two random factors, crossed). Its
    analysis of variance has mean squares of 1.308 (operators), 62.391 (parts) and 0.712 (interaction), twice those of
    the measurements' means.
    """
    gain = [
        [41, 47, 41, 54, 37, 44, 43, 36, 47, 48, 41, 37, 48, 48, 59, 52, 40, 40, 51, 38],
        [40, 48, 40, 54, 37, 45, 46, 38, 48, 51, 40, 36, 50, 48, 58, 51, 39, 38, 49, 35],
        [40, 47, 42, 55, 39, 45, 42, 37, 48, 49, 41, 37, 50, 49, 61, 52, 40, 44, 50, 36],
    ]
    found = crossed_estimates(np.array(gain), np.full(20, 2))
    assert found.over_both.mean == pytest.approx(2687 / 120)
    assert 2 * 60 * found.over_seeds.error**2 == pytest.approx(1.308, abs=5e-4)
    assert 2 * 60 * found.over_classes.error**2 == pytest.approx(62.391, abs=5e-4)
    assert 2 * 60 * found.over_both.error**2 == pytest.approx(1.308 + 62.391 - 0.712, abs=1.5e-3)


def test_the_variance_over_classes_is_that_of_leaving_each_out():
    """The jackknife by its definition: the ratio without a class, for classes of very different sizes."""
    rng = np.random.default_rng(5)
    size = rng.integers(1, 100, 20)
    gain = np.round(size * rng.normal(0.1, 0.3, (4, 20)))
    left = [np.delete(gain, at, axis=1).sum() / (4 * np.delete(size, at).sum()) for at in range(20)]
    found = crossed_estimates(gain, size)
    assert found.over_classes.error**2 == pytest.approx(19 / 20 * np.square(left - np.mean(left)).sum())


def shown(found):
    return [
        (each.mean, *((part.variance, part.freedom) for part in each.parts))
        for each in (found.over_seeds, found.over_classes, found.over_both)
    ]


def assert_alike(found, other):
    for first, second in zip(shown(found), shown(other), strict=True):
        assert np.hstack(first) == pytest.approx(np.hstack(second))


@pytest.mark.parametrize("seeds", [2, 5])
def test_what_the_estimates_do_not_depend_on(seeds):
    """The order of seeds and of classes; how often all queries are asked; and which model is called the student."""
    rng = np.random.default_rng(6)
    gain, size = drawn(rng, seeds, 30)
    found = crossed_estimates(gain, size)
    order = rng.permutation(30)
    assert_alike(crossed_estimates(gain[::-1][:, order], size[order]), found)
    assert_alike(crossed_estimates(3 * gain, 3 * size), found)
    turned = crossed_estimates(-gain, size).over_both
    assert (turned.mean, turned.parts) == (-found.over_both.mean, found.over_both.parts)
    assert turned.p_value == found.over_both.p_value


def test_what_differs_over_one_factor_alone_leaves_the_other_no_say():
    """Seeds that all gain alike, class by class; and classes that all gain alike, seed by seed."""
    of_class, of_seed = np.arange(10.0), np.array([1.0, 2.0, 4.0])
    alike = crossed_estimates(np.tile(of_class, (3, 1)), np.full(10, 12)).over_both
    assert [part.variance for part in alike.parts] == pytest.approx([0, np.var(of_class / 12, ddof=1) / 10])
    alike = crossed_estimates(np.tile(of_seed[:, None], 10), np.full(10, 12)).over_both
    assert [part.variance for part in alike.parts] == pytest.approx([np.var(of_seed / 12, ddof=1) / 3, 0])


@pytest.mark.parametrize("count", [2, 3, 7, 10])
def test_equal_values_have_no_variance_at_all(count):
    """Not what the rounding of their mean leaves: 0.1 three times has a mean of 0.10000000000000002."""
    assert variance_of_mean(np.full(count, 0.1)).variance == 0


@pytest.mark.parametrize(("seed_sd", "class_sd"), [(1, 1), (0, 1), (1, 0), (0, 0)])
def test_the_parts_are_those_of_the_mean_squares(seed_sd, class_sd):
    rng = np.random.default_rng(0)
    for _ in range(50):
        gain, size = drawn(rng, 4, 12, seed_sd=seed_sd, class_sd=class_sd)
        difference, seed, klass, rest = mean_squares(gain, size)
        found = crossed_estimates(gain, size)
        assert found.over_both.mean == pytest.approx(difference)
        assert found.over_seeds.error**2 == pytest.approx(seed)
        assert found.over_classes.error**2 == pytest.approx(klass)
        assert found.over_both.error**2 == pytest.approx(max(seed + klass - rest, seed, klass))
        assert found.over_both.parts[0] == found.over_seeds.parts[0]
        assert [part.freedom for part in found.over_both.parts] == [3, 11]


def test_the_variance_over_classes_is_that_of_resampling_them():
    """Whole classes drawn with replacement, C / (C - 1) for the classes' own mean: the ratio is taken for each draw."""
    rng = np.random.default_rng(3)
    gain, size = drawn(rng, 3, 60)
    chosen = rng.integers(60, size=(20_000, 60))
    ratios = gain.mean(axis=0)[chosen].sum(axis=1) / size[chosen].sum(axis=1)
    expected = ratios.std() * np.sqrt(60 / 59)
    assert crossed_estimates(gain, size).over_classes.error == pytest.approx(expected, rel=0.03)


def test_the_variance_over_both_is_that_of_new_seeds_and_new_classes():
    """On the mean over drawn tables, where both components are there: of the difference that the tables then have."""
    rng = np.random.default_rng(4)
    found = [crossed_estimates(*drawn(rng, 5, 40)).over_both for _ in range(4000)]
    spread = np.var([each.mean for each in found])
    assert np.mean([each.error**2 for each in found]) == pytest.approx(spread, rel=0.08)


def test_a_single_seed_or_class_leaves_the_variance_unknown():
    gain, size = drawn(np.random.default_rng(1), 3, 5)
    seed, klass = crossed_estimates(gain[:1], size), crossed_estimates(gain[:, :1], size[:1])
    assert (seed.over_seeds.parts, seed.over_both.parts) == ((), ())
    assert len(seed.over_classes.parts) == 1
    assert (klass.over_classes.parts, klass.over_both.parts) == ((), ())
    assert len(klass.over_seeds.parts) == 1
