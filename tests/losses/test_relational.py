"""RKD-D and RKD-A: definitions in loops, the authors' values, what must not matter, degenerate batches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relbench.benchmarks.angle import naive_angle
from relbench.geometry import pairwise_distances, safe_scale
from relbench.losses import angle_eager, rkd_angle, rkd_distance
from relbench.losses.angle import EAGER, angle_loss
from relbench.losses.check_inputs import check_inputs

RelationalLoss = Callable[[Tensor, Tensor], Tensor]

REFERENCE = Path(__file__).parents[1] / "reference"
SIZES = ["4x3x5", "16x8x32", "33x16x64"]


def eager_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """`rkd_angle` as it is where no faster kernel is installed."""
    student, teacher = check_inputs(student, teacher, least=2)
    return angle_loss(
        *(pairwise_distances(rows * safe_scale(rows)) for rows in (student, teacher)), EAGER.loss_and_gradient
    )


ANGLES = [rkd_angle, eager_angle]
LOSSES = [rkd_distance, *ANGLES]
both = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
of_angles = pytest.mark.parametrize("angle", ANGLES, ids=lambda loss: loss.__name__)


def random_batch(batch: int, student_dim: int, teacher_dim: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(batch, student_dim, generator=generator, dtype=torch.float64)
    return student, torch.randn(batch, teacher_dim, generator=generator, dtype=torch.float64)


def value_and_gradient(loss: RelationalLoss, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    rows = student.detach().clone().requires_grad_()
    value = loss(rows, teacher)
    (gradient,) = torch.autograd.grad(value, rows)
    return value.detach(), gradient


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def huber(difference: float) -> float:
    return difference**2 / 2 if abs(difference) < 1 else abs(difference) - 0.5


def cosine(first: Tensor, vertex: Tensor, second: Tensor) -> float:
    one, other = first - vertex, second - vertex
    lengths = float(one.norm() * other.norm())
    return float(one @ other) / lengths if lengths else 0.0


def rkd_distance_in_loops(student: Tensor, teacher: Tensor) -> float:
    count = len(student)
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    lengths = [{(i, j): max(float((rows[i] - rows[j]).norm()), 1e-6) for i, j in pairs} for rows in (student, teacher)]
    means = [sum(side.values()) / len(pairs) for side in lengths]
    return sum(huber(lengths[0][p] / means[0] - lengths[1][p] / means[1]) for p in pairs) / count**2


def rkd_angle_in_loops(student: Tensor, teacher: Tensor) -> float:
    count = range(len(student))
    triples = [(i, j, k) for i in count for j in count for k in count]
    return sum(
        huber(cosine(student[i], student[j], student[k]) - cosine(teacher[i], teacher[j], teacher[k]))
        for i, j, k in triples
    ) / len(triples)


DEFINITIONS = {rkd_distance: rkd_distance_in_loops} | dict.fromkeys(ANGLES, rkd_angle_in_loops)


def rkd_distance_broadcast(student: Tensor, teacher: Tensor) -> Tensor:
    """All differences at once: what 512 dimensions are checked against."""

    def relative(rows: Tensor) -> Tensor:
        squares = (rows[:, None] - rows[None]).square().sum(dim=2).clamp_min(1e-12)
        distances = squares.sqrt() * (1 - torch.eye(len(rows), dtype=rows.dtype))
        return distances / distances[distances > 0].mean()

    return torch.nn.functional.smooth_l1_loss(relative(student), relative(teacher))


BROADCAST = {rkd_distance: rkd_distance_broadcast} | dict.fromkeys(ANGLES, naive_angle)


@both
@given(st.integers(2, 6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_equals_its_definition_in_loops(loss: RelationalLoss, batch: int, student_dim: int, dim: int, seed: int):
    student, teacher = random_batch(batch, student_dim, dim, seed)
    student[-1] = student[0]  # a student that cannot tell two images apart
    assert float(loss(student, teacher)) == pytest.approx(DEFINITIONS[loss](student, teacher), rel=1e-9, abs=1e-14)


@both
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_agrees_with_the_authors_code(loss: RelationalLoss, size: str, dtype: torch.dtype, tolerance: float):
    reference = np.load(REFERENCE / f"{'rkd_angle' if loss in ANGLES else 'rkd_distance'}_{size}.npz")
    student, teacher, expected, expected_gradient = (
        torch.from_numpy(reference[name]) for name in ("student", "teacher", "loss", "student_grad")
    )
    value, gradient = value_and_gradient(loss, student.to(dtype), teacher.to(dtype))
    assert value.dtype == gradient.dtype == dtype
    assert relative_error(value, expected) < tolerance
    assert relative_error(gradient, expected_gradient) < tolerance


@both
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_agrees_with_all_differences_at_once_in_512_dimensions(
    loss: RelationalLoss, dtype: torch.dtype, tolerance: float
):
    student, teacher = random_batch(48, 512, 512)
    expected, expected_gradient = value_and_gradient(BROADCAST[loss], student, teacher)
    value, gradient = value_and_gradient(loss, student.to(dtype), teacher.to(dtype))
    assert relative_error(value, expected) < tolerance
    assert relative_error(gradient, expected_gradient) < tolerance


@pytest.mark.parametrize("batch", [2, 3, 5, 33, 128])
@pytest.mark.parametrize("vertices", [1, 4, 7, 128])
def test_angle_is_the_same_in_slabs_of_any_size(batch: int, vertices: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(angle_eager._SLAB_ANGLES, "cpu", vertices * batch**2)
    student, teacher = random_batch(batch, 6, 9)
    expected, expected_gradient = value_and_gradient(naive_angle, student, teacher)
    value, gradient = value_and_gradient(eager_angle, student, teacher)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-15)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-8, atol=1e-12)


@both
def test_is_huber_not_squared_where_relations_are_opposite(loss: RelationalLoss):
    student = torch.tensor([[0.0], [1.0], [-1.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.0], [0.001], [1.0]], dtype=torch.float64)
    value, _ = value_and_gradient(loss, student, teacher)
    assert float(value) == pytest.approx(DEFINITIONS[loss](student, teacher), rel=1e-9)


@both
def test_shift_rotation_and_scale_of_either_side_do_not_matter(loss: RelationalLoss):
    student, teacher = random_batch(12, 5, 7)
    rotation = torch.linalg.qr(random_batch(5, 5, 1, seed=1)[0]).Q
    moved = 3 * student @ rotation + 7
    torch.testing.assert_close(loss(moved, 0.1 * teacher - 5), loss(student, teacher), rtol=1e-10, atol=0)


def unit_rows_in_loops(rows: Tensor) -> Tensor:
    return torch.stack([row / float(row.square().sum()) ** 0.5 if row.any() else row for row in rows])


of_unit_length = pytest.mark.parametrize("loss", [rkd_distance, rkd_angle], ids=lambda loss: loss.__name__)


@of_unit_length
@given(st.integers(2, 6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_at_unit_length_it_equals_its_definition_in_loops(loss, batch: int, student_dim: int, dim: int, seed: int):
    student, teacher = random_batch(batch, student_dim, dim, seed)
    student[-1] = 0.0  # a row without a direction stays where it is
    scaled = unit_rows_in_loops(student), unit_rows_in_loops(teacher)
    expected = DEFINITIONS[loss](*scaled)
    assert float(loss(student, teacher, unit_length=True)) == pytest.approx(expected, rel=1e-9, abs=1e-14)


@of_unit_length
def test_at_unit_length_the_size_of_a_row_does_not_matter(loss):
    """Of any row of either side, in float32 far beyond where squares are; and no gradient goes along it."""
    student, teacher = random_batch(6, 3, 4)
    sizes = torch.tensor([1.0, 5.0, 1e-30, 1e30, 0.1, 2.0], dtype=torch.float64)[:, None]
    expected, _ = value_and_gradient(lambda *rows: loss(*rows, unit_length=True), student, teacher)
    found = loss((sizes * student).float(), (sizes.flip(0) * teacher).float(), unit_length=True)
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=0)
    _, gradient = value_and_gradient(lambda *rows: loss(*rows, unit_length=True), student, teacher)
    assert (gradient * student).sum(dim=1).abs().max() < 1e-12
    assert gradient.abs().max() > 1e-3
    assert not torch.isclose(loss(sizes[[0, 1, 4, 5]] * student[:4], teacher[:4]), loss(student[:4], teacher[:4]))


@of_unit_length
def test_rows_of_unit_length_are_left_alone(loss):
    student, teacher = (unit_rows_in_loops(rows) for rows in random_batch(6, 3, 4))
    torch.testing.assert_close(loss(student, teacher, unit_length=True), loss(student, teacher))


@both
def test_order_of_the_batch_does_not_matter(loss: RelationalLoss):
    student, teacher = random_batch(12, 5, 7)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss(student[order], teacher[order]), loss(student, teacher))
    assert not torch.isclose(loss(student[order], teacher), loss(student, teacher))


@both
def test_a_student_like_its_teacher_has_no_loss_and_no_gradient(loss: RelationalLoss):
    rows, _ = random_batch(12, 5, 7)
    value, gradient = value_and_gradient(loss, 2 * rows + 1, rows)
    assert value < 1e-28
    assert gradient.abs().max() < 1e-14


@both
def test_gradient_agrees_with_finite_differences(loss: RelationalLoss):
    student, teacher = random_batch(6, 3, 4)
    assert torch.autograd.gradcheck(lambda rows: loss(rows, teacher), student.requires_grad_())


@both
def test_gradient_is_scaled_by_what_comes_after_the_loss(loss: RelationalLoss):
    student, teacher = random_batch(6, 3, 4)
    _, gradient = value_and_gradient(loss, student, teacher)
    _, scaled = value_and_gradient(lambda rows, target: 50 * loss(rows, target), student, teacher)
    torch.testing.assert_close(scaled, 50 * gradient)


@both
def test_the_teacher_gets_no_gradient(loss: RelationalLoss):
    student, teacher = random_batch(6, 3, 4)
    value = loss(student.requires_grad_(), teacher.requires_grad_())
    assert torch.autograd.grad(value, teacher, allow_unused=True) == (None,)
    assert not loss(student.detach(), teacher).requires_grad


@both
def test_a_second_derivative_is_refused(loss: RelationalLoss):
    student, teacher = random_batch(6, 3, 4)
    (gradient,) = torch.autograd.grad(loss(student.requires_grad_(), teacher), student, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        gradient.sum().backward()


DEGENERATE = {
    "all rows equal": torch.full((6, 4), 3.7),
    "all rows zero": torch.zeros(6, 4),
    "one dimension": torch.arange(6.0)[:, None],
    "two rows": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    "two equal rows": torch.ones(2, 3),
    "duplicates": torch.arange(12.0).reshape(3, 4).square().repeat(2, 1),
    "almost equal rows": torch.ones(6, 4) + 1e-7 * torch.eye(6, 4),
    "one outlier": torch.cat([torch.full((5, 4), 0.1), torch.full((1, 4), 1e6)]),
    "rows nearer than single precision": torch.cat([torch.zeros(3, 4), 1e-30 * torch.eye(3, 4)]),
}


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_batches_stay_finite_and_bounded(loss: RelationalLoss, rows: Tensor, dtype: torch.dtype):
    other = random_batch(len(rows), 5, 1)[0]
    for student, teacher in ((rows, other), (other, rows), (rows, rows)):
        value, gradient = value_and_gradient(loss, student.to(dtype), teacher.to(dtype))
        assert 0 <= value <= len(rows)
        assert gradient.isfinite().all()


@of_angles
def test_equal_rows_pull_on_nothing_they_have_no_direction_to(angle: RelationalLoss):
    student, teacher = random_batch(6, 3, 4)
    student[1] = student[0]
    _, gradient = value_and_gradient(angle, student, teacher)
    assert gradient.abs().max() < 1  # where the authors' form has 1e9 and more


def test_rkd_distance_counts_equal_rows_as_the_authors_do():
    student = torch.tensor([[0.0], [0.0], [3.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    # Pairs 01, 02, 12 of the student: 1e-6, 3, 3, mean 2, relative 0, 1.5, 1.5.
    # Of the teacher: 1, 2, 1, mean 4/3, relative 0.75, 1.5, 0.75.
    expected = 2 * (0.75**2 / 2 + 0.0 + 0.75**2 / 2) / 9
    assert float(rkd_distance(student, teacher)) == pytest.approx(expected, rel=1e-5)


@of_angles
@pytest.mark.parametrize("nearness", [1.0, 1e-1, 1e-2, 1e-3, 1e-4])
def test_float32_gradient_of_nearly_equal_rows_errs_as_documented(angle: RelationalLoss, nearness: float):
    far, noise = random_batch(6, 512, 512)
    student = torch.cat([far, far + nearness * noise]).float()
    teacher = random_batch(12, 1, 32, seed=5)[1]
    distances = torch.pdist(student.double())
    ratio = float(distances.max() / distances.min())
    value, gradient = value_and_gradient(angle, student, teacher.float())
    expected, expected_gradient = value_and_gradient(angle, student.double(), teacher)
    assert relative_error(gradient, expected_gradient) < 4 * torch.finfo(torch.float32).eps * ratio
    assert relative_error(value, expected) < 4 * torch.finfo(torch.float32).eps * ratio


SCALES = [1e-33, 1e-30, 1e-25, 1e-20, 1e-19, 1e-12, 1e12, 1e18, 1e19, 1e25, 1e30]


@both
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("nearness", [1.0, 1e-2])
def test_single_precision_is_accurate_at_any_scale_of_either_side(loss: RelationalLoss, scale: float, nearness: float):
    far, teacher = random_batch(12, 6, 7)
    rows = torch.cat([far[:6], far[:6] + nearness * far[6:]])
    for student, target in (((scale * rows).float(), teacher.float()), (rows.float(), (scale * teacher).float())):
        value, gradient = value_and_gradient(loss, student, target)
        expected, expected_gradient = value_and_gradient(loss, student.double(), target.double())
        tolerance = 1e-5 / nearness
        assert relative_error(value, expected) < tolerance
        assert gradient.isfinite().all()
        assert (gradient.double() - expected_gradient).norm() <= tolerance * expected_gradient.norm()


@of_angles
@pytest.mark.parametrize("scale", SCALES)
def test_double_precision_angles_do_not_depend_on_the_scale(angle: RelationalLoss, scale: float):
    student, teacher = random_batch(12, 6, 7)
    power = 2.0 ** round(np.log2(scale))
    value, gradient = value_and_gradient(angle, student, teacher)
    scaled, scaled_gradient = value_and_gradient(angle, power * student, teacher / power)
    torch.testing.assert_close(scaled, value, rtol=1e-12, atol=0)
    torch.testing.assert_close(scaled_gradient * power, gradient, rtol=1e-9, atol=1e-15)


@of_angles
@pytest.mark.parametrize("scale", [1e-45, 1e-42, 1e-39, 1e-37])
def test_a_student_as_small_as_single_precision_has_a_finite_gradient(angle: RelationalLoss, scale: float):
    student, teacher = random_batch(12, 6, 7)
    value, gradient = value_and_gradient(angle, (scale * student).float(), teacher.float())
    assert 0 < value < 1.5
    assert gradient.isfinite().all()


@of_angles
def test_rows_that_differ_by_little_in_few_columns_have_a_finite_gradient(angle: RelationalLoss):
    student, teacher = random_batch(12, 6, 7)
    for scale in (1e-17, 1e-19, 3e-20, 1e-21, 1e-23, 1e-30):
        rows = torch.cat([torch.ones(12, 1), (scale * student).float()], dim=1)
        value, gradient = value_and_gradient(angle, rows, teacher.float())
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_a_student_below_the_floor_of_distances_has_no_gradient():
    student, teacher = random_batch(6, 3, 4)
    value, gradient = value_and_gradient(rkd_distance, 1e-8 * student, teacher)
    assert value == pytest.approx(rkd_distance_in_loops(1e-8 * student, teacher), rel=1e-9)
    assert gradient.eq(0).all()


@both
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(loss: RelationalLoss, dtype: torch.dtype):
    student, teacher = (rows.to(dtype) for rows in random_batch(16, 8, 32))
    value, gradient = value_and_gradient(loss, student, teacher)
    expected, expected_gradient = value_and_gradient(loss, student.float(), teacher.float())
    assert gradient.dtype == dtype
    assert value == expected
    assert torch.equal(gradient, expected_gradient.to(dtype))


@both
def test_autocast_changes_nothing(loss: RelationalLoss):
    student, teacher = (rows.float() for rows in random_batch(16, 8, 32))
    expected, expected_gradient = value_and_gradient(loss, student, teacher)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradient = value_and_gradient(loss, student, teacher)
    assert torch.equal(value, expected)
    assert torch.equal(gradient, expected_gradient)


@both
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_not_finite_stays_visible(loss: RelationalLoss, value: float, dtype: torch.dtype):
    rows, other = (rows.to(dtype) for rows in random_batch(4, 3, 3))
    rows[1, 1] = value
    assert not loss(rows, other).isfinite()
    assert not loss(other, rows).isfinite()


@both
def test_what_is_no_tensor_is_refused(loss: RelationalLoss):
    student, teacher = random_batch(4, 3, 3)
    with pytest.raises(TypeError, match=r"^student must be a torch tensor, but is a ndarray$"):
        loss(student.numpy(), teacher)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^teacher must be a torch tensor, but is a list$"):
        loss(student, teacher.tolist())  # type: ignore[arg-type]


@both
@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        (torch.zeros(4), torch.zeros(4, 2), r"student must be a floating matrix .* shape \(4,\)"),
        (torch.zeros(4, 2), torch.zeros(4, 2, 1), r"teacher must be a floating matrix .* shape \(4, 2, 1\)"),
        (torch.zeros(4, 2, dtype=torch.bool), torch.zeros(4, 2), "student must be a floating matrix .* torch.bool"),
        (torch.zeros(4, 0), torch.zeros(4, 2), r"student must be a floating matrix .* shape \(4, 0\)"),
        (torch.zeros(4, 2), torch.zeros(5, 2), "have 4 and 5 rows"),
        (torch.zeros(1, 2), torch.zeros(1, 2), "at least 2 rows"),
        (torch.zeros(0, 2), torch.zeros(0, 2), "at least 2 rows"),
    ],
)
def test_what_cannot_be_compared_is_refused(loss: RelationalLoss, student: Tensor, teacher: Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        loss(student, teacher)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@both
def test_a_gpu_gives_the_same(loss: RelationalLoss):
    student, teacher = (rows.float() for rows in random_batch(64, 32, 128))
    expected, expected_gradient = value_and_gradient(loss, student, teacher)
    value, gradient = value_and_gradient(loss, student.cuda(), teacher.cuda())
    torch.testing.assert_close(value.cpu(), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient.cpu(), expected_gradient, rtol=1e-4, atol=1e-8)
