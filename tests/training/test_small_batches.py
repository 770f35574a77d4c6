"""Batches of fewer images than there are ranks: some ranks show none, and all train as one process does."""

import pytest
import torch
from ranked import trained
from training.small_runs import run_of

from relbench.experiment import Classification, Data, Term, Training
from relbench.ranks import ALONE, launched

CROSS_ENTROPY, DISTANCE = Term(loss="cross_entropy"), Term(loss="rkd_distance")
LAYER = Term(loss="fitnet", layers=("stage1", "embedding"))
TRAINING = {"steps": 6, "validate_every": 6}


def small(*terms, **training):
    """Of classification, whose batches may be of any size."""
    return run_of(*terms, task=Classification(), data=Data(size=16), training=Training(**TRAINING | training))


CASES = {
    "batches of two": small(DISTANCE, LAYER, batch_size=2),
    "batches of five": small(DISTANCE, LAYER, batch_size=5),
    "two parts of two or three": small(DISTANCE, batch_size=5, batch_norm_parts=2),
    "two are left for the last batch": small(CROSS_ENTROPY, batch_size=49),
}


def test_some_ranks_show_no_image():
    alone, among = trained(ALONE, CASES), launched(trained, 4, "cpu", CASES)
    for name, (history, gradients, weights, _) in alone.items():
        assert among[name][0][-1] == pytest.approx(history[-1], rel=1e-9), name
        for own, expected in zip(among[name][1] + among[name][2], gradients + weights, strict=True):
            assert own is expected is None or torch.allclose(own, expected, rtol=0, atol=1e-9), name
