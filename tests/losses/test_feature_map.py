"""FitNet, attention transfer, neuron selectivity: definitions in loops, maps of other shapes, the projection."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relbench.losses import FitNet, FitNetRegressor, attention_transfer, fitnet, neuron_selectivity

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


def test_drawing_first_values_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    FitNet(student_channels=3, teacher_channels=5)
    regressor(2, 4)
    assert torch.equal(torch.random.get_rng_state(), before)


def regressor(side: int, target: int, seed: int = 0) -> FitNetRegressor:
    sizes = {"student_map_size": side, "teacher_map_size": target}
    return FitNetRegressor(student_channels=2, teacher_channels=3, seed=seed, **sizes)


def convolved_in_loops(module: FitNetRegressor, maps: Tensor, target: int) -> Tensor:
    """Each pixel of the result: over the pixels that its window covers, or, transposed, the windows that cover it."""
    (weight,) = (parameter.detach().double() for parameter in module.regressor[0].parameters())
    side, result = maps.shape[2], torch.zeros(len(maps), 3, target, target, dtype=torch.float64)
    width = weight.shape[2]
    for y, x, v, u in torch.cartesian_prod(*(torch.arange(n) for n in (target, target, side, side))).tolist():
        if side == target:
            dy, dx = v - y, u - x
        elif side > target:
            dy, dx = v - 2 * y + 1, u - 2 * x + 1
        else:
            dy, dx = y - 2 * v + 1, x - 2 * u + 1
        if 0 <= dy < width and 0 <= dx < width:
            kernel = weight[:, :, dy, dx].T if side < target else weight[:, :, dy, dx]
            result[:, :, y, x] += maps[:, :, v, u] @ kernel.T
    return result


@pytest.mark.parametrize(("side", "target"), [(3, 3), (6, 3), (4, 2), (2, 4), (1, 2), (1, 1)])
def test_the_regressor_equals_its_definition_in_loops(side: int, target: int):
    student, teacher = random(4, 2, side, side), random(4, 3, target, target, seed=1)
    module = regressor(side, target)
    torch.nn.init.uniform_(module.regressor[1].weight, 0.5, 2)
    torch.nn.init.uniform_(module.regressor[1].bias, -1, 1)
    gain, shift = (parameter.detach().double().tolist() for parameter in module.regressor[1].parameters())
    convolved = convolved_in_loops(module, student, target)
    total = 0.0
    for c in range(3):
        values, targets = convolved[:, c].flatten().tolist(), teacher[:, c].flatten().tolist()
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values) + 1e-5)
        found = [max(0.0, gain[c] * (value - mean) / deviation + shift[c]) for value in values]
        total += sum((own - wanted) ** 2 for own, wanted in zip(found, targets, strict=True))
    assert module(student, teacher).item() == pytest.approx(total / teacher.numel(), rel=1e-9)


def test_the_regressor_does_not_see_level_and_scale_of_a_student():
    """They are normalised away, but for the small number that keeps variances above 0."""
    student, teacher = random(4, 2, 4, 4), random(4, 3, 4, 4, seed=1)
    module = regressor(4, 4)
    torch.testing.assert_close(module(50 * student - 7, teacher), module(student, teacher), rtol=1e-3, atol=0)
    assert not torch.isclose(module(student, 2 * teacher), module(student, teacher), rtol=1e-2)


@pytest.mark.parametrize(("side", "target"), [(4, 4), (4, 2), (2, 4)])
def test_a_regressor_learns_the_teacher(side: int, target: int):
    student = random(16, 2, side, side).float()
    with torch.no_grad():
        teacher = regressor(side, target, seed=5).regressor(student)
    module = regressor(side, target)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    before = module(student, teacher).item()
    for _ in range(300):
        optimizer.zero_grad()
        module(student, teacher).backward()
        optimizer.step()
    assert module(student, teacher).item() < before / 2  # a ReLU can end in a local minimum


def test_the_regressor_starts_as_torchs_layers_do_and_from_its_seed():
    module = regressor(2, 4, seed=6)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        expected = torch.nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1)  # whose bias is drawn after the weight
    assert torch.equal(module.regressor[0].weight, expected.weight)
    assert not torch.equal(module.regressor[0].weight, regressor(2, 4, seed=7).regressor[0].weight)
    assert module.state_dict().keys() == dict(module.named_parameters()).keys()  # nothing is kept of past batches


def test_no_parameter_of_the_regressor_has_a_gradient_of_rounding_alone():
    """A bias below the normalisation would, and would differ between machines in all its digits."""
    student, teacher = random(4, 2, 4, 4), random(4, 3, 4, 4, seed=1)
    module = regressor(4, 4)
    narrow = torch.autograd.grad(module(student.float(), teacher.float()), tuple(module.parameters()))
    wide = torch.autograd.grad(module.double()(student, teacher), tuple(module.parameters()))
    for found, expected in zip(narrow, wide, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6 * expected.abs().max().item())


def test_the_regressor_is_the_same_in_evaluation():
    student, teacher = random(4, 2, 4, 4), random(4, 3, 4, 4, seed=1)
    module = regressor(4, 4)
    assert torch.equal(module.eval()(student, teacher), module.train()(student, teacher))


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
        (
            lambda: regressor(5, 4),
            "has 5 pixels a side and the teacher's 4, but must have as many, twice or half: choose",
        ),
        (lambda: regressor(2, 8), "has 2 pixels a side and the teacher's 8"),
        (lambda: regressor(7, 4), "has 7 pixels a side and the teacher's 4"),
        (lambda: regressor(0, 0), "channels and sides must be positive numbers, not 2 and 3, 0 and 0"),
        (
            lambda: regressor(2, 2)(random(2, 2, 2, 2), random(2, 3, 2, 1)),
            r"made for maps of the shape \(3, 2, 2\), but got \(3, 2, 1\)",
        ),
        (lambda: regressor(2, 2)(random(2, 3, 2, 2), random(2, 3, 2, 2)), r"\(2, 2, 2\), but got \(3, 2, 2\)"),
        (lambda: regressor(1, 1)(random(2, 2), random(2, 3)), r"student must be a floating map \(batch, channels"),
        (lambda: regressor(2, 2)(random(1, 2, 2, 2), random(1, 3, 2, 2)), "at least 2 rows in the batch"),
        (lambda: attention_transfer(random(2, 3), random(2, 3)), r"student must be a floating map \(batch, channels"),
        (lambda: neuron_selectivity(random(2, 3, 1, 1), random(2, 3)), "teacher must be a floating map"),
    ],
)
def test_what_does_not_fit_is_refused(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
