"""Several processes train as one does: equal but for rounding."""

import pytest
import torch
from ranked import trained
from training.small_runs import TRIPLET, run_of

from relbench.experiment import Term
from relbench.ranks import ALONE, launched

FITNET = Term(loss="fitnet", layers=("stage1", "embedding"))
CASES = {"rkd": run_of(TRIPLET, Term(loss="rkd_distance"), Term(loss="rkd_angle"), FITNET)}


@pytest.fixture(scope="module")
def alone():
    return trained(ALONE, CASES)


@pytest.mark.parametrize("count", [3])
def test_ranks_equal_one(alone, count):
    among = launched(trained, count, "cpu", CASES)
    for name, (history, gradients, weights) in alone.items():
        for own, expected in zip(among[name][0], history, strict=True):
            assert own == pytest.approx(expected, rel=1e-9)
        for own, expected in zip([*among[name][1], *among[name][2]], [*gradients, *weights], strict=True):
            assert own is expected is None or torch.allclose(own, expected, rtol=0, atol=1e-9)
