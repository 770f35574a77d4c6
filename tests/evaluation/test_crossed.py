"""Variances of a difference over seeds and classes, against the definitions as plain loops and against resampling."""

import numpy as np
import pytest

from relbench.evaluation.crossed import crossed_estimates


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


@pytest.mark.parametrize(("seed_sd", "class_sd"), [(1, 1), (0, 1), (1, 0), (0, 0)])
def test_the_parts_are_those_of_the_mean_squares(seed_sd, class_sd):
    rng = np.random.default_rng(0)
    for _ in range(50):
        gain, size = drawn(rng, 4, 12, seed_sd=seed_sd, class_sd=class_sd)
        difference, seed, klass, rest = mean_squares(gain, size)
        found = crossed_estimates(gain, size)
        assert found.over_both.mean == pytest.approx(difference)
        assert found.over_seeds.error**2 == pytest.approx(seed)
        assert found.over_queries.error**2 == pytest.approx(klass)
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
    assert crossed_estimates(gain, size).over_queries.error == pytest.approx(expected, rel=0.03)


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
    assert len(seed.over_queries.parts) == 1
    assert (klass.over_queries.parts, klass.over_both.parts) == ((), ())
    assert len(klass.over_seeds.parts) == 1
