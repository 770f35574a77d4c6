"""The table of losses, and how it refuses."""

from typing import Any

import pytest
import torch
from torch import Tensor

from relbench.losses import (
    INPUTS,
    LOSSES,
    CorrelationCongruence,
    DistanceWeightedTriplet,
    FitNet,
    FitNetRegressor,
    attention_transfer,
    cross_entropy,
    find_loss,
    hard_darkrank,
    hinton_kd,
    neuron_selectivity,
    pkt,
    probe,
    prototypical,
    refilled_classifier,
    refilled_embedding,
    rkd_angle,
    rkd_distance,
    similarity_preserving,
    validate_term,
)
from relbench.losses.entry import RESERVED, inputs_of, pure_loss
from relbench.losses.inputs import NEEDS
from relbench.ranks import ALONE, Ranks


def softened(student: Tensor, teacher: Tensor, *, temperature: float, hard: bool = False) -> Tensor:
    return ((student - teacher) / temperature).sum() * (2 if hard else 1)


SOFTENED = pure_loss(softened, "a summary", "a source")


def test_every_entry_is_filled_in_and_found_by_its_name():
    for name, loss in LOSSES.items():
        assert find_loss(name) is loss
        assert loss.name == name
        assert loss.summary
        assert loss.source
        assert "\n" not in loss.summary


ROWS, MAPS, LOGITS = ("student", "teacher"), ("student_map", "teacher_map"), ("student_logits", "labels")
EPISODE = ("support", "query")
SECOND_STAGE = ("student_logits", "teacher", "labels", "centres", "teacher_logits")
TAKES: dict[Any, tuple[str, ...]] = {
    rkd_distance: ROWS,
    rkd_angle: (*ROWS, "ranks"),
    hard_darkrank: ROWS,
    pkt: ROWS,
    similarity_preserving: MAPS,
    attention_transfer: MAPS,
    neuron_selectivity: MAPS,
    cross_entropy: LOGITS,
    probe: ("detached_logits", "labels"),
    hinton_kd: ("student_logits", "teacher_logits"),
    prototypical: EPISODE,
    refilled_embedding: (*ROWS, "labels"),
    refilled_classifier: SECOND_STAGE,
}
MODULES: dict[str, tuple[Any, tuple[str, ...], dict[str, Any]]] = {
    "correlation_congruence": (CorrelationCongruence, ROWS, {"embedding_size": 3, "teacher_size": 5}),
    "fitnet": (FitNet, MAPS, {"student_channels": 3, "teacher_channels": 5}),
    "fitnet_regressor": (
        FitNetRegressor,
        MAPS,
        {"student_channels": 3, "teacher_channels": 5, "student_map_size": 2, "teacher_map_size": 2},
    ),
    "triplet": (DistanceWeightedTriplet, ("embeddings", "labels", "generator"), {}),
}


def test_no_loss_is_left_out():
    assert LOSSES.keys() == {function.__name__ for function in TAKES} | MODULES.keys()


def given(name: str) -> Tensor | torch.Generator | Ranks:
    """Something of the shape that `INPUTS` says."""
    generator = torch.Generator().manual_seed(len(name))
    shapes = {"centres": (4, 3), "support": (4, 1, 3), "query": (4, 2, 3)} | dict.fromkeys(MAPS, (6, 3, 2, 2))
    others = {"labels": torch.arange(6) % 4, "generator": generator, "ranks": ALONE}
    logits = (6, 4) if name.endswith("logits") else (6, 3)
    return others[name] if name in others else torch.randn(shapes.get(name, logits), generator=generator)


@pytest.mark.parametrize("function", TAKES, ids=lambda function: function.__name__)
def test_functions_are_called_with_what_their_parameters_are_called(function: Any):
    entry = find_loss(function.__name__)
    assert entry.takes == TAKES[function]
    options = {"temperature": 3.0} if function is hinton_kd else {}
    arguments = [given(name) for name in entry.takes]
    assert torch.equal(entry.build(**options)(*arguments), function(*arguments, **options))


@pytest.mark.parametrize("name", MODULES)
def test_what_is_made_first_is_called_like_its_method(name: str):
    kind, takes, needed = MODULES[name]
    entry = find_loss(name)
    assert entry.takes == takes
    assert isinstance(entry.build(**needed), kind)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_every_loss_takes_what_there_is(loss: Any):
    """Maps where it names layers, and nothing that may be missing but what it can do without."""
    assert set(loss.takes) <= INPUTS.keys()
    assert bool(loss.layers) == ("student_map" in loss.takes)
    assert set(loss.optional) <= set(loss.takes)
    assert loss.needs_teacher == any(name in loss.takes for name in ("teacher", "teacher_map", "teacher_logits"))
    assert set(loss.needs) == set(loss.options) & set(NEEDS)


