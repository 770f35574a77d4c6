import numpy as np
import pytest

from relbench.benchmarks.evaluation import clustered, measure


def test_a_small_measurement():
    found = measure(1500, 8, generator=np.random.default_rng(0), threads=1)
    assert (found.count, found.dim) == (1500, 8)
    assert found.plain_seconds > 0
    assert found.ratio == found.ours_seconds / found.plain_seconds
    assert 50e6 < found.peak_bytes < 2.5e9
    assert 0 < found.metrics["recall@1"] < found.metrics["recall@1000"] <= 1


def test_embeddings_are_those_of_the_generator():
    rows, labels = clustered(500, 16, np.random.default_rng(0))
    again, _ = clustered(500, 16, np.random.default_rng(0))
    np.testing.assert_array_equal(rows, again)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    assert np.bincount(labels)[:-1].min() >= 2
    assert np.bincount(labels).max() <= 12


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="use 1001 or more"):
        measure(1000, 8, generator=np.random.default_rng(0))
