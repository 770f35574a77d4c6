"""What every distillation method keeps: the public code's values, a constant teacher, finite gradients, refusals."""

import inspect
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import relbench.losses
from relbench.losses import (
    RKD_PRESETS,
    CorrelationCongruence,
    FitNet,
    FitNetRegressor,
    attention_transfer,
    class_centres,
    correlation_congruence,
    find_loss,
    fitnet,
    hard_darkrank,
    hinton_kd,
    neuron_selectivity,
    pkt,
    refilled_classifier,
    refilled_embedding,
    rkd_angle,
    rkd_distance,
    similarity_preserving,
)

REFERENCE = Path(__file__).parents[1] / "reference"
Method = Callable[[Tensor, Tensor], Tensor]
LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def stage_one(negatives: str) -> Method:
    def method(student: Tensor, teacher: Tensor) -> Tensor:
        return refilled_embedding(student, teacher, LABELS, negatives=negatives, margin=1.0)  # type: ignore[arg-type]

    return method


def stage_one_of_directions(student: Tensor, teacher: Tensor) -> Tensor:
    return refilled_embedding(student, teacher, LABELS, margin=1.0, unit_length=True)


def stage_two(student: Tensor, teacher: Tensor) -> Tensor:
    centres = class_centres(random(8, 7, seed=3), LABELS, 4)
    return refilled_classifier(student, teacher, LABELS, centres, teacher[:, :5], weighted=True, temperature=2.0)


@dataclass(frozen=True)
class Case:
    """A method, and shapes it takes; whether it looks at more than the rows that belong together."""

    method: Method
    student: tuple[int, ...]
    teacher: tuple[int, ...]
    keeps_order: bool = True
    reads_labels: bool = False

    def batch(self, seed: int = 0) -> tuple[Tensor, Tensor]:
        return random(*self.student, seed=seed), random(*self.teacher, seed=seed + 1)


MAP, LARGER_MAP = (8, 3, 2, 4), (8, 5, 4, 3)


def regressor(side: int, target: int) -> Case:
    sizes = {"student_map_size": side, "teacher_map_size": target}
    module = FitNetRegressor(student_channels=3, teacher_channels=5, seed=1, **sizes)
    return Case(module, (8, 3, side, side), (8, 5, target, target))


