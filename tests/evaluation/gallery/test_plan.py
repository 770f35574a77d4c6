import tracemalloc

import numpy as np
import pytest

from relbench.evaluation import Sharding, query_results, sharded_query_results
from relbench.evaluation.gallery import sharded
from relbench.evaluation.gallery.plan import FIXED, LIBRARIES, MOST_ITEMS, MOST_QUERIES, OF_A_TASK, Plan, plan_for

COUNT, DIM = 5_000, 64


USED = 600_000_000


@pytest.fixture(autouse=True)
def same_use(monkeypatch):
    """What the process uses differs by some MB from one moment to the next."""
    monkeypatch.setattr(sharded, "used_memory", lambda: USED)


def test_what_is_planned_fits():
    planned = Plan(10**9, 128, 4)
    for wanted in (1, 1000, 10**5):
        queries = planned.queries(wanted)
        assert 1 <= queries <= MOST_QUERIES
        assert planned.items * planned.item + queries * (planned.query + 6 * 16 * wanted) <= 10**9
    assert planned.queries(10**5) < planned.queries(1)


def test_shards_fit_and_are_no_larger_than_fast():
    few = Plan(memory=100_000_000, dim=128, itemsize=4)
    assert 0 < few.items < MOST_ITEMS
    assert few.items * few.item <= few.memory / 2 < (few.items + 1) * few.item
    assert Plan(memory=10**12, dim=128, itemsize=4).items == MOST_ITEMS


def test_shards_that_are_searched_at_once_share_the_memory():
    wanted, allowed = np.array([5]), USED + FIXED + 10**9
    one, four = (plan_for(allowed, USED, at_once, wanted, 128, 4) for at_once in (1, 4))
    assert one.memory == pytest.approx(4 * four.memory, rel=0.1)


@pytest.mark.parametrize("allowed", [0, 10**6, FIXED])
def test_too_little_memory_is_refused_with_what_is_needed(allowed):
    with pytest.raises(ValueError, match=r"\A\d.* of memory are too few: .* needs .* in all; allow more[^\n]*\Z"):
        plan_for(allowed, USED, 1, np.array([5]), 128, 4)


def peak_of(search):
    """Bytes of all arrays at their peak."""
    tracemalloc.start()
    try:
        result = search()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


KINDS = {
    "random": lambda rows: rows,
    "float32 is not precise enough": lambda rows: (1e4 + 1e-3 * rows).astype(np.float32),
    "collapsed": np.ones_like,
    "outliers": lambda rows: rows * np.where(np.arange(COUNT) % 1000 == 0, 1e6, 1).astype(np.float32)[:, None],
}


@pytest.mark.parametrize("classes", [2_000, 2], ids=["small classes", "two classes"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_memory_suffices_whatever_the_data(tmp_path, kind, classes):
    """What is planned for shards and answers, of any data; one piece takes several times as much."""
    rows = KINDS[kind](np.random.default_rng(0).standard_normal((COUNT, DIM)).astype(np.float32))
    labels, query = np.arange(COUNT) % classes, np.arange(COUNT) % (COUNT // 4) == 0
    np.save(tmp_path / "rows.npy", rows)
    allowed = 1_500_000
    wanted, whole = peak_of(lambda: query_results(rows, labels, (1, 2), query=query))
    sharding = Sharding(USED + FIXED + allowed)
    found, peak = peak_of(
        lambda: sharded_query_results(tmp_path / "rows.npy", labels, (1, 2), sharding=sharding, query=query)
    )
    np.testing.assert_array_equal(found.rank, wanted.rank)
    np.testing.assert_array_equal(found.average_precision, wanted.average_precision)
    assert peak < 1.2 * allowed
    assert whole > 2 * peak


def test_what_this_process_uses_is_nothing_to_those_who_search_elsewhere(monkeypatch):
    """Labels of very many rows, say, which stay with who merges."""
    monkeypatch.setattr(sharded, "used_memory", lambda: 10**12)
    rows, labels = np.eye(6), np.arange(6) % 2
    with pytest.raises(ValueError, match=r"1\.0 TB are in use already"):
        sharded_query_results(rows, labels, (1,), sharding=Sharding(OF_A_TASK))
    sharded_query_results(rows, labels, (1,), sharding=Sharding(OF_A_TASK, used=LIBRARIES))
