"""Distances of pairs, against plain loops."""

import math

import numpy as np
import pytest

from relbench.evaluation import PairDistances, pair_distances


def by_loops(embeddings, labels, query, gallery):
    """Distances of all pairs of one class, and of two, over their mean."""
    rows = embeddings.astype(np.float64)
    found = {True: [], False: []}
    for item in np.flatnonzero(query):
        for other in np.flatnonzero(gallery):
            if item != other:
                found[labels[item] == labels[other]].append(math.dist(rows[item], rows[other]))
    mean = np.mean(found[True] + found[False]) or 1
    return sorted(np.array(found[True]) / mean), sorted(np.array(found[False]) / mean)


def separation_by_loops(same, other):
    return np.mean([np.mean(near < other) + 0.5 * np.mean(near == other) for near in same])


def measured(embeddings, labels, most=10**6, seed=0, **masks):
    return pair_distances(embeddings, labels, most=most, generator=np.random.default_rng(seed), **masks)


@pytest.mark.parametrize("masked", [False, True])
def test_all_pairs_equal_the_definition(embeddings, labels, masked):
    """On every hard input; with masks that overlap in part, so that some queries can find themselves and some can't."""
    query, gallery = np.ones((2, 150), bool)
    if masked:
        query, gallery = np.arange(150) < 90, np.arange(150) > 40
    pairs = measured(embeddings, labels, **({"query": query, "gallery": gallery} if masked else {}))
    same, other = by_loops(embeddings, labels, query, gallery)
    assert (pairs.same_count, pairs.other_count) == (len(same), len(other))
    np.testing.assert_allclose(sorted(pairs.same), same, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(sorted(pairs.other), other, rtol=1e-5, atol=1e-9)
    assert pairs.separation == pytest.approx(separation_by_loops(pairs.same, pairs.other), abs=1e-12)


@pytest.mark.parametrize(
    ("same", "other", "separation"),
    [([1.0, 2.0], [3.0], 1.0), ([3.0], [1.0, 2.0], 0.0), ([1.0], [1.0, 1.0], 0.5), ([1.0, 3.0], [2.0, 1.0], 0.375)],
)
def test_separation_by_hand(same, other, separation):
    assert PairDistances(np.array(same), np.array(other), 1, 1).separation == pytest.approx(separation, abs=1e-15)


def test_separation_is_the_area_under_the_curve_of_sklearn(labels):
    metrics = pytest.importorskip("sklearn.metrics")
    pairs = measured(np.random.default_rng(0).standard_normal((150, 2)).round(1), labels)
    truth = np.repeat([1, 0], [len(pairs.same), len(pairs.other)])
    area = metrics.roc_auc_score(truth, -np.concatenate([pairs.same, pairs.other]))
    assert pairs.separation == pytest.approx(area, abs=1e-12)


def test_a_sample_is_of_different_pairs_and_the_same_for_every_network(labels):
    """On a line where every pair has a distance of its own, so that none can be drawn twice unseen."""
    line, query = 2.0 ** np.arange(40)[:, None], np.arange(40) < 20
    masks = {"query": query, "gallery": ~query}
    whole, sample = (measured(line, labels[:40], most=most, **masks) for most in (10**6, 20))
    assert (sample.same_count, sample.other_count) == (whole.same_count, whole.other_count)
    assert len(set(sample.same)) == len(set(sample.other)) == 20 < len(whole.same) < len(whole.other)
    larger = measured(8 * line, labels[:40], most=20, **masks)
    np.testing.assert_array_equal(larger.same, sample.same)
    np.testing.assert_array_equal(larger.other, sample.other)
    assert not np.array_equal(measured(line, labels[:40], most=20, seed=1, **masks).other, sample.other)


def test_a_sample_is_fair(labels):
    """Means over many draws come close to the mean of all pairs."""
    embeddings = np.random.default_rng(2).standard_normal((150, 4))
    whole = measured(embeddings, labels)
    draws = [measured(embeddings, labels, most=300, seed=seed) for seed in range(60)]
    ratio = whole.same.mean() / whole.other.mean()
    assert np.mean([draw.same.mean() / draw.other.mean() for draw in draws]) == pytest.approx(ratio, rel=0.01)
    assert np.mean([draw.separation for draw in draws]) == pytest.approx(whole.separation, abs=0.01)


def test_memory_does_not_grow_with_the_number_of_pairs():
    """Two classes of 20,000: 800 million pairs, of which each could be drawn."""
    labels = np.arange(40_000) % 2
    pairs = measured(labels[:, None].astype(np.float32), labels, most=500)
    assert (pairs.same_count, pairs.other_count) == (2 * 20_000 * 19_999, 2 * 20_000**2)
    assert (set(pairs.same), len(set(pairs.other)), pairs.separation) == ({0.0}, 1, 1.0)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_both_kinds_are_needed(labels):
    with pytest.raises(ValueError, match="both kinds are needed"):
        measured(np.eye(3), labels)


def test_labels_of_another_length():
    with pytest.raises(ValueError, match="one per embedding"):
        measured(np.eye(3), [0, 1])