CASES = {
    "hard_darkrank": Case(hard_darkrank, (8, 3), (8, 5)),
    "hard_darkrank, whole list": Case(partial(hard_darkrank, alpha=0.3, beta=1.5, list_length=7), (8, 3), (8, 5)),
    "pkt": Case(pkt, (8, 3), (8, 5)),
    "similarity_preserving, rows": Case(similarity_preserving, (8, 3), (8, 5)),
    "similarity_preserving, maps": Case(similarity_preserving, MAP, LARGER_MAP),
    "similarity_preserving, both": Case(similarity_preserving, (8, 3), MAP),
    "correlation_congruence": Case(correlation_congruence, (8, 3), (8, 3), keeps_order=False),
    "CorrelationCongruence": Case(
        CorrelationCongruence(embedding_size=3, teacher_size=5, seed=1), (8, 3), (8, 5), keeps_order=False
    ),
    "fitnet": Case(fitnet, (8, 5, 2, 4), LARGER_MAP),
    "fitnet, rows": Case(fitnet, (8, 5), (8, 5)),
    "FitNet": Case(FitNet(student_channels=3, teacher_channels=5, seed=1), MAP, LARGER_MAP),
    "FitNet, untrained, rows": Case(FitNet(student_channels=3, teacher_channels=5, trained=False), (8, 3), (8, 5)),
    "FitNetRegressor, as large": regressor(3, 3),
    "FitNetRegressor, half": regressor(4, 2),
    "FitNetRegressor, twice": regressor(2, 4),
    "rkd_distance, unit length": Case(partial(rkd_distance, unit_length=True), (8, 3), (8, 5)),
    "rkd_angle, unit length": Case(partial(rkd_angle, unit_length=True), (8, 3), (8, 5)),
    "attention_transfer": Case(attention_transfer, MAP, LARGER_MAP),
    "attention_transfer, one size": Case(partial(attention_transfer, pool=False), MAP, (8, 5, 2, 4)),
    "neuron_selectivity": Case(neuron_selectivity, MAP, LARGER_MAP),
    "neuron_selectivity, many channels": Case(neuron_selectivity, (8, 9, 1, 2), (8, 7, 2, 2)),
    "hinton_kd": Case(partial(hinton_kd, temperature=3.0), (8, 5), (8, 5)),
    "refilled_embedding, all": Case(stage_one("all"), (8, 3), (8, 5), reads_labels=True),
    "refilled_embedding, each": Case(stage_one("each"), (8, 3), (8, 5), reads_labels=True),
    "refilled_embedding, fewest": Case(stage_one("fewest"), (8, 3), (8, 5), reads_labels=True),
    "refilled_embedding, nearest": Case(stage_one("nearest"), (8, 3), (8, 5), reads_labels=True),
    "refilled_embedding, unit length": Case(stage_one_of_directions, (8, 3), (8, 5), reads_labels=True),
    "refilled_classifier": Case(stage_two, (8, 4), (8, 7), reads_labels=True),
}
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def value_and_gradient(method: Method, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    rows = student.detach().clone().requires_grad_()
    value = method(rows, teacher)
    (gradient,) = torch.autograd.grad(value, rows)
    return value.detach(), gradient


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


Given = dict[str, Tensor]


def of_two(method: Method) -> Callable[[Given], Tensor]:
    return lambda given: method(given["student"], given["teacher"])


def preset_of_rkd(given: Given) -> Tensor:
    terms = RKD_PRESETS["rkd-crd-zoo"].items()
    return sum(weight * find_loss(name).build()(given["student"], given["teacher"]) for name, weight in terms)  # type: ignore[return-value]


def projected(given: Given) -> Tensor:
    module = FitNet(student_channels=6, teacher_channels=14, trained=False)
    module.weight = given["weight"].flatten(1)
    return module(given["student"], given["teacher"])  # type: ignore[no-any-return]


def first_stage(given: Given, **options: Any) -> Tensor:
    return refilled_embedding(
        given["student"],
        given["teacher"],
        given["labels"],
        temperature=float(given["tau"]),
        margin=float(given["margin"]),
        **options,
    )


def second_stage(given: Given) -> Tensor:
    return refilled_classifier(
        given["student_logits"],
        given["teacher_embedding"],
        given["labels"],
        given["class_centres"],
        given["teacher_logits"],
        divergence_weight=float(given["lam"]),
        temperature=float(given["tau_teacher"]),
        student_temperature=float(given["tau_student"]),
        weighted=bool(given["weighted"]),
    )


SIZES = ["4x3x5", "16x8x32", "33x16x64"]
PUBLISHED: dict[str, Callable[[Given], Tensor]] = {
    **{f"pkt_{size}": of_two(pkt) for size in SIZES},
    **{f"rkd_crd_zoo_25_50_{size}": preset_of_rkd for size in SIZES},
    **{
        f"hard_darkrank_a{alpha}_b3_{size}": of_two(partial(hard_darkrank, alpha=float(alpha)))
        for alpha in (2, 3)
        for size in SIZES[1:]
    },
    "correlation_congruence_rd_12x16": of_two(correlation_congruence),
    "similarity_preserving_12": of_two(similarity_preserving),
    "attention_rkd_12": of_two(partial(attention_transfer, pool=False)),
    "attention_repdistiller_12": of_two(attention_transfer),
    "nst_12": of_two(neuron_selectivity),
    "fitnet_12": projected,
    "hinton_kd_t4_12x20": of_two(partial(hinton_kd, temperature=4.0)),
    "refilled_stage1_tuple_all_negatives": first_stage,
    "refilled_stage1_triplet": partial(first_stage, negatives="each"),
    "refilled_stage2_gkd2021": second_stage,
    "refilled_stage2_wgkd2021": second_stage,
    "refilled_stage2_refilled2021": second_stage,
}


def read(name: str, dtype: torch.dtype) -> Given:
    with np.load(REFERENCE / f"{name}.npz") as file:
        given = {key: torch.from_numpy(np.asarray(file[key])) for key in file}
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in given.items()}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_agrees_with_the_public_code(name: str, dtype: torch.dtype, tolerance: float):
    given, expected = read(name, dtype), read(name, torch.float64)
    differentiated = "student_logits" if "student_logits" in given else "student"
    value = PUBLISHED[name](given | {differentiated: given[differentiated].requires_grad_()})
    (gradient,) = torch.autograd.grad(value, given[differentiated])
    assert value.dtype == gradient.dtype == dtype
    assert relative_error(value.detach(), expected["loss"]) < tolerance
    assert relative_error(gradient, expected[f"{differentiated}_grad"]) < tolerance


