"""Integers as embeddings and whole floats as labels: taken where nothing is lost, by every loss alike."""

import pytest
import torch
from torch import Tensor

from relbench.losses.check_inputs import as_floats, class_numbers
from relbench.losses.classification import cross_entropy
from relbench.losses.pml import pml_loss
from relbench.losses.refilled import class_centres, refilled_classifier, refilled_embedding
from relbench.losses.relational import rkd_distance
from relbench.losses.triplet import DistanceWeightedTriplet, distance_weighted_probabilities, triplet_margin

ROWS = torch.tensor([[0, 3], [1, 2], [5, 0], [4, 1], [2, 7], [3, 6]])
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
TRIPLETS = torch.tensor([[0, 1, 2], [2, 3, 4]])


def seeded():
    return torch.Generator().manual_seed(0)


LOSSES = {
    "cross_entropy": lambda rows, labels: cross_entropy(torch.cat([rows, rows], dim=1), labels),
    "refilled_embedding": lambda rows, labels: refilled_embedding(rows, rows.flip(0), labels, margin=5.0),
    "refilled_classifier": lambda rows, labels: refilled_classifier(torch.cat([rows, rows], 1), rows, labels, rows[:4]),
    "class_centres": lambda rows, labels: class_centres(rows, labels, 3),
    "rkd_distance": lambda rows, _: rkd_distance(rows, rows.flip(0)),
    "triplet_margin": lambda rows, _: triplet_margin(rows, TRIPLETS),
    "probabilities": distance_weighted_probabilities,
    "triplet": lambda rows, labels: DistanceWeightedTriplet()(rows, labels, seeded()),
    "pml": lambda rows, labels: pml_loss("ContrastiveLoss")(rows, labels, seeded()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_integers_and_whole_floats_give_the_same(name):
    loss = LOSSES[name]
    wanted = loss(ROWS.float(), LABELS)
    for rows in (ROWS, ROWS.to(torch.uint8)):
        for labels in (LABELS, LABELS.float(), LABELS.double(), LABELS.to(torch.int32)):
            found = loss(rows, labels)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ("rkd_distance", "triplet_margin")])
@pytest.mark.parametrize("bad", [0.5, float("nan"), float("inf"), 2.0**60])
def test_other_labels_are_refused_in_one_line(name, bad):
    labels = LABELS.double()
    labels[3] = bad
    with pytest.raises(ValueError, match="labels must be exact whole numbers, not ") as refusal:
        LOSSES[name](ROWS, labels)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", LOSSES)
def test_integers_that_no_float_holds_are_refused_in_one_line(name):
    with pytest.raises(ValueError, match=r"holds integers up to .*, which no floating type holds exactly") as refusal:
        LOSSES[name](ROWS + 2**60 + 1, LABELS)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("largest", "dtype"), [(2**24, torch.float32), (2**24 + 1, torch.float64), (-(2**53), torch.float64)]
)
def test_the_smaller_type_that_holds_all(largest: int, dtype: torch.dtype):
    given = torch.tensor([[1, largest]])
    found = as_floats("rows", given)
    assert found.dtype == dtype
    assert found.to(torch.int64).equal(given)


@pytest.mark.parametrize("given", [torch.zeros(0, 2, dtype=torch.int64), torch.zeros(2, dtype=torch.bfloat16)])
def test_nothing_to_change(given: Tensor):
    assert as_floats("rows", given).shape == given.shape
    assert class_numbers(given).shape == given.shape


def test_labels_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"not torch\.complex64"):
        class_numbers(torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(TypeError, match="labels must be a torch tensor, but are a list"):
        class_numbers([0, 1])  # type: ignore[arg-type]
