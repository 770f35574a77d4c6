"""Losses of a linear classifier: the definition in loops, and what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relbench.losses import cross_entropy, probe

LABELS = torch.tensor([0, 2, 1, 2])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_loops(logits: Tensor, labels: Tensor, smoothing: float) -> float:
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        whole = sum(math.exp(value) for value in row)
        for number, value in enumerate(row):
            wanted = smoothing / len(row) + (1 - smoothing) * (number == label)
            total -= wanted * math.log(math.exp(value) / whole)
    return total / len(logits)


@given(st.integers(1, 5), st.integers(1, 6), st.floats(0, 0.99), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_equals_its_definition_in_loops(batch: int, classes: int, smoothing: float, seed: int):
    logits = random(batch, classes, seed=seed)
    labels = torch.randint(classes, (batch,), generator=torch.Generator().manual_seed(seed))
    found = cross_entropy(logits, labels, label_smoothing=smoothing).item()
    assert found == pytest.approx(in_loops(logits, labels, smoothing), rel=1e-9, abs=1e-12)
    assert probe(logits, labels).item() == pytest.approx(in_loops(logits, labels, 0.0), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("loss", [cross_entropy, probe, lambda *batch: cross_entropy(*batch, label_smoothing=0.3)])
def test_gradient_agrees_with_finite_differences(loss):
    assert torch.autograd.gradcheck(lambda logits: loss(logits, LABELS), random(4, 3).requires_grad_())


def test_a_number_added_to_all_logits_of_an_image_does_not_matter():
    logits = random(4, 3)
    found = cross_entropy(logits + 100 * random(4, 1, seed=1), LABELS)
    torch.testing.assert_close(found, cross_entropy(logits, LABELS))


def test_equal_logits_leave_all_classes_equally_probable():
    assert cross_entropy(torch.zeros(4, 3), LABELS).item() == pytest.approx(math.log(3))


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_sure_logits_stay_finite(size: float):
    logits = (size * torch.eye(3)[LABELS]).requires_grad_()
    assert cross_entropy(logits, LABELS).item() == 0
    wrong = cross_entropy(-logits, LABELS)
    (gradient,) = torch.autograd.grad(wrong, logits)
    assert wrong.item() == pytest.approx(size + math.log(2))
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype):
    logits = random(4, 3).to(dtype)
    found = cross_entropy(logits, LABELS)
    assert found.dtype == torch.float32
    assert found == cross_entropy(logits.float(), LABELS)


@pytest.mark.parametrize("loss", [cross_entropy, probe])
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.zeros(4), LABELS, r"must be a floating matrix \(batch, classes\), not torch.float32 \(4,\)"),
        (torch.zeros(4, 3, dtype=torch.bool), LABELS, "must be a floating matrix .* not torch.bool"),
        (torch.zeros(3, 3), LABELS, r"labels must have the shape \(3,\), not \(4,\)"),
        (torch.zeros(4, 3), LABELS[:, None], r"labels must have the shape \(4,\), not \(4, 1\)"),
        (torch.zeros(4, 2), LABELS, "labels must be class numbers from 0 to 1"),
        (torch.zeros(4, 3), LABELS - 1, "labels must be class numbers from 0 to 2"),
        (torch.zeros(0, 3), LABELS[:0], "labels must be class numbers"),
    ],
)
def test_refused(loss, logits: Tensor, labels: Tensor, message: str):
    with pytest.raises(ValueError, match=message) as refusal:
        loss(logits, labels)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
def test_a_smoothing_that_leaves_nothing_is_refused(smoothing: float):
    with pytest.raises(ValueError, match="label_smoothing must be from 0 to below 1, not"):
        cross_entropy(torch.zeros(4, 3), LABELS, label_smoothing=smoothing)