def test_every_reference_value_of_a_method_is_tested():
    elsewhere = ("rkd_distance", "rkd_angle", "triplet", "distance_weighted", "recall", "pml", "networks")
    names = {path.stem for path in REFERENCE.glob("*.npz") if not path.stem.startswith(elsewhere)}
    assert names == PUBLISHED.keys()


@every
def test_gradient_agrees_with_finite_differences(case: Case):
    student, teacher = case.batch()
    assert torch.autograd.gradcheck(lambda rows: case.method(rows, teacher), student.requires_grad_())


@every
def test_the_teacher_gets_no_gradient(case: Case):
    student, teacher = case.batch()
    value = case.method(student.requires_grad_(), teacher.requires_grad_())
    assert torch.autograd.grad(value, teacher, allow_unused=True) == (None,)


@every
def test_the_loss_is_a_scalar_that_pulls_on_the_student(case: Case):
    value, gradient = value_and_gradient(case.method, *case.batch())
    assert value.shape == ()
    assert value > 0
    assert gradient.norm() > 1e-6


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.keeps_order and not case.reads_labels])
def test_order_of_the_batch_does_not_matter(name: str):
    case = CASES[name]
    student, teacher = case.batch()
    order = torch.randperm(8, generator=seeded())
    torch.testing.assert_close(case.method(student[order], teacher[order]), case.method(student, teacher))
    assert not torch.isclose(case.method(student[order], teacher), case.method(student, teacher))


def collapsed(rows: Tensor) -> Tensor:
    return rows[:1].expand_as(rows).clone()


def with_a_zero_row(rows: Tensor) -> Tensor:
    return rows.index_fill(0, torch.tensor([1]), 0.0)


DEGENERATE = {
    "all rows equal": collapsed,
    "all rows zero": torch.zeros_like,
    "a row of zeros": with_a_zero_row,
    "a channel of zeros": lambda rows: rows.index_fill(1, torch.tensor([1]), 0.0),
    "duplicates": lambda rows: rows[:4].repeat(2, *[1] * (rows.ndim - 1)),
    "almost equal rows": lambda rows: collapsed(rows) + 1e-6 * rows,
    "tiny": lambda rows: 1e-12 * rows,
    "opposite": lambda rows: torch.cat([rows[:1], -rows[:1]]).repeat(4, *[1] * (rows.ndim - 1)),
}


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_batches_stay_finite(case: Case, make: Callable[[Tensor], Tensor], dtype: torch.dtype):
    student, teacher = (rows.to(dtype) for rows in case.batch())
    for own, target in ((make(student), teacher), (student, make(teacher)), (make(student), make(teacher))):
        value, gradient = value_and_gradient(case.method, own, target)
        assert value.isfinite()
        assert value > -1e-7
        assert gradient.isfinite().all()


