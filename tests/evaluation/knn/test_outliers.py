"""Rows far away: no other may find one of them before it has found all that are near."""

import numpy as np
import pytest

from relbench.evaluation import Sharding, means, query_results, retrieval_metrics, sharded_query_results
from relbench.evaluation.knn.outliers import among, apart
from relbench.evaluation.knn.points import check_points

COUNT, KS = 150, (1, 2, 7, 50)


def scattered(far: int, distance: float = 1e6):
    """The first `far` rows lie far away, all in different directions."""
    rows = np.random.default_rng(0).standard_normal((COUNT, 8))
    rows[:far] *= distance
    return rows


def searches(rows, needed=1):
    points = check_points(rows, None, None)
    return list(apart(points, np.full(len(points.query), needed)))


def test_few_rows_far_away_are_found():
    (few, near), (rest, _) = searches(scattered(5))
    assert np.flatnonzero(~near).tolist() == rest.tolist() == [0, 1, 2, 3, 4]
    assert few.tolist() == list(range(5, COUNT))


@pytest.mark.parametrize("rows", [scattered(0), np.ones((COUNT, 2)), np.eye(2), scattered(5, 2.0)])
def test_no_row_is_far_where_none_is_by_much(rows):
    ((queries, near),) = searches(rows)
    assert len(queries) == len(rows)
    assert near.all()


def test_lengths_without_end_have_bands():
    rows = np.random.default_rng(1).standard_normal((1000, 8)) * np.geomspace(1, 1e6, 1000)[:, None]
    found = searches(rows)
    assert len(found) == 4
    assert sorted(np.concatenate([queries for queries, _ in found])) == list(range(1000))
    longest = [np.abs(rows[near]).max() / np.abs(rows[queries]).max() for queries, near in found]
    assert max(longest) < 20


def test_ordinary_rows_find_far_ones_last(ranking):
    rows = scattered(5)
    for item in range(5, COUNT):
        assert set(ranking(rows, item, np.ones(COUNT, bool))[-5:]) == {0, 1, 2, 3, 4}


def test_rows_that_need_more_than_the_ordinary_ones_see_all():
    points = check_points(scattered(5), None, None)
    needed = np.full(COUNT, 10)
    needed[100] = 147
    (few, near), (rest, everything) = apart(points, needed)
    assert few.tolist() == [row for row in range(5, COUNT) if row != 100]
    assert rest.tolist() == [0, 1, 2, 3, 4, 100]
    assert everything.all()
    found = among(points, few, near)
    assert found.gallery.tolist() == list(range(COUNT - 5))
    assert (found.rows[found.query] == points.rows[points.query[few]]).all()
    assert (found.gallery[found.own_column] == found.query).all()


@pytest.mark.parametrize("classes", [2, 20])
@pytest.mark.parametrize("masked", [False, True])
def test_the_answer_is_that_without_leaving_rows_out(classes, masked, ranking):
    rows, codes = scattered(5), np.arange(COUNT) % classes
    gallery = np.arange(COUNT) % 3 > 0 if masked else np.ones(COUNT, bool)
    query = np.arange(COUNT) % 4 != 1
    found = query_results(rows, codes, KS, query=query, gallery=gallery)
    for number, item in enumerate(np.flatnonzero(query)):
        hits = codes[ranking(rows, item, gallery)] == codes[item]
        wanted = int(hits.sum())
        assert found.rank[number] == (hits.argmax() + 1 if hits[:50].any() else 0)
        assert found.r_precision[number] == hits[:wanted].mean()


def test_bands_change_no_answer(ranking):
    rows, codes = np.random.default_rng(2).standard_cauchy((COUNT, 3)) ** 3, np.arange(COUNT) % 30
    assert len(list(apart(check_points(rows, None, None), np.full(COUNT, 5)))) > 1
    found = query_results(rows, codes, (1, 5))
    for item in range(COUNT):
        hits = codes[ranking(rows, item, np.ones(COUNT, bool))] == codes[item]
        assert found.rank[item] == (hits.argmax() + 1 if hits[:5].any() else 0)
        assert found.r_precision[item] == hits[:4].mean()


def test_what_is_ignored_is_no_neighbour_that_is_near(by_definition):
    """All that is near is passed over, so that the outliers are the nearest."""
    rows, codes = scattered(20), np.where(np.arange(COUNT) < 10, 1, 0)
    everything, cameras = np.ones(COUNT, bool), np.where(np.arange(COUNT) < 20, 1, 0)
    wanted = by_definition(rows, codes, KS[:3], everything, everything, cameras)
    assert retrieval_metrics(rows, codes, KS[:3], ignore=cameras) == pytest.approx(wanted, rel=1e-12)
    sharding = Sharding(1 << 34, items=100)
    found = means(sharded_query_results(rows, codes, KS[:3], sharding=sharding, ignore=cameras), KS[:3])
    assert found == pytest.approx(wanted, rel=1e-12)
