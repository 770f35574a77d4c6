"""Distances and cosines against their definitions in coordinates."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relbench.geometry import Sides, pairwise_distances, safe_scale


def random_rows(count: int, dim: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def all_cosines(rows: Tensor) -> Tensor:
    count = len(rows)
    sides = Sides.of(pairwise_distances(rows))
    return sides.at(slice(0, count)).cosines(out=rows.new_empty(count, count, count))


def cosine_in_coordinates(first: Tensor, vertex: Tensor, second: Tensor) -> float:
    one, other = first - vertex, second - vertex
    if one.norm() == 0 or other.norm() == 0:
        return 0.0
    return float(one @ other / (one.norm() * other.norm()))


def test_distances_are_the_lengths_of_differences():
    rows = random_rows(5, 3)
    distances = pairwise_distances(rows)
    for i in range(5):
        for k in range(5):
            assert distances[i, k] == pytest.approx(math.dist(rows[i].tolist(), rows[k].tolist()), rel=1e-14)


def test_equal_rows_are_at_distance_exactly_zero_wherever_they_lie():
    rows = random_rows(40, 300, dtype=torch.float32)
    distances = pairwise_distances(torch.cat([rows, rows]) + 1000)
    assert distances.diagonal(40).eq(0).all()
    assert distances.diagonal().eq(0).all()


def test_small_distances_far_from_the_origin_are_as_accurate_as_any():
    rows = 100 + 1e-3 * random_rows(20, 512, dtype=torch.float32)
    torch.testing.assert_close(pairwise_distances(rows).double(), pairwise_distances(rows.double()), rtol=4e-7, atol=0)


def test_distances_of_half_precision_rows_are_float32():
    rows = random_rows(4, 3, dtype=torch.float16)
    assert torch.equal(pairwise_distances(rows), pairwise_distances(rows.float()))


def test_gradient_of_distances():
    rows = random_rows(5, 3).requires_grad_()
    assert torch.autograd.gradcheck(pairwise_distances, rows)


def test_gradient_between_equal_rows_is_zero():
    rows = torch.ones(3, 2, requires_grad=True)
    pairwise_distances(rows).sum().backward()
    assert rows.grad is not None
    assert rows.grad.eq(0).all()


@pytest.mark.parametrize(("dtype", "lowest", "highest"), [(torch.float32, -149, 128), (torch.float64, -1074, 1024)])
def test_a_safe_scale_is_a_power_of_two_that_brings_magnitudes_near_one(dtype: torch.dtype, lowest: int, highest: int):
    for exponent in range(lowest, highest):
        largest = torch.tensor(math.ldexp(1.0, exponent), dtype=torch.float64).to(dtype)
        scale = safe_scale(largest)
        assert scale.dtype == dtype
        assert torch.finfo(dtype).tiny <= scale < torch.inf
        assert math.frexp(float(scale))[0] == 0.5
        limits = torch.finfo(dtype)
        assert limits.tiny**0.5 * limits.eps / 2 <= largest * scale < 2.0**30  # the lowest are subnormal


def test_a_safe_scale_leaves_ordinary_magnitudes_and_zero_alone():
    for largest in (0.0, 2.0**-31, 1e-9, 1.0, 1e9, 2.0**30 - 100):
        assert safe_scale(torch.tensor(largest)) == 1


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_visible(value: float):
    rows = random_rows(4, 3)
    rows[1, 1] = value
    assert not pairwise_distances(rows).isfinite().all()
    assert not (value * safe_scale(torch.tensor(abs(value)))).isfinite()


@pytest.mark.parametrize("scale", [1e-15, 1e-12, 1.0, 1e12, 1e15])
def test_distances_and_their_gradient_are_accurate_where_squares_are(scale: float):
    rows = (scale * random_rows(12, 5)).float().requires_grad_()
    exact = rows.detach().double().requires_grad_()
    weights = random_rows(12, 12, seed=1)
    distances, expected = pairwise_distances(rows), pairwise_distances(exact)
    torch.testing.assert_close(distances.double(), expected, rtol=4e-7, atol=0)
    (gradient,) = torch.autograd.grad((distances * weights.float()).sum(), rows)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), exact)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-5, atol=1e-5)


def test_second_derivative_is_refused():
    rows = random_rows(4, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(pairwise_distances(rows).sum(), rows, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        gradient.sum().backward()


@given(st.integers(2, 7), st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_cosines_follow_from_distances_alone(count: int, dim: int, seed: int):
    rows = random_rows(count, dim, seed)
    rows[-1] = rows[0]
    cosines = all_cosines(rows)
    for j in range(count):
        for i in range(count):
            for k in range(count):
                expected = cosine_in_coordinates(rows[i], rows[j], rows[k])
                assert cosines[j, i, k] == pytest.approx(expected, abs=1e-9)


def test_cosines_at_some_vertices_are_a_part_of_all():
    rows = random_rows(6, 3)
    some = Sides.of(pairwise_distances(rows)).at(slice(2, 5)).cosines(out=rows.new_empty(3, 6, 6))
    assert torch.equal(some, all_cosines(rows)[2:5])


def test_subtracting_cosines_equals_a_subtraction():
    rows, minuend = random_rows(6, 3), torch.rand(6, 6, 6, dtype=torch.float64)
    corners = Sides.of(pairwise_distances(rows)).at(slice(0, 6))
    difference = corners.subtract_cosines(minuend, out=torch.empty_like(minuend))
    torch.testing.assert_close(difference, minuend - all_cosines(rows))


def test_rows_too_near_to_have_a_direction_count_as_equal():
    cosines = all_cosines(torch.tensor([[0.0], [1.0], [1.0 + 1e-5], [1.0 + 1e-4]]))
    assert cosines[1, 0, 2] == 0  # 1e-5 of the largest distance: no direction
    assert cosines[1, 0, 3] == pytest.approx(-1, abs=1e-2)  # 1e-4 of it: a direction


def test_opposite_the_vertex_rows_may_be_as_near_as_they_like():
    cosines = all_cosines(torch.tensor([[0.0, 0.0], [3e-5, 0.0], [2.5e-5, 2e-5], [0.0, 1.0]]))
    assert cosines[0, 1, 2] == pytest.approx(2.5 / math.hypot(2.5, 2), rel=1e-5)


@pytest.mark.parametrize("nearness", [1.0, 1e-1, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("dim", [2, 512])
def test_float32_cosines_err_by_eight_eps_times_the_ratio_of_the_sides(dim: int, nearness: float):
    far, noise = random_rows(6, dim, 1, torch.float32), random_rows(6, dim, 2, torch.float32)
    rows = torch.cat([far, far + nearness * noise])
    distances = pairwise_distances(rows.double())
    ratio = distances[:, :, None] / distances[:, None, :]
    ratio = torch.maximum(ratio, 1 / ratio)
    unequal = Sides.of(pairwise_distances(rows)).inverses > 0
    errors = (all_cosines(rows).double() - all_cosines(rows.double())).abs() / ratio
    assert errors[unequal[:, :, None] & unequal[:, None, :]].max() <= 8 * torch.finfo(torch.float32).eps
