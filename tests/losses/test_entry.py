"""The table of losses, and how it refuses."""

from typing import Any

import pytest
import torch
from torch import Tensor

from relbench.losses import (
    LOSSES,
    DistanceWeightedTriplet,
    correlation_congruence,
    find_loss,
    hard_darkrank,
    pkt,
    rkd_angle,
    rkd_distance,
    similarity_preserving,
    validate_term,
)
from relbench.losses.entry import pure_loss


def softened(student: Tensor, teacher: Tensor, *, temperature: float, hard: bool = False) -> Tensor:
    return ((student - teacher) / temperature).sum() * (2 if hard else 1)


SOFTENED = pure_loss(softened, "relational", "a summary", "a source")


def test_every_entry_is_filled_in_and_found_by_its_name():
    for name, loss in LOSSES.items():
        assert find_loss(name) is loss
        assert loss.name == name
        assert loss.summary
        assert loss.source
        assert "\n" not in loss.summary


RELATIONAL = [
    rkd_distance,
    rkd_angle,
    hard_darkrank,
    pkt,
    similarity_preserving,
    correlation_congruence,
]


def test_no_relational_loss_is_left_out():
    assert {entry.name for entry in LOSSES.values() if entry.kind == "relational"} == {f.__name__ for f in RELATIONAL}


@pytest.mark.parametrize("function", RELATIONAL)
def test_relational_losses_are_called_with_student_and_teacher(function: Any):
    entry = find_loss(function.__name__)
    student, teacher = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    assert entry.kind == "relational"
    assert torch.equal(entry.build()(student, teacher), function(student, teacher))


def test_the_triplet_loss_is_built_with_its_options():
    entry = find_loss("triplet")
    assert entry.kind == "supervised"
    assert entry.build() == DistanceWeightedTriplet(margin=0.2, sampling="distance-weighted")
    assert entry.build(margin=1) == DistanceWeightedTriplet(margin=1)


def test_options_of_a_function_are_its_keyword_only_parameters():
    assert list(SOFTENED.options) == ["temperature", "hard"]
    assert SOFTENED.build(temperature=2.0)(torch.tensor([3.0]), torch.tensor([1.0])) == 1
    assert SOFTENED.build(temperature=2.0, hard=True)(torch.tensor([3.0]), torch.tensor([1.0])) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "loss 'softened' needs a value for temperature"),
        ({"temprature": 2.0}, "loss 'softened' has no option 'temprature': did you mean temperature?"),
        ({"x": 2.0}, "loss 'softened' has no option 'x': known are hard, temperature"),
        ({"temperature": "2"}, "loss 'softened': option 'temperature' is '2', but must be float"),
        ({"temperature": True}, "option 'temperature' is True, but must be float"),
        ({"temperature": float("nan")}, "option 'temperature' is nan, but must be float"),
        ({"temperature": 1, "hard": 1}, "option 'hard' is 1, but must be bool"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: dict[str, object], message: str):
    for refuse in (SOFTENED.check, lambda given: SOFTENED.build(**given)):
        with pytest.raises(ValueError) as refusal:  # noqa: PT011
            refuse(options)
        assert message in str(refusal.value)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rkd_angel", {}, "unknown loss 'rkd_angel': did you mean rkd_angle"),
        ("???", {}, "unknown loss '???': known are correlation_congruence, hard_darkrank, pkt, pml:<name>, rkd_angle"),
        ("hard_darkrank", {"alpha": 0.0}, "alpha must be a finite number above 0, not 0.0"),
        ("hard_darkrank", {"list_length": 1}, "list_length must be 2 or more, not 1"),
        ("hard_darkrank", {"list_length": 4.0}, "option 'list_length' is 4.0, but must be int"),
        ("rkd_angle", {"margin": 1.0}, "loss 'rkd_angle' has no option 'margin': there are none"),
        ("triplet", {"sampling": "hard"}, r"'sampling' is 'hard', but must be Literal\['distance-weighted'\]"),
        ("triplet", {"margin": -1.0}, "margin must be a finite number above 0"),
    ],
)
def test_a_term_is_refused_before_any_work(name: str, options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        validate_term(name, options)


def test_a_right_term_passes():
    validate_term("triplet", {"margin": 1, "sampling": "distance-weighted"})
    validate_term("rkd_distance", {})
