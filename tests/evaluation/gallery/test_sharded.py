import os
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from relbench.evaluation import Sharding, means, query_results, retrieval_metrics, sharded_query_results
from relbench.evaluation.gallery import mappers, search
from relbench.evaluation.gallery.sources import layout_of, rows_in_file
from relbench.evaluation.knn.neighbours import Search
from relbench.evaluation.knn.points import squared_distances
from relbench.grid.cluster import mapper as of_cluster
from relbench.grid.cluster.connection import connected
from relbench.grid.cluster.environment import call, environment
from relbench.grid.cluster.mapper import over_ray

COUNT = 150
KS = (1, 2, 7, 50)
LARGE = 1 << 34
FIELDS = ("labels", "positives", "rank", "r_precision", "average_precision")


def assert_same(found, wanted):
    assert found.depth == wanted.depth
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)


CAMERAS = np.random.default_rng(6).integers(0, 3, COUNT)


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


def test_what_is_ignored_is_so_in_every_shard(embeddings, labels):
    generator = np.random.default_rng(3)
    options = {"query": generator.random(COUNT) < 0.4, "ignore": CAMERAS}
    wanted = query_results(embeddings, labels, KS, **options)
    assert_same(sharded_query_results(embeddings, labels, KS, sharding=Sharding(LARGE, items=40), **options), wanted)


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


@contextmanager
def by_ray():
    pytest.importorskip("ray", reason="Ray is not installed")
    with connected("local"):
        yield over_ray(1, num_cpus=1)


@pytest.mark.parametrize("way", [by_threads, by_ray])
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


def end_abruptly(_task, _device):
    os._exit(1)


def test_nodes_that_compute_other_numbers_or_lose_tasks_are_named(monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    other = SimpleNamespace(environment=lambda: {**environment(), "numpy": "1.0"}, call=call)
    with connected("local"):
        with pytest.raises(ValueError, match=r"\Aa task was lost on the cluster \(WorkerCrashedError: [^\n]*\Z"):
            list(over_ray(1, num_cpus=1, max_retries=0)(end_abruptly, [None]))
        monkeypatch.setattr(of_cluster, "environment", other)
        with pytest.raises(ValueError, match=r"\Anode .*: it has numpy .*, and the command has numpy 1\.0: install "):
            list(over_ray(1, num_cpus=1)(print, [None]))


FOUR = np.array([[0.0], [1.0], [2.0], [3.0]])


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": np.array([[0.0], [1.0], [np.nan], [np.inf]])},
        {"embeddings": np.zeros(4)},
        {"embeddings": np.zeros((4, 0))},
        {"embeddings": np.zeros((1, 2)), "labels": [0]},
        {"embeddings": np.ones((4, 2), bool)},
        {"embeddings": np.zeros(4, [("x", "f4"), ("y", "f4")])},
        {"embeddings": np.array([[2**60], [0], [1], [2]])},
        {"labels": [0, 0, 1]},
        {"labels": [0.0, 0.5, 1.0, 1.5]},
        {"labels": ["a", None, "b", "b"]},
        {"ks": ()},
        {"ks": (1, 4)},
        {"ks": (1, 1)},
        {"query": np.zeros(4, bool)},
        {"gallery": np.ones(5, bool)},
        {"gallery": np.array([1, 1, 0, 0], bool), "ks": (2,)},
    ],
    ids=str,
)
def test_what_is_refused_in_one_piece_is_refused_in_the_same_words(tmp_path, change):
    given = {"embeddings": FOUR, "labels": [0, 0, 1, 1], "ks": (1,)} | change
    with pytest.raises((ValueError, TypeError)) as wanted:
        query_results(**given)
    np.save(tmp_path / "x.npy", given["embeddings"])
    for embeddings in (given["embeddings"], tmp_path / "x.npy"):
        with pytest.raises(type(wanted.value)) as found:
            sharded_query_results(**given | {"embeddings": embeddings}, sharding=Sharding(LARGE, items=2))
        assert str(found.value) == str(wanted.value)