@every
def test_rows_of_zeros_get_no_enormous_gradient(case: Case):
    student, teacher = case.batch()
    _, gradient = value_and_gradient(case.method, with_a_zero_row(student), teacher)
    _, usual = value_and_gradient(case.method, student, teacher)
    assert gradient.norm() < 10 * usual.norm()


@pytest.mark.parametrize("name", ["pkt", "attention_transfer", "neuron_selectivity"])
def test_an_image_of_zeros_has_no_direction_and_no_gradient(name: str):
    student, teacher = CASES[name].batch()
    _, gradient = value_and_gradient(CASES[name].method, with_a_zero_row(student), teacher)
    assert gradient[1].eq(0).all()
    assert gradient[0].any()


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(case: Case, dtype: torch.dtype):
    student, teacher = (rows.to(dtype) for rows in case.batch())
    value, gradient = value_and_gradient(case.method, student, teacher)
    expected, expected_gradient = value_and_gradient(case.method, student.float(), teacher.float())
    assert gradient.dtype == dtype
    assert value == expected
    assert torch.equal(gradient, expected_gradient.to(dtype))


@every
def test_autocast_changes_nothing(case: Case):
    student, teacher = (rows.float() for rows in case.batch())
    expected, expected_gradient = value_and_gradient(case.method, student, teacher)
    student.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = case.method(student, teacher)
    assert torch.equal(value, expected)
    assert torch.equal(*torch.autograd.grad(value, student), expected_gradient)


@every
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_stays_visible(case: Case, value: float):
    student, teacher = case.batch()
    student[2, 1] = value
    assert not case.method(student, teacher).isfinite()


def test_float16_maps_do_not_overflow():
    maps = torch.full((4, 64, 8, 8), 100.0, dtype=torch.float16)
    for method in (similarity_preserving, attention_transfer, neuron_selectivity, fitnet):
        assert method(maps, maps) == 0  # type: ignore[operator]


@every
def test_what_cannot_be_compared_is_refused_in_one_line(case: Case):
    student, teacher = case.batch()
    refused: list[tuple[Any, Any, str]] = [
        (student[:7], teacher, "must hold the same batch, but have 7 and 8 rows"),
        (student.bool(), teacher, "student must be a floating .* but is torch.bool"),
        (student, teacher.reshape(8, -1, 1), "teacher must be a floating .* but is torch.float64 of shape"),
        (student[:, :0], teacher, "student must be a floating"),
        (student[:0], teacher[:0], "at least . rows in the batch, but there is 0"),
    ]
    for own, target, message in refused:
        with pytest.raises(ValueError, match=message) as refusal:
            case.method(own, target)
        assert "\n" not in str(refusal.value)


@every
def test_what_is_no_tensor_is_refused(case: Case):
    student, teacher = case.batch()
    with pytest.raises(TypeError, match=r"^student must be a torch tensor, but is a ndarray$"):
        case.method(student.numpy(), teacher)  # type: ignore[arg-type]


def test_every_loss_names_its_source():
    functions = [getattr(relbench.losses, name) for name in relbench.losses.__all__]
    losses = [f for f in functions if inspect.isfunction(f) and inspect.signature(f).return_annotation is Tensor]
    assert len(losses) > 12
    for loss in losses:
        assert "Source:" in (inspect.getdoc(loss) or ""), loss.__name__


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.reads_labels])
def test_a_gpu_gives_the_same(name: str):
    case = CASES[name]
    method = deepcopy(case.method).cuda() if isinstance(case.method, nn.Module) else case.method
    student, teacher = (rows.float() for rows in case.batch())
    expected, expected_gradient = value_and_gradient(case.method, student, teacher)
    value, gradient = value_and_gradient(method, student.cuda(), teacher.cuda())
    torch.testing.assert_close(value.cpu(), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient.cpu(), expected_gradient, rtol=1e-4, atol=1e-6)
