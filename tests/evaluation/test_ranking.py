from unittest.mock import patch

import numpy as np
import pytest

from relbench.evaluation import per_query
from relbench.evaluation.neighbours import Search
from relbench.evaluation.points import check_points
from relbench.evaluation.ranking import Classes

COUNT = 150
KS = (1, 2, 7, 50)


@pytest.mark.parametrize("most", [lambda _, k: k, lambda _, k: 0 * k])
def test_rows_with_crowds_of_neighbours_get_the_same_answer(embeddings, labels, most):
    wanted = per_query(embeddings, labels, KS)
    with patch.object(Search, "most", most):
        found = per_query(embeddings, labels, KS)
    for name in ("rank", "partners", "r_precision", "average_precision"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


def test_rank_beyond_the_nearest_r_is_counted_exactly(embeddings, labels, ranking):
    answers = per_query(embeddings, labels, (COUNT - 1,))
    everything = np.ones(COUNT, bool)
    for item in range(COUNT):
        hits = labels[ranking(embeddings, item, everything)] == labels[item]
        assert answers.rank[item] == (hits.argmax() + 1 if hits.any() else 0)


def test_padding_is_no_hit():
    classes = Classes(check_points(np.eye(3), None, None), np.array([0, 0, 0]))
    assert classes.hits(np.array([0]), np.array([[1, 2, -1]])).tolist() == [[True, True, False]]
