"""PKT, similarity-preserving, correlation congruence: definitions in loops, and what must not matter."""

import math
from collections.abc import Callable
from itertools import chain, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relbench.losses import CorrelationCongruence, correlation_congruence, pkt, similarity_preserving

shapes = given(st.integers(2, 6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**31))
few = settings(max_examples=25, deadline=None)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dot(first: Tensor, second: Tensor) -> float:
    return sum(a * b for a, b in zip(first.flatten().tolist(), second.flatten().tolist(), strict=True))


def pkt_in_loops(student: Tensor, teacher: Tensor) -> float:
    def probabilities(rows: Tensor) -> list[list[float]]:
        lengths = [math.sqrt(dot(row, row)) + 1e-7 for row in rows]
        cosines = [
            [dot(a, b) / p / q for b, q in zip(rows, lengths, strict=True)] for a, p in zip(rows, lengths, strict=True)
        ]
        return [[(c + 1) / sum(d + 1 for d in row) for c in row] for row in cosines]

    pairs = zip(chain(*probabilities(teacher)), chain(*probabilities(student)), strict=True)
    return sum(p * math.log((p + 1e-7) / (q + 1e-7)) for p, q in pairs) / len(student) ** 2


def similarity_in_loops(student: Tensor, teacher: Tensor) -> float:
    def unit(images: Tensor) -> list[list[float]]:
        products = [[dot(a, b) for b in images] for a in images]
        return [[g / math.hypot(*row) for g in row] for row in products]

    pairs = zip(chain(*unit(teacher)), chain(*unit(student)), strict=True)
    return sum((p - q) ** 2 for p, q in pairs) / len(student) ** 2


def correlation_in_loops(student: Tensor, teacher: Tensor) -> float:
    differences = [[abs(float(x)) for x in row] for row in student - teacher]
    neighbours = list(pairwise(differences))
    return sum(a * b for one, other in neighbours for a, b in zip(one, other, strict=True)) / len(neighbours)


@shapes
@few
def test_pkt_equals_its_definition_in_loops(batch: int, student_dim: int, teacher_dim: int, seed: int):
    student, teacher = random(batch, student_dim, seed=seed), random(batch, teacher_dim, seed=seed + 1)
    assert float(pkt(student, teacher)) == pytest.approx(pkt_in_loops(student, teacher), rel=1e-8, abs=1e-14)


@shapes
@few
def test_similarity_preserving_equals_its_definition_in_loops(batch: int, channels: int, teacher_dim: int, seed: int):
    student, teacher = random(batch, channels, 2, 3, seed=seed), random(batch, teacher_dim, seed=seed + 1)
    expected = similarity_in_loops(student, teacher)
    assert float(similarity_preserving(student, teacher)) == pytest.approx(expected, rel=1e-9, abs=1e-14)


@given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 2**31))
@few
def test_correlation_congruence_equals_its_definition_in_loops(batch: int, dim: int, seed: int):
    student, teacher = random(batch, dim, seed=seed), random(batch, dim, seed=seed + 1)
    expected = correlation_in_loops(student, teacher)
    assert float(correlation_congruence(student, teacher)) == pytest.approx(expected, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("scale", [1e-1, 1.0, 1e4])
def test_pkt_looks_at_directions_only(scale: float):
    student, teacher = random(8, 3), random(8, 5, seed=1)
    rotation = torch.linalg.qr(random(3, 3, seed=2)).Q
    lengths = 1 + random(8, 1, seed=3).abs()
    found = pkt(scale * lengths * student @ rotation, teacher / lengths)
    torch.testing.assert_close(found, pkt(student, teacher), rtol=1e-3, atol=0)
    assert pkt(2 * student, student) < 1e-12


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_similarity_preserving_does_not_depend_on_scale_or_a_mix_of_channels(scale: float):
    student, teacher = random(8, 3, 2, 2), random(8, 5, 4, 1, seed=1)
    rotation = torch.linalg.qr(random(12, 12, seed=2)).Q
    mixed = (scale * student.flatten(1) @ rotation).reshape(8, 12, 1, 1)
    torch.testing.assert_close(similarity_preserving(mixed, -teacher), similarity_preserving(student, teacher))
    assert similarity_preserving(scale * student.float(), student.float()) < 1e-12


def test_similarity_preserving_has_rows_of_unit_euclidean_length():
    """Two images, orthogonal for the teacher, equal for the student: rows (1, 0) and (1, 1)/sqrt(2)."""
    student, teacher = torch.ones(2, 1), torch.eye(2)
    expected = 2 * ((1 - 0.5**0.5) ** 2 + 0.5) / 4
    assert similarity_preserving(student, teacher).item() == pytest.approx(expected)


def test_correlation_congruence_depends_on_the_order_of_the_batch():
    student = torch.tensor([[1.0], [0.0], [2.0], [0.0]])
    assert correlation_congruence(student, torch.zeros(4, 1)) == 0
    assert correlation_congruence(student[[0, 2, 1, 3]], torch.zeros(4, 1)).item() == pytest.approx(2 / 3)


def test_correlation_congruence_needs_equal_dimensions():
    with pytest.raises(ValueError, match="the same number of columns, but have 3 and 5: choose equal dimensions"):
        correlation_congruence(random(4, 3), random(4, 5))


def projecting(seed: int = 0) -> CorrelationCongruence:
    return CorrelationCongruence(embedding_size=3, teacher_size=5, seed=seed)


def test_the_module_projects_the_student_and_leaves_the_teacher():
    student, teacher = random(6, 3), random(6, 5, seed=1)
    module = projecting().double()
    weight, bias = (values.detach() for values in (module.projection.weight, module.projection.bias))
    projected = [[dot(row, w) + float(b) for w, b in zip(weight, bias, strict=True)] for row in student]
    expected = correlation_in_loops(torch.tensor(projected, dtype=torch.float64), teacher)
    assert module(student, teacher).item() == pytest.approx(expected, rel=1e-9)


def test_the_projection_learns_the_teacher():
    student = random(64, 3).float()
    teacher = student @ random(3, 5, seed=1).float() + 1
    module = projecting()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    before = module(student, teacher).item()
    for _ in range(300):
        optimizer.zero_grad()
        module(student, teacher).backward()
        optimizer.step()
    assert module(student, teacher).item() < 1e-2 * before


def test_the_projection_comes_from_its_seed_alone():
    before = torch.random.get_rng_state()
    first, again, other = (projecting(seed).state_dict()["projection.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: projecting()(random(4, 4), random(4, 5)), "columns, but have 4 and 3: the module was made for such"),
        (lambda: projecting()(random(4, 3), random(4, 3)), "columns, but have 5 and 3"),
        (lambda: projecting()(random(1, 3), random(1, 5)), "at least 2 rows"),
        (lambda: CorrelationCongruence(embedding_size=3, teacher_size=0), "sizes must be positive numbers, not 3 and"),
    ],
)
def test_the_module_refuses(call: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=message):
        call()
