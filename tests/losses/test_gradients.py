"""Losses in float32 for short and for long embeddings: gradients against those in float64, and claims at the ends."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from relbench.losses import (
    LOSSES,
    attention_transfer,
    hard_darkrank,
    hinton_kd,
    neuron_selectivity,
    refilled_classifier,
    refilled_embedding,
    rkd_angle,
    rkd_distance,
)
from relbench.ranks import ALONE

BATCH, CLASSES, DIM, CHANNELS, SIDE = 24, 8, 16, 6, 4
LABELS = torch.arange(BATCH) // (BATCH // CLASSES)
FACTS = {
    "num_classes": CLASSES,
    "embedding_size": DIM,
    "teacher_size": DIM + 1,
    "student_channels": CHANNELS,
    "teacher_channels": CHANNELS + 1,
    "student_map_size": SIDE,
    "teacher_map_size": SIDE,
    "seed": 0,
}
OPTIONS = {"hinton_kd": {"temperature": 4.0}, "refilled_embedding": {"negatives": "nearest"}}
TEACHER_SHAPES = {
    "teacher": (BATCH, DIM + 1),
    "teacher_map": (BATCH, CHANNELS + 1, SIDE, SIDE),
    "teacher_logits": (BATCH, CLASSES),
    "centres": (CLASSES, DIM + 1),
}
STUDENT_SHAPES = {
    "student": (BATCH, DIM),
    "embeddings": (BATCH, DIM),
    "student_map": (BATCH, CHANNELS, SIDE, SIDE),
    "student_logits": (BATCH, CLASSES),
    "detached_logits": (BATCH, CLASSES),
    "support": (CLASSES, 1, DIM),
    "query": (CLASSES, BATCH // CLASSES - 1, DIM),
}


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def of_length(length: float, shape: tuple[int, ...], seed: int) -> Tensor:
    """What is said of an image is a row, of this length; rows of a class are somewhat nearer to each other."""
    rows = 2 * normal(*shape, seed=seed)
    rows += normal(CLASSES, *shape[1:], seed=seed + 1)[LABELS] if shape[0] == BATCH else 0
    return length * rows / rows.flatten(1).norm(dim=1).view(-1, *[1] * (len(shape) - 1))


def gradient(loss: Callable[..., Tensor], takes: tuple[str, ...], length: float, dtype: torch.dtype) -> Tensor:
    """With respect to the student, in float64 whatever it is computed in."""
    names = [name for name in takes if name in STUDENT_SHAPES]
    students = {
        name: of_length(length, STUDENT_SHAPES[name], seed).to(dtype).requires_grad_()
        for seed, name in zip((0, 5), names, strict=False)
    }
    given = {**students, "labels": LABELS, "generator": torch.Generator().manual_seed(0), "ranks": ALONE}
    given |= {other: of_length(1.0, TEACHER_SHAPES[other], 2).to(dtype) for other in TEACHER_SHAPES}
    loss(*[given[other] for other in takes]).backward()
    return torch.cat([student.grad.double().flatten() for student in students.values() if student.grad is not None])


@pytest.mark.parametrize("length", [1.0, 50.0, 300.0, 1000.0])
@pytest.mark.parametrize("name", LOSSES)
def test_a_gradient_in_float32_is_that_in_float64(name: str, length: float):
    entry = LOSSES[name]
    loss = entry.build(**{key: FACTS[key] for key in entry.needs}, **OPTIONS.get(name, {}))
    found = gradient(loss, entry.takes, length, torch.float32)
    wide = loss.double() if isinstance(loss, nn.Module) else loss
    expected = gradient(wide, entry.takes, length, torch.float64)
    assert expected.norm() > 0
    assert (found - expected).norm() < 3e-6 * expected.norm()


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("apart", [0.0, 1e-6, 1e-3])
def test_no_loss_is_below_0_by_more_than_it_says(length: float, apart: float):
    """Where student and teacher nearly agree, and rounding decides the sign."""
    for seed in range(5):
        student = length * normal(BATCH, CLASSES, seed=seed)
        teacher = student + apart * length * normal(BATCH, CLASSES, seed=seed + 1)
        assert hinton_kd(student, teacher, temperature=2.0) >= -4e-6
        assert refilled_embedding(student, teacher, LABELS, margin=length) >= -1e-9
        assert refilled_classifier(student, teacher, LABELS, normal(CLASSES, CLASSES, seed=seed)) >= -2e-6
        assert hard_darkrank(student, teacher) >= 0
        assert rkd_distance(student, teacher) >= 0
        assert 0 <= rkd_angle(student, teacher) <= 1.5
        assert rkd_angle(student, student) < 1e-10
        maps = [rows.view(BATCH, 2, 2, 2) for rows in (student, teacher)]
        assert neuron_selectivity(*maps) >= -1e-14
        assert attention_transfer(*maps) >= 0


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
def test_a_teachers_scale_changes_no_order(scale: float):
    """Squares of its distances would leave float32."""
    student, teacher = normal(BATCH, DIM, seed=0), normal(BATCH, DIM, seed=1)
    assert hard_darkrank(student, scale * teacher) == hard_darkrank(student, teacher)


@pytest.mark.parametrize("scale", [1e-25, 1e20])
def test_attention_is_of_any_scale(scale: float):
    """Squares of the features would leave float32."""
    student, teacher = normal(4, 3, 2, 2, seed=0), normal(4, 5, 2, 2, seed=1)
    large = (scale * student).requires_grad_()
    value = attention_transfer(large, teacher)
    assert value.item() == pytest.approx(attention_transfer(student, teacher).item(), rel=1e-5)
    value.backward()
    assert large.grad is not None
    assert large.grad.isfinite().all()
    assert large.grad.any()


@pytest.mark.parametrize("spread", ["even", "normal"])
@pytest.mark.parametrize("count", [16, 64])
def test_noise_of_the_angle_loss_on_a_line_is_as_small_as_it_says(count: int, spread: str):
    """The true gradient is 0: all cosines are 1 or -1, and stay so at first order."""
    line = torch.arange(count).float() if spread == "even" else normal(count, seed=0)
    student = line[:, None].clone().requires_grad_()
    distances = torch.pdist(student.detach())
    scattered = normal(count, 8, seed=1)
    scattered = (scattered * distances.mean() / torch.pdist(scattered).mean()).requires_grad_()
    for rows in (student, scattered):
        rkd_angle(rows, normal(count, 8, seed=2)).backward()
    assert student.grad is not None
    assert scattered.grad is not None
    ratio = float(distances.max() / distances.min())
    assert 0 < student.grad.norm() < 4 * torch.finfo(torch.float32).eps * ratio * scattered.grad.norm()
