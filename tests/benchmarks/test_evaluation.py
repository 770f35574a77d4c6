import numpy as np
import pytest

from relbench.benchmarks.evaluation import Turns, clustered, faster_product, measure


@pytest.fixture(scope="module")
def speed():
    return measure(1500, 8, generator=np.random.default_rng(0))


def test_a_small_measurement(speed):
    assert (speed.count, speed.dim) == (1500, 8)
    assert len(speed.plain_seconds) == len(speed.ours_seconds) >= 1
    assert min(speed.plain_seconds) > 0
    assert speed.ratio == sum(speed.ours_seconds) / sum(speed.plain_seconds)
    assert 50e6 < speed.peak_bytes < 1.2e9
    assert 0 < speed.metrics["recall@1"] < speed.metrics["recall@1000"] <= 1


def test_every_query_has_its_plain_product_and_its_turn():
    rows, multiplied = np.arange(2000, dtype=np.float32)[:, None], []
    turns = Turns(lambda part: multiplied.extend(part[:, 0].tolist()), rows, 600)
    for done in (300, 300, 900, 500):
        turns(done)
    assert multiplied == list(range(2000))
    assert len(turns.ours) == len(turns.theirs) == 3


def test_the_plain_product_is_written_where_it_is_told():
    rows, out = np.eye(5, 3, dtype=np.float32), np.full((4, 5), 7, np.float32)
    faster_product(rows, out)(rows[:2])
    np.testing.assert_array_equal(out[:2], rows[:2] @ rows.T)


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
