"""Soft labels: the definition in loops, the temperature, large logits."""

import math

import pytest
import torch
from torch import Tensor

from relbench.losses import hinton_kd


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(logits: list[float], temperature: float) -> list[float]:
    weights = [math.exp(logit / temperature) for logit in logits]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_equals_its_definition_in_loops(temperature: float):
    student, teacher = random(5, 4), random(5, 4, seed=1)
    total = 0.0
    for own, target in zip(student.tolist(), teacher.tolist(), strict=True):
        for q, p in zip(softmax(own, temperature), softmax(target, temperature), strict=True):
            total += p * math.log(p / q)
    expected = temperature**2 * total / 5
    assert hinton_kd(student, teacher, temperature=temperature).item() == pytest.approx(expected, rel=1e-9)


def test_a_constant_added_to_an_images_logits_does_not_matter():
    student, teacher = random(5, 4), random(5, 4, seed=1)
    found = hinton_kd(student + random(5, 1, seed=2), teacher - 7, temperature=4.0)
    torch.testing.assert_close(found, hinton_kd(student, teacher, temperature=4.0))
    assert hinton_kd(student + 3, student, temperature=4.0).abs() < 1e-14


def test_the_gradient_is_as_large_at_high_temperatures():
    """It tends to that of half the squared difference of centred logits, over the classes."""
    student, teacher = (rows - rows.mean(dim=1, keepdim=True) for rows in (random(5, 4), random(5, 4, seed=1)))
    value = hinton_kd(student.requires_grad_(), teacher, temperature=1e4)
    (gradient,) = torch.autograd.grad(value, student)
    torch.testing.assert_close(gradient, (student - teacher).detach() / 4 / 5, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_teacher_that_is_sure_has_a_finite_loss(dtype: torch.dtype):
    teacher = torch.eye(4, dtype=dtype) * 1e4
    student = teacher.flip(0).requires_grad_()
    value = hinton_kd(student, teacher, temperature=1.0)
    value.backward()
    assert value.item() == pytest.approx(1e4)
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(temperature: float):
    with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
        hinton_kd(random(5, 4), random(5, 4), temperature=temperature)


def test_other_classes_are_refused():
    with pytest.raises(
        ValueError, match="the same number of classes, but have 4 and 3: soft labels need a teacher of the same"
    ):
        hinton_kd(random(5, 4), random(5, 3), temperature=4.0)