@pytest.mark.parametrize("size", [1e130, 1e-130])
def test_rows_whose_squares_lose_digits_are_left_to_one_piece(size):
    """There all rows are multiplied by a power of two that depends on which are compared."""
    rows = np.vstack([FOUR, [[0.0]], [[size]]])
    with pytest.raises(ValueError, match="first in row 5: multiply them by a power of two, or"):
        sharded_query_results(rows, [0, 0, 1, 1, 2, 2], (1,), sharding=Sharding(LARGE, items=2))


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float16])
def test_numbers_of_every_type(labels, dtype):
    rows = np.random.default_rng(0).integers(-100, 100, (COUNT, 4)).astype(dtype)
    found = sharded_query_results(rows, labels, KS, sharding=Sharding(LARGE, items=40))
    assert_same(found, query_results(rows, labels, KS))
    if dtype == np.int64:  # float32 would lose the differences, which one shard alone can't know
        rows[7] += 2**40
        found = sharded_query_results(torch.from_numpy(rows), labels, KS, sharding=Sharding(LARGE, items=40))
        assert_same(found, query_results(rows, labels, KS))


def test_progress_counts_every_query_shard_by_shard(labels):
    done = []
    rows = np.random.default_rng(0).standard_normal((COUNT, 4))
    sharded_query_results(rows, labels, KS, sharding=Sharding(LARGE, items=10), progress=done.append)
    assert sum(done) == COUNT
    assert len(done) >= 15
    assert min(done) > 0


WAYS = {
    "float64 keys": {"WHOLE_GALLERY": 0, "FEWEST_TO_SAMPLE": 1, "SAMPLE": 1, "FEWEST_REPEATS": np.inf}
    | {"SHARE_UNSURE": np.inf},
    "float32 keys": {"WHOLE_GALLERY": 0},
}


@pytest.mark.parametrize(
    ("backend", "most"), [("faiss", None), ("torch", lambda _, k: k), ("torch", lambda _, k: 0 * k)]
)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_has_the_same_answer(embeddings, labels, way, backend, most):
    """By keys of each type and backend; where many items are near, by distinct rows."""
    wanted = query_results(embeddings, labels, KS)
    with patch.multiple(search, **WAYS[way]), patch.object(Search, "most", most or Search.most):
        found = sharded_query_results(embeddings, labels, KS, sharding=Sharding(LARGE, backend=backend, items=60))
    assert_same(found, wanted)


def test_few_items_are_compared_one_by_one():
    """That takes most of the time where many are: canonical distances of little more than R items of a query."""
    compared = []

    def counted(points, queries, columns):
        compared.append(len(queries))
        return squared_distances(points, queries, columns)

    rows = np.random.default_rng(0).standard_normal((4000, 16)).astype(np.float32)
    query = np.arange(4000) % 10 == 0
    with patch.object(search, "squared_distances", counted):
        sharded_query_results(rows, np.arange(4000) // 8, (1, 100), sharding=Sharding(LARGE, items=1000), query=query)
    shards, items = 4, 15  # items: the largest R of those that are searched together
    assert sum(compared) < 1.5 * shards * items * query.sum()


def test_outliers_of_a_shard_are_counted():
    """Queries near the middle need no outliers as neighbours, but these, too, come before the nearest of the class."""
    generator = np.random.default_rng(0)
    near, mates = (generator.standard_normal((count, 3)) for count in (20, 60))
    far = 100 * generator.standard_normal((20, 3))
    queries = generator.standard_normal((60, 3))
    rows = np.vstack([near, far, mates + 1000, queries])
    labels = np.concatenate([np.full(40, -1), np.arange(60), np.arange(60)])
    masks = {"query": np.arange(160) >= 100, "gallery": np.arange(160) < 100}
    wanted = query_results(rows, labels, (1, 100), **masks)
    assert wanted.rank.min() > 40
    assert_same(sharded_query_results(rows, labels, (1, 100), sharding=Sharding(LARGE, items=40), **masks), wanted)
