from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from relbench.evaluation import Sharding, means, query_results, retrieval_metrics, sharded_query_results
from relbench.evaluation.gallery import mappers
from relbench.evaluation.gallery.sources import layout_of, rows_in_file
from relbench.grid.cluster.connection import connected

COUNT = 150
KS = (1, 2, 7, 50)
LARGE = 1 << 34
FIELDS = ("labels", "positives", "rank", "r_precision", "average_precision")


def assert_same(found, wanted):
    assert found.depth == wanted.depth
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("items", "queries"), [(1, None), (7, 40), (64, None), (COUNT, 1)])
def test_answers_are_those_in_one_piece(embeddings, labels, masked, items, queries):
    """Shards of one item, smaller than K and R, without an item of a class, and all in one."""
    generator = np.random.default_rng(3)
    query, gallery = (generator.random(COUNT) < share if masked else None for share in (0.4, 0.7))
    if queries == 1:
        query = np.arange(COUNT) % 30 == 0
    wanted = query_results(embeddings, labels, KS, query=query, gallery=gallery)
    sharding = Sharding(LARGE, items=items, queries=queries)
    assert_same(sharded_query_results(embeddings, labels, KS, sharding=sharding, query=query, gallery=gallery), wanted)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(4, 12), st.integers(1, 3)), elements=st.floats(-3, 3, width=16)),
    st.lists(st.integers(0, 2), min_size=12, max_size=12),
    st.integers(1, 12),
)
def test_any_input(by_definition, rows, labels, items):
    labels, everything = np.array([0, 0, *labels])[: len(rows)], np.ones(len(rows), bool)
    found = means(sharded_query_results(rows, labels, (3, 1), sharding=Sharding(LARGE, items=items)), (3, 1))
    assert found == pytest.approx(by_definition(rows, labels, (3, 1), everything, everything), rel=1e-12)
    assert found == retrieval_metrics(rows, labels, (3, 1))


def by_threads():
    return mappers.over_devices(("cpu", "cpu", "cpu"))


def by_processes():
    return mappers.over_processes(1)


@contextmanager
def by_ray():
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    with connected("local"):
        yield mappers.over_ray(ray, 1, num_cpus=1)


@pytest.mark.parametrize("way", [by_threads, by_processes, by_ray])
def test_whoever_searches_the_answers_are_the_same(tmp_path, labels, way):
    """With half of the rows twice, so that ties are met by several shards; and what fails there is told here."""
    rows = np.random.default_rng(0).standard_normal((COUNT, 6)).astype(np.float32)
    rows[: COUNT // 2] = rows[COUNT // 2 :]
    np.save(tmp_path / "rows.npy", rows)
    wanted = query_results(rows, labels, KS)
    with way() as mapper:
        for embeddings in (rows, tmp_path / "rows.npy"):
            sharding = Sharding(LARGE, mapper, items=40, queries=70)
            assert_same(sharded_query_results(embeddings, labels, KS, sharding=sharding), wanted)
        rows[COUNT - 5, 2] = np.nan
        np.save(tmp_path / "rows.npy", rows)
        with pytest.raises(ValueError, match=f"first in row {COUNT - 5}"):
            sharded_query_results(tmp_path / "rows.npy", labels, KS, sharding=sharding)
        source = rows_in_file(tmp_path / "rows.npy", layout_of(tmp_path / "rows.npy"))
        (tmp_path / "rows.npy").unlink()
        with pytest.raises(ValueError, match=r"\A.*rows\.npy can't be read .*\Z"):
            sharded_query_results(source, labels, KS, sharding=sharding)
