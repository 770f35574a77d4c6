"""Hard DarkRank: its definition in loops, what must not matter, ties, options."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relbench.losses import hard_darkrank


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def likelihood(scores: list[float]) -> float:
    """Probability to draw items with these scores one after another, in this order."""
    weights = [math.exp(score) for score in scores]
    return math.prod(weight / sum(weights[place:]) for place, weight in enumerate(weights))


def in_loops(student: Tensor, teacher: Tensor, alpha: float, beta: float, length: int) -> float:
    total = 0.0
    for i in range(len(student)):
        others = sorted((j for j in range(len(student)) if j != i), key=lambda j: math.dist(teacher[i], teacher[j]))
        scores = [-alpha * math.dist(student[i], student[j]) ** beta for j in others[:length]]
        total -= math.log(likelihood(scores))
    return total / len(student)


@given(
    st.integers(3, 7), st.integers(1, 4), st.integers(0, 2**31), st.sampled_from([(3.0, 3.0), (2.0, 1.0), (0.5, 0.7)])
)
@settings(max_examples=40, deadline=None)
def test_equals_its_definition_in_loops(batch: int, dim: int, seed: int, powers: tuple[float, float]):
    student, teacher = 0.5 * random(batch, dim, seed=seed), random(batch, 3, seed=seed + 1)
    for length in range(2, batch):
        expected = in_loops(student, teacher, *powers, length)
        found = hard_darkrank(student, teacher, alpha=powers[0], beta=powers[1], list_length=length)
        assert float(found) == pytest.approx(expected, rel=1e-9)


def test_only_the_order_of_the_teachers_distances_matters():
    student, teacher = random(9, 3), random(9, 1, seed=1)
    expected = hard_darkrank(student, teacher)
    torch.testing.assert_close(hard_darkrank(student, 5 - 3 * teacher), expected)
    torch.testing.assert_close(hard_darkrank(student, torch.cat([teacher, teacher], dim=1)), expected)
    assert not torch.isclose(hard_darkrank(student, random(9, 1, seed=2)), expected)


def test_shift_and_rotation_of_the_student_do_not_matter_and_scale_does():
    student, teacher = random(9, 3), random(9, 4, seed=1)
    rotation = torch.linalg.qr(random(3, 3, seed=2)).Q
    expected = hard_darkrank(student, teacher)
    torch.testing.assert_close(hard_darkrank(student @ rotation + 7, teacher), expected)
    assert not torch.isclose(hard_darkrank(2 * student, teacher), expected)


def test_a_student_that_ranks_like_its_teacher_has_nearly_no_loss():
    teacher = (2.0 ** torch.arange(7, dtype=torch.float64))[:, None]
    assert hard_darkrank(2 * teacher, teacher, alpha=20.0) < 1e-6
    assert hard_darkrank(-2 * teacher.flip(0), teacher, alpha=20.0) > 1


def test_a_student_of_equal_rows_finds_all_orders_as_likely():
    student = torch.ones(6, 3, requires_grad=True)
    value = hard_darkrank(student, random(6, 2), list_length=4)
    value.backward()
    assert value.item() == pytest.approx(math.log(math.factorial(4)))
    assert student.grad is not None
    assert student.grad.eq(0).all()


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0, 3.0])
def test_duplicates_have_a_finite_gradient_at_any_power(beta: float):
    student = random(4, 3).repeat(2, 1).requires_grad_()
    hard_darkrank(student, random(8, 2, seed=1), beta=beta).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_a_row_is_never_in_its_own_list():
    """Where the teacher has equal rows, the first in the order need not be the row itself."""
    teacher = torch.tensor([[0.0], [0.0], [0.0], [9.0]], dtype=torch.float64)
    student = torch.tensor([[0.0], [1.0], [2.0], [4.0]], dtype=torch.float64)
    lists = {0: (1, 2, 3), 1: (0, 2, 3), 2: (0, 1, 3), 3: (0, 1, 2)}
    expected = [-math.log(likelihood([-abs(float(student[i] - student[j])) for j in js])) for i, js in lists.items()]
    found = hard_darkrank(student, teacher, alpha=1.0, beta=1.0, list_length=3)
    assert found.item() == pytest.approx(sum(expected) / 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "alpha must be a finite number above 0, not 0.0"),
        ({"beta": float("nan")}, "beta must be a finite number above 0, not nan"),
        ({"list_length": 1}, "list_length must be 2 or more, not 1: a single row has no order"),
        ({"list_length": 5}, "at least 6 rows in the batch, but there is 5"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        hard_darkrank(random(5, 2), random(5, 2), **options)  # type: ignore[arg-type]


def test_a_second_derivative_is_refused():
    student = random(6, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(hard_darkrank(student, random(6, 2)), student, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        gradient.sum().backward()
