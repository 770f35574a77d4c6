from unittest.mock import patch

import numpy as np
import pytest

import relbench.evaluation.knn.order
import relbench.evaluation.knn.ranking
from relbench.evaluation import query_results, retrieval_metrics
from relbench.evaluation.knn.neighbours import Search
from relbench.evaluation.knn.points import check_points, squared_distances
from relbench.evaluation.knn.ranking import Classes

COUNT = 150
KS = (1, 2, 7, 50)


@pytest.mark.parametrize("most", [lambda _, k: k, lambda _, k: 0 * k])
def test_rows_with_crowds_of_neighbours_get_the_same_answer(embeddings, labels, most):
    wanted = query_results(embeddings, labels, KS)
    with patch.object(Search, "most", most):
        found = query_results(embeddings, labels, KS)
    for name in ("rank", "positives", "r_precision", "average_precision"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


WAYS = {
    "float32 keys": {"WHOLE_GALLERY": 0},
    "float64 keys": {"WHOLE_GALLERY": 0, "FEWEST_TO_SAMPLE": 1, "SAMPLE": 1, "FEWEST_REPEATS": np.inf}
    | {"SHARE_UNSURE": np.inf},
    "distinct rows": {"WHOLE_GALLERY": 10**9},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_answer(embeddings, labels, way):
    wanted = query_results(embeddings, labels, KS)
    with patch.multiple(relbench.evaluation.knn.ranking, **WAYS[way]):
        found = query_results(embeddings, labels, KS)
    for name in ("rank", "r_precision", "average_precision"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_ignored_is_so_in_every_way(embeddings, labels, way, by_definition):
    """Two classes, and nine images in ten by one camera: most queries have fewer others than some have positives."""
    labels = np.where(labels == 0, 0, 1)
    cameras = np.where(np.arange(COUNT) % 10 == 3, 1, 0)
    query = np.arange(COUNT) % 4 == 0
    wanted = by_definition(embeddings, labels, KS[:3], query, np.ones(COUNT, bool), cameras)
    with (
        patch.multiple(relbench.evaluation.knn.ranking, **WAYS[way]),
        patch.object(Search, "most", lambda _, k: 0 * k if way == "float32 keys" else 4 * k),
    ):
        found = retrieval_metrics(embeddings, labels, KS[:3], query=query, ignore=cameras)
    assert found == pytest.approx(wanted, rel=1e-12)


def _two_classes(kind):
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((800, 64)).astype(np.float32)
    if kind == "repeated":
        rows = rows[generator.integers(0, 80, 800)]
    if kind == "outliers":
        rows[:5] *= 1e6
    if kind == "long tails":
        rows = generator.standard_cauchy((800, 64)).astype(np.float32)
    return rows, np.arange(800) % (80 if kind == "long tails" else 2)


@pytest.mark.parametrize("kind", ["random", "repeated", "outliers", "long tails"])
def test_few_items_are_compared_one_by_one(kind):
    """That takes most of the time where many are: with two large classes, or with a few rows far away."""
    compared = []

    def counted(points, queries, columns):
        compared.append(len(queries))
        return squared_distances(points, queries, columns)

    rows, codes = _two_classes(kind)
    with (
        patch.object(relbench.evaluation.knn.order, "squared_distances", counted),
        patch.object(relbench.evaluation.knn.ranking, "squared_distances", counted),
    ):
        query_results(rows, codes)
    assert sum(compared) < 8 * len(rows)


def test_rank_beyond_the_nearest_r_is_counted_exactly(embeddings, labels, ranking):
    answers = query_results(embeddings, labels, (COUNT - 1,))
    everything = np.ones(COUNT, bool)
    for item in range(COUNT):
        hits = labels[ranking(embeddings, item, everything)] == labels[item]
        assert answers.rank[item] == (hits.argmax() + 1 if hits.any() else 0)


def test_padding_is_no_hit():
    classes = Classes(check_points(np.eye(3), None, None), np.array([0, 0, 0]))
    assert classes.hits(np.array([0]), np.array([[1, 2, -1]])).tolist() == [[True, True, False]]
