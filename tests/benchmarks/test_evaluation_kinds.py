from unittest.mock import patch

import numpy as np
import pytest

from relbench.benchmarks.evaluation_kinds import KS, SLOWEST, kinds, measure, plain
from relbench.evaluation import retrieval_metrics
from relbench.evaluation.knn import order, ranking


def test_the_plain_form_measures_the_same():
    """Where rounding decides nothing: else it would be no evaluation to compare with."""
    checked = []
    for kind, rows, labels in kinds(400, 16, np.random.default_rng(0)):
        if kind in ("uniform", "clustered", "20 classes", "2 classes, at random", "huge norms"):
            assert plain(rows, labels, KS) == pytest.approx(retrieval_metrics(rows, labels, KS), abs=1e-6)
            checked.append(kind)
    assert len(checked) == 5


def test_kinds_are_timed_the_worst_first():
    found = measure(300, 8, generator=np.random.default_rng(0))
    assert len({speed.kind for speed in found}) == len(found) == 24
    assert all(min(*speed.plain_seconds, *speed.ours_seconds) > 0 for speed in found)
    ratios = [speed.ratio for speed in found]
    assert ratios == sorted(ratios, reverse=True)


def test_hardly_any_pairs_are_compared_one_by_one():
    """Time follows from it, whatever the processor. Codes as whole numbers took all pairs."""
    compared = {}
    for kind, rows, labels in kinds(300, 32, np.random.default_rng(0)):
        with (
            patch.object(order, "squared_distances", wraps=order.squared_distances) as ordered,
            patch.object(ranking, "squared_distances", wraps=ranking.squared_distances) as ranked,
        ):
            retrieval_metrics(rows, labels, KS)
        calls = [*ordered.call_args_list, *ranked.call_args_list]
        compared[kind] = sum(len(call.args[1]) for call in calls) / len(rows)
    del compared[SLOWEST]
    assert max(compared.values()) < 20, compared
