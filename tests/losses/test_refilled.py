"""REFILLED's two stages: definitions in loops, how negatives are chosen, presets, what must not matter."""

import inspect
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.miners import TripletMarginMiner
from torch import Tensor
from torch.nn.functional import normalize

from relbench.losses import REFILLED_PRESETS, class_centres, refilled_classifier, refilled_embedding

LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 3])
MARGIN = 0.3


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(*shape: int, seed: int = 0) -> Tensor:
    return normalize(random(*shape, seed=seed))


def softmax(logits: list[float]) -> list[float]:
    weights = [math.exp(logit) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def divergence(own: list[float], target: list[float]) -> float:
    return sum(p * math.log(p / q) for p, q in zip(softmax(target), softmax(own), strict=True))


def mined(student: Tensor, a: int, p: int, labels: Tensor) -> list[int]:
    gaps = {n: math.dist(student[a], student[n]) - math.dist(student[a], student[p]) for n in range(len(student))}
    return [n for n, gap in gaps.items() if labels[n] != labels[a] and 0 < gap <= MARGIN]


def nearest(student: Tensor, a: int, p: int, labels: Tensor) -> list[int]:
    away = {n: math.dist(student[a], student[n]) for n in range(len(student)) if labels[n] != labels[a]}
    outside = [n for n in away if away[n] > math.dist(student[a], student[p])]
    return [min(outside, key=away.__getitem__) if outside else max(away, key=away.__getitem__)]


def tuples_in_loops(student: Tensor, labels: Tensor, negatives: str) -> list[tuple[int, ...]]:
    pairs = [(a, p) for a in range(len(labels)) for p in range(len(labels)) if a != p and labels[a] == labels[p]]
    choose = nearest if negatives == "nearest" else mined
    found = [(a, p, *others) for a, p in pairs if (others := choose(student, a, p, labels))]
    if negatives == "each":
        return [(a, p, n) for a, p, *others in found for n in others]
    shortest = min(map(len, found), default=0)
    return [members[:shortest] for members in found] if negatives == "fewest" else found


def embedding_in_loops(student: Tensor, teacher: Tensor, labels: Tensor, negatives: str) -> float:
    each = [
        divergence(*([-math.dist(rows[a], rows[j]) / 2 for j in others] for rows in (student, teacher)))
        for a, *others in tuples_in_loops(student, labels, negatives)
    ]
    return 1000 * sum(each) / max(len(each), 1)


@given(st.integers(0, 2**31), st.sampled_from(["all", "each", "fewest", "nearest"]), st.integers(3, 9))
@settings(max_examples=60, deadline=None)
def test_first_stage_equals_its_definition_in_loops(seed: int, negatives: Any, batch: int):
    student, teacher = unit(batch, 3, seed=seed), unit(batch, 5, seed=seed + 1)
    labels = torch.randint(3, (batch,), generator=torch.Generator().manual_seed(seed))
    if negatives == "nearest" and len(labels.unique()) == 1:
        labels[0] += 1
    found = refilled_embedding(student, teacher, labels, temperature=2.0, margin=MARGIN, negatives=negatives)
    expected = embedding_in_loops(student, teacher, labels, negatives)
    assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_each_is_what_the_authors_miner_finds():
    """With their library's semi-hard miner, whose triplets are those of `negatives="each"`."""
    student, teacher = unit(30, 4), unit(30, 6, seed=1)
    labels = torch.arange(30) % 4
    a, p, n = TripletMarginMiner(margin=0.2, type_of_triplets="semihard")(student, labels)
    gaps = [(rows[a] - rows[n]).norm(dim=1) - (rows[a] - rows[p]).norm(dim=1) for rows in (student, teacher)]
    own, target = (torch.stack([torch.zeros_like(gap), -gap], dim=1).div(4).log_softmax(dim=1) for gap in gaps)
    expected = 1000 * (target.exp() * (target - own)).sum(dim=1).mean()
    assert len(a) > 50
    torch.testing.assert_close(refilled_embedding(student, teacher, labels, negatives="each"), expected)


@pytest.mark.parametrize("negatives", ["all", "each", "fewest", "nearest"])
def test_at_unit_length_rows_of_any_length_count_as_their_directions(negatives: Any):
    student, teacher = random(9, 3), random(9, 5, seed=1)
    options = {"negatives": negatives, "margin": MARGIN, "temperature": 2.0}
    expected = embedding_in_loops(normalize(student), normalize(teacher), LABELS, negatives)
    found = refilled_embedding(student.requires_grad_(), teacher, LABELS, unit_length=True, **options)
    assert found.item() == pytest.approx(expected, rel=1e-9)
    assert refilled_embedding(student, teacher, LABELS, **options).item() != pytest.approx(expected, rel=1e-2)
    (gradient,) = torch.autograd.grad(found, student)
    assert (gradient * student).sum(dim=1).abs().max() < 1e-9 * gradient.abs().max()
    assert gradient.any()


def test_the_versions_differ():
    student, teacher = unit(9, 3), unit(9, 5, seed=1)
    values = {
        negatives: refilled_embedding(student, teacher, LABELS, margin=0.5, negatives=negatives).item()
        for negatives in ("all", "each", "fewest", "nearest")
    }
    assert len(set(values.values())) == 4


@pytest.mark.parametrize("negatives", ["all", "each", "nearest"])
def test_first_stage_does_not_depend_on_order_or_on_names_of_classes(negatives: Any):
    student, teacher = unit(9, 3), unit(9, 5, seed=1)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    moved = refilled_embedding(student[order], teacher[order], 7 - LABELS[order], negatives=negatives)
    torch.testing.assert_close(moved, refilled_embedding(student, teacher, LABELS, negatives=negatives))


def test_first_stage_of_a_student_like_its_teacher_is_zero_with_its_gradient():
    student = unit(9, 3).requires_grad_()
    value = refilled_embedding(student, student.detach() @ torch.eye(3, 5).double(), LABELS)
    (gradient,) = torch.autograd.grad(value, student)
    assert value.abs() < 1e-12
    assert gradient.abs().max() < 1e-9


@pytest.mark.parametrize("negatives", ["all", "each", "fewest", "nearest"])
@pytest.mark.parametrize("labels", [torch.arange(6), torch.zeros(6, dtype=torch.int64)], ids=["no pair", "one class"])
def test_a_batch_without_tuples_counts_zero(negatives: Any, labels: Tensor):
    student = unit(6, 3).requires_grad_()
    value = refilled_embedding(student, unit(6, 5, seed=1), labels, negatives=negatives)
    (gradient,) = torch.autograd.grad(value, student)
    assert value == 0
    assert gradient.eq(0).all()


def test_single_precision_is_as_good_where_the_divergence_is_tiny():
    student = unit(9, 3)
    teacher = normalize(student + 1e-3 * random(9, 3, seed=1))
    exact = refilled_embedding(student, teacher, LABELS).item()
    assert refilled_embedding(student.float(), teacher.float(), LABELS).item() == pytest.approx(exact, rel=1e-3)


def classifier_in_loops(logits: Tensor, teacher: Tensor, labels: Tensor, centres: Tensor, said: Tensor | None) -> float:
    """Weight 3, temperature 2, student temperature 1.5."""
    present = sorted(set(labels.tolist()))
    weights = [1.0] * len(labels)
    if said is not None:
        doubts = [-math.log(max(softmax(row))) for row in said.tolist()]
        spread = [(doubt - min(doubts)) / (max(doubts) - min(doubts)) for doubt in doubts]
        weights = [2 / (1 + math.exp(doubt)) for doubt in spread]
    total = 0.0
    for i, row in enumerate(logits.tolist()):
        own = [row[c] / 1.5 for c in present]
        target = [float(teacher[i] @ centres[c]) / 2 for c in present]
        total += -math.log(softmax(row)[int(labels[i])]) + 3 * weights[i] * divergence(own, target)
    return total / len(labels)


@pytest.mark.parametrize("weighted", [False, True])
def test_second_stage_equals_its_definition_in_loops(weighted: bool):  # noqa: FBT001
    logits, teacher, said = random(9, 6), random(9, 4, seed=1), random(9, 3, seed=2)
    centres = class_centres(random(20, 4, seed=3), torch.arange(20) % 6, 6)
    options: dict[str, Any] = {
        "divergence_weight": 3.0,
        "temperature": 2.0,
        "student_temperature": 1.5,
        "weighted": weighted,
    }
    expected = classifier_in_loops(logits, teacher, LABELS, centres, said if weighted else None)
    assert refilled_classifier(logits, teacher, LABELS, centres, said, **options).item() == pytest.approx(expected)


def test_the_average_over_entries_divides_by_the_classes_of_the_batch():
    logits, teacher, centres = random(9, 6), random(9, 4, seed=1), unit(6, 4, seed=2)
    by_entry = refilled_classifier(logits, teacher, LABELS, centres, divergence_weight=4.0, average="entry")
    torch.testing.assert_close(by_entry, refilled_classifier(logits, teacher, LABELS, centres, divergence_weight=1.0))


def test_second_stage_does_not_depend_on_the_order_of_classes():
    logits, teacher, centres = random(9, 6), random(9, 4, seed=1), unit(6, 4, seed=2)
    order = torch.tensor([3, 5, 0, 1, 4, 2])
    moved = refilled_classifier(logits[:, order], teacher, order.argsort()[LABELS], centres[order])
    torch.testing.assert_close(moved, refilled_classifier(logits, teacher, LABELS, centres))


def test_nothing_of_the_teacher_gets_a_gradient():
    logits, *constants = (rows.requires_grad_() for rows in (random(9, 6), random(9, 4), unit(6, 4), random(9, 3)))
    teacher, centres, said = constants
    value = refilled_classifier(logits, teacher, LABELS, centres, said, weighted=True)
    assert torch.autograd.grad(value, constants, allow_unused=True) == (None, None, None)


def test_a_teacher_as_sure_of_all_images_weighs_them_alike():
    logits, teacher, centres = random(9, 6), random(9, 4, seed=1), unit(6, 4, seed=2)
    alike = refilled_classifier(logits, teacher, LABELS, centres, torch.zeros(9, 3), weighted=True)
    torch.testing.assert_close(alike, refilled_classifier(logits, teacher, LABELS, centres))


def test_centres_are_means_at_unit_length():
    rows, labels = random(20, 4), torch.arange(20) % 3
    expected = torch.stack([normalize(rows[labels == c].mean(dim=0), dim=0) for c in range(3)])
    found = class_centres(rows.requires_grad_(), labels, 4)
    torch.testing.assert_close(found[:3], expected.detach())
    assert found[3].eq(0).all()
    assert not found.requires_grad


@pytest.mark.parametrize("name", REFILLED_PRESETS)
def test_presets_are_options_that_work(name: str):
    preset = REFILLED_PRESETS[name]
    logits, teacher, said = random(9, 6), random(9, 4, seed=1), random(9, 3, seed=2)
    assert preset.embedding.keys() <= inspect.signature(refilled_embedding).parameters.keys()
    student, own_teacher = unit(9, 3), unit(9, 5, seed=1)
    value = refilled_embedding(student, own_teacher, LABELS, **preset.embedding)
    assert value > 0
    free = refilled_embedding(7 * student, own_teacher / 5, LABELS, **preset.embedding)  # rows of the authors' lengths
    torch.testing.assert_close(free, value)
    centres = class_centres(teacher, LABELS, 6)
    assert refilled_classifier(logits, teacher, LABELS, centres, said, **preset.classifier) > 0


def test_the_first_version_takes_the_batchs_own_centres():
    centres = {name: preset.centres for name, preset in REFILLED_PRESETS.items()}
    assert [name for name in centres if centres[name] == "batch"] == ["cvpr2020"]


BAD = [
    (
        lambda: refilled_embedding(unit(9, 3), unit(9, 3), LABELS[:8]),
        r"labels must be whole numbers of the shape \(9,\)",
    ),
    (
        lambda: refilled_embedding(unit(9, 3), unit(9, 3), LABELS + 0.5),
        r"labels must be exact whole numbers, not 0\.5",
    ),
    (
        lambda: refilled_embedding(unit(9, 3), unit(9, 3), LABELS, temperature=0.0),
        "temperature must be a finite number",
    ),
    (lambda: refilled_embedding(unit(9, 3), unit(9, 3), LABELS, margin=-1.0), "margin must be a finite number above 0"),
    (lambda: refilled_embedding(unit(9, 3), unit(9, 3), LABELS, scale=0.0), "scale must be a finite number above 0"),
    (
        lambda: refilled_embedding(unit(9, 3), unit(9, 3), LABELS, negatives="some"),  # type: ignore[arg-type]
        "negatives must be one of all, each, fewest, nearest, not 'some'",
    ),
    (
        lambda: refilled_classifier(random(9, 3), unit(9, 3), LABELS, unit(3, 3)),
        "labels must lie in 0 to 2, not in 0 to 3",
    ),
    (
        lambda: refilled_classifier(random(9, 4), unit(9, 3), LABELS, unit(5, 3)),
        r"centres must have the shape \(4, 3\)",
    ),
    (
        lambda: refilled_classifier(random(9, 4), unit(9, 3), LABELS, unit(4, 3), weighted=True),
        "weighted = True needs teacher_logits",
    ),
    (
        lambda: refilled_classifier(random(9, 4), unit(9, 3), LABELS, unit(4, 3), average="sum"),  # type: ignore[arg-type]
        "average must be one of image, entry, not 'sum'",
    ),
    (lambda: class_centres(unit(9, 3), LABELS, 3), "labels must lie in 0 to 2"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_what_cannot_be_is_refused(call: Any, message: str):
    with pytest.raises(ValueError, match=message):
        call()