def test_only_the_teachers_logits_and_ranks_may_be_missing():
    assert {loss.name: loss.optional for loss in LOSSES.values() if loss.optional} == {
        "refilled_classifier": ("teacher_logits",),
        "rkd_angle": ("ranks",),
    }


@pytest.mark.parametrize(
    ("names", "needs_teacher"),
    [
        ("embeddings, labels", False),
        ("detached_logits, labels", False),
        ("student_logits, labels", False),
        ("student, teacher", True),
        ("student_map, teacher_map", True),
        ("student_logits, teacher_logits", True),
        ("embeddings, centres", True),
    ],
)
def test_the_names_say_whether_a_teacher_is_needed(names: str, needs_teacher: bool):  # noqa: FBT001
    function = eval(f"lambda {names}: 0")
    assert inputs_of(function) == tuple(names.split(", "))
    assert pure_loss(function, "a summary", "a source").needs_teacher == needs_teacher


def test_labels_are_on_the_host_but_for_losses_of_others():
    inputs = {loss.takes: loss.inputs for loss in LOSSES.values() if loss.inputs != loss.takes}
    assert all("labels" in takes and "labels" not in given for takes, given in inputs.items())
    assert not [loss.name for loss in LOSSES.values() if "labels" in loss.inputs]
    assert "labels" in find_loss("pml:ContrastiveLoss").inputs


def test_a_method_is_not_called_with_itself():
    assert inputs_of(FitNet.forward) == MAPS


def test_what_has_a_default_is_optional():
    def loss(student: Tensor, teacher: Tensor, labels: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        return (student - teacher).sum() * scale

    entry = pure_loss(loss, "a summary", "a source")
    assert (entry.takes, entry.optional) == (("student", "teacher", "labels"), ("labels",))
    assert list(entry.options) == ["scale"]


def test_the_triplet_loss_is_built_with_its_options():
    entry = find_loss("triplet")
    assert entry.build() == DistanceWeightedTriplet(margin=0.2)
    assert entry.build(margin=1) == DistanceWeightedTriplet(margin=1)


@pytest.mark.parametrize("name", ["fitnet", "fitnet_regressor", "correlation_congruence"])
def test_what_the_run_knows_may_be_left_to_it(name: str):
    validate_term(name, {})
    with pytest.raises(ValueError, match=f"loss '{name}' needs a value for "):
        find_loss(name).build()


def test_no_option_is_called_like_what_every_term_has():
    assert not [entry.name for entry in LOSSES.values() if set(RESERVED) & set(entry.options)]


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
        ("???", {}, "unknown loss '???': known are attention_transfer, correlation_congruence, cross_entropy, fitnet"),
        ("hard_darkrank", {"alpha": 0.0}, "alpha must be a finite number above 0, not 0.0"),
        ("hard_darkrank", {"list_length": 1}, "list_length must be 2 or more, not 1"),
        ("hard_darkrank", {"list_length": 4.0}, "option 'list_length' is 4.0, but must be int"),
        ("pkt", {"margin": 1.0}, "loss 'pkt' has no option 'margin': there are none"),
        ("rkd_angle", {"margin": 1.0}, "loss 'rkd_angle' has no option 'margin': known are unit_length"),
        ("rkd_distance", {"unit_length": 1}, "loss 'rkd_distance': option 'unit_length' is 1, but must be bool"),
        ("triplet", {"sampling": "hard"}, r"loss 'triplet' has no option 'sampling'"),
        ("hinton_kd", {}, "loss 'hinton_kd' needs a value for temperature"),
        ("fitnet", {"trained": 1}, "loss 'fitnet': option 'trained' is 1, but must be bool"),
        ("refilled_embedding", {"negatives": "some"}, r"'negatives' is 'some', but must be Literal\['all', 'each'"),
        ("triplet", {"margin": -1.0}, "margin must be a finite number above 0"),
    ],
)
def test_a_term_is_refused_before_any_work(name: str, options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        validate_term(name, options)


def test_a_right_term_passes():
    validate_term("triplet", {"margin": 1})
    validate_term("rkd_distance", {})
