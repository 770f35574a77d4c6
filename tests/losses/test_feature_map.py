"""FitNet, attention transfer, neuron selectivity: definitions in loops, maps of other shapes, the projection."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relbench.losses import FitNet, attention_transfer, fitnet, neuron_selectivity

Rows = list[list[float]]
maps = given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**31))
few = settings(max_examples=25, deadline=None)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(values: list[float]) -> list[float]:
    length = math.hypot(*values)
    return [value / length for value in values]


def attention(image: Rows) -> list[float]:
    """From channels of pixels."""
    return unit([sum(value**2 for value in pixel) / len(pixel) for pixel in zip(*image, strict=True)])


def attention_in_loops(student: list[Rows], teacher: list[Rows]) -> float:
    pairs = [
        (p, q)
        for own, target in zip(student, teacher, strict=True)
        for p, q in zip(attention(own), attention(target), strict=True)
    ]
    return sum((p - q) ** 2 for p, q in pairs) / len(pairs)


def mean_kernel(first: Rows, second: Rows) -> float:
    kernels = [sum(a * b for a, b in zip(unit(x), unit(y), strict=True)) ** 2 for x in first for y in second]
    return sum(kernels) / len(kernels)


def selectivity_in_loops(student: list[Rows], teacher: list[Rows]) -> float:
    each = [
        mean_kernel(s, s) + mean_kernel(t, t) - 2 * mean_kernel(s, t) for s, t in zip(student, teacher, strict=True)
    ]
    return sum(each) / len(each)


@pytest.mark.parametrize(
    ("loss", "in_loops"),
    [(attention_transfer, attention_in_loops), (neuron_selectivity, selectivity_in_loops)],
    ids=lambda loss: loss.__name__,
)
@maps
@few
def test_equals_its_definition_in_loops(loss, in_loops, batch, channels, teacher_channels, height, seed):
    student, teacher = (
        random(batch, channels, height, 2, seed=seed),
        random(batch, teacher_channels, height, 2, seed=seed + 1),
    )
    expected = in_loops(student.flatten(2).tolist(), teacher.flatten(2).tolist())
    assert float(loss(student, teacher)) == pytest.approx(expected, rel=1e-9, abs=1e-13)


def test_fitnet_equals_its_definition_in_loops():
    student, teacher = random(2, 3, 2, 2), random(2, 4, 2, 2, seed=1)
    module = FitNet(student_channels=3, teacher_channels=4).double()
    total = 0.0
    for b, c, y, x in torch.cartesian_prod(*(torch.arange(n) for n in teacher.shape)).tolist():
        projected = sum(float(module.weight.detach()[c, k] * student[b, k, y, x]) for k in range(3))
        total += (projected - float(teacher[b, c, y, x])) ** 2
    assert module(student, teacher).item() == pytest.approx(total / teacher.numel())


@pytest.mark.parametrize("loss", [fitnet, attention_transfer, neuron_selectivity])
def test_the_larger_map_is_averaged_down_axis_by_axis(loss):
    student, teacher = random(3, 2, 2, 6), random(3, 2, 4, 3, seed=1)
    narrow = student.unfold(3, 2, 2).mean(dim=-1)
    low = teacher.unfold(2, 2, 2).mean(dim=-1)
    torch.testing.assert_close(loss(student, teacher), loss(narrow, low))


@pytest.mark.parametrize("loss", [attention_transfer, neuron_selectivity])
def test_a_copy_has_no_loss_and_size_of_either_side_does_not_matter(loss):
    student, teacher = random(3, 4, 3, 3), random(3, 2, 3, 3, seed=1)
    torch.testing.assert_close(loss(1e4 * student, 1e-3 * teacher), loss(student, teacher))
    assert loss(2 * teacher, teacher).abs() < 1e-14
    torch.testing.assert_close(loss(student.flip(1), -teacher), loss(student, teacher))  # order and sign of channels


def test_neuron_selectivity_is_the_same_by_channels_and_by_pixels():
    """Many channels on few pixels: by moments of pixels. The same patterns, repeated over the image: by channels."""
    student, teacher = random(2, 20, 2, 1), random(2, 30, 2, 1, seed=1)
    longer = [torch.cat([features] * 20, dim=2) for features in (student, teacher)]
    torch.testing.assert_close(neuron_selectivity(*longer), neuron_selectivity(student, teacher))


def test_attention_without_pooling_refuses_other_sizes():
    with pytest.raises(ValueError, match=r"have the sizes \(2, 2\) and \(3, 2\): allow pooling with pool=True"):
        attention_transfer(random(2, 3, 2, 2), random(2, 3, 3, 2), pool=False)


def test_a_trained_projection_is_a_parameter_that_learns_the_teacher():
    student = random(64, 3).float()
    teacher = student @ random(3, 5, seed=1).float()
    module = FitNet(student_channels=3, teacher_channels=5)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    before = module(student, teacher).item()
    for _ in range(200):
        optimizer.zero_grad()
        module(student, teacher).backward()
        optimizer.step()
    assert module(student, teacher).item() < 1e-3 * before


def test_an_untrained_projection_is_kept_and_saved_but_not_trained():
    module = FitNet(student_channels=3, teacher_channels=5, trained=False, seed=4)
    assert list(module.parameters()) == []
    assert torch.equal(
        module.state_dict()["weight"], FitNet(student_channels=3, teacher_channels=5, seed=4).state_dict()["weight"]
    )
    assert not module.weight.requires_grad


def test_the_projection_starts_small_and_from_its_seed():
    weight = FitNet(student_channels=100, teacher_channels=50, seed=1).weight.detach()
    assert 0.0049 < weight.abs().max() <= 0.005
    assert weight.mean().abs() < 1e-4
    assert torch.equal(weight, FitNet(student_channels=100, teacher_channels=50, seed=1).weight)
    assert not torch.equal(weight, FitNet(student_channels=100, teacher_channels=50, seed=2).weight)


def test_drawing_the_projection_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    FitNet(student_channels=3, teacher_channels=5)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fitnet(random(2, 3, 1, 1), random(2, 4, 1, 1)), "channels, but have 3 and 4: project the student"),
        (lambda: fitnet(random(2, 3, 1, 1), random(2, 3)), "the same number of dimensions, but have 4 and 2"),
        (
            lambda: FitNet(student_channels=3, teacher_channels=4)(random(2, 4), random(2, 4)),
            "made for 3 and 4 channels, but got 4 and 4",
        ),
        (lambda: FitNet(student_channels=0, teacher_channels=4), "channels must be positive numbers, not 0 and 4"),
        (lambda: attention_transfer(random(2, 3), random(2, 3)), r"student must be a floating map \(batch, channels"),
        (lambda: neuron_selectivity(random(2, 3, 1, 1), random(2, 3)), "teacher must be a floating map"),
    ],
)
def test_what_does_not_fit_is_refused(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
