"""Totals of public classification codes, as a run has them: terms with weights, through the objective.

Every file of `tests/reference/tasks` is taken here, in `tests/losses/test_prototypical.py`, or in `tests/evaluation`,
in `test_classification.py` or `test_few_shot.py`. Tolerances: 1e-10 relative for losses, 1e-8 of the largest entry for
gradients, in float64.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from relbench.experiment import EMBEDDING, Experiment, Term
from relbench.losses import RKD_PRESETS, Batch, FitNetRegressor, Shapes, find_loss
from relbench.losses.inputs import TeacherOutputs
from relbench.training.assemble import weighted_losses
from relbench.training.objective import Objective

REFERENCE = Path(__file__).parents[1] / "reference/tasks"
EVALUATED = {"accuracy_64x20", "refilled_centres_ncm", "few_shot_interval_600", "few_shot_interval_1000"}
EPISODES = {f"prototypical_{size}" for size in ("3way_2shot_4query_d5", "20way_1shot_5query_d32")}
EPISODES |= {f"prototypical_5way_{shot}shot_15query_d64" for shot in (1, 5)}
CROSS_ENTROPY = Term(loss="cross_entropy")
HKD = Term(loss="hinton_kd", options={"temperature": 4.0})
DISTANCE, ANGLE = (
    Term(loss=loss, weight=weight, options={"unit_length": True}) for loss, weight in RKD_PRESETS["rkd-crd-zoo"].items()
)
RKD_CLASSIFICATION = {
    "hkd_rkd_da": (CROSS_ENTROPY, DISTANCE, ANGLE, HKD),
    "rkd_da": (CROSS_ENTROPY, DISTANCE, ANGLE),
    "rkd_d": (CROSS_ENTROPY, DISTANCE),
    "hkd": (CROSS_ENTROPY, HKD),
}
"""The authors' weights are 25, 50 and 16 there; that of KD at temperature 4, whose factor 16 is in the loss, is 1."""


class Stage:
    """What a file holds, as a step of a training sees it: logits, embeddings and maps do not depend on each other."""

    def __init__(self, name):
        with np.load(REFERENCE / f"{name}.npz") as file:
            self.known = {key: torch.from_numpy(np.asarray(file[key])) for key in file}
        rows = next(len(value) for key, value in self.known.items() if key.startswith("student"))
        nothing = torch.zeros(rows, 1, dtype=torch.float64)
        self.logits = self.known.get("student_logits", nothing).clone().requires_grad_()
        self.embeddings = self.known.get("student_features", nothing).clone().requires_grad_()
        self.maps = {f"stage{i}": self.known[f"student_map{i}"].requires_grad_() for i in self.numbers}
        targets = {f"stage{i}": self.known[f"teacher_map{i}"] for i in self.numbers}
        taught = TeacherOutputs(
            self.known.get("teacher_features", nothing), targets, self.known.get("teacher_logits", nothing)
        )
        labels = self.known.get("labels", torch.zeros(rows, dtype=torch.int64))
        self.batch = Batch(torch.arange(rows), labels, torch.Generator(), self.embeddings, self.maps, taught)

    @property
    def numbers(self):
        return [number for number in range(1, 5) if f"student_map{number}" in self.known]

    def objective(self, *terms):
        shapes = [
            {EMBEDDING: rows.shape[1:]} | {name: features.shape[1:] for name, features in maps.items()}
            for rows, maps in ((self.embeddings, self.maps), (self.batch.teacher.embeddings, self.batch.teacher.maps))
        ]
        experiment = Experiment(terms=terms, teacher=Experiment(terms=(CROSS_ENTROPY,)))
        return Objective(weighted_losses(experiment, Shapes(self.logits.shape[1], *shapes)), Constant(self.logits))

    def values(self, *terms):
        """Each term's value, and the weighted sum."""
        objective = self.objective(*terms)
        values = objective(self.batch)
        return values, objective.total(values)


class Constant(nn.Module):
    """A classifier whose logits are those of the file."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, embeddings):
        assert len(embeddings) == len(self.logits)
        return self.logits


def assert_equal(found, expected):
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)


def assert_gradients(total, *pairs):
    """Gradients of the total; pairs: with respect to what, and the expected one."""
    found = torch.autograd.grad(total, [given for given, _ in pairs])
    for gradient, (_, expected) in zip(found, pairs, strict=True):
        assert (gradient - expected).abs().max() <= 1e-8 * expected.abs().max()
        assert expected.any()


RKD_FILES = ["rkd_classification_6x5_8to12", "rkd_classification_16x100_64to128"]


@pytest.mark.parametrize("name", RKD_FILES)
@pytest.mark.parametrize("method", RKD_CLASSIFICATION)
def test_rkd_for_classification(name, method):
    stage = Stage(name)
    values, total = stage.values(*RKD_CLASSIFICATION[method])
    named = {"cross_entropy": 1, "rkd_distance": 1, "rkd_angle": 1, "hinton_kd": 1 / 16}
    theirs = dict(zip(named, ("cross_entropy", "distance", "angle", "kl"), strict=True))
    for term, value in values.items():
        assert_equal(named[term] * value, stage.known[theirs[term]])
    assert_equal(total, stage.known[f"total_{method}"])
    pairs = [(stage.logits, stage.known[f"grad_logits_{method}"])]
    if "rkd" in method:
        pairs.append((stage.embeddings, stage.known[f"grad_features_{method}"]))
    assert_gradients(total, *pairs)


@pytest.mark.parametrize("name", RKD_FILES)
def test_the_authors_weight_of_kd_is_not_that_of_the_loss_here(name):
    """Their 16 is the square of the temperature, which the loss already holds."""
    stage = Stage(name)
    heavy = Term(loss="hinton_kd", weight=16.0, options={"temperature": 4.0})
    _, total = stage.values(CROSS_ENTROPY, heavy)
    expected = stage.known["total_hkd"]
    assert total > 1.1 * expected
    assert_equal(total, stage.known["cross_entropy"] + 16 * 16 * stage.known["kl"])
    _, soft = stage.values(CROSS_ENTROPY, HKD)
    assert_equal(soft, expected)


@pytest.mark.parametrize("name", RKD_FILES)
def test_rkd_for_classification_scales_features_first(name):
    stage = Stage(name)
    for term, known in ((DISTANCE, "distance"), (ANGLE, "angle")):
        raw, _ = stage.values(Term(loss=term.loss))
        assert abs(raw[term.loss] / stage.known[known] - 1) > 1e-3


def test_kd_of_repdistiller():
    stage = Stage("kd_repdistiller_t4_12x100")
    tenth = Term(loss="cross_entropy", weight=0.1)
    values, total = stage.values(tenth, Term(loss="hinton_kd", weight=0.9, options={"temperature": 4.0}))
    assert_equal(values["cross_entropy"], stage.known["cross_entropy"])
    assert_equal(values["hinton_kd"], stage.known["kl_times_t2"])
    assert_equal(total, stage.known["total"])
    assert_gradients(total, (stage.logits, stage.known["grad_logits"]))


@pytest.mark.parametrize("name", ["sp_wrn_last_map", "sp_wrn_three_maps"])
def test_similarity_preserving_over_one_and_over_several_maps(name):
    stage = Stage(name)
    term = Term(loss="similarity_preserving", weight=3000.0, layers=tuple(stage.maps))
    values, total = stage.values(CROSS_ENTROPY, term)
    assert_equal(values["cross_entropy"], stage.known["cross_entropy"])
    assert_equal(values["similarity_preserving"], stage.known["loss"])
    assert_equal(total, stage.known["total_gamma3000"])
    pairs = [(stage.maps[f"stage{number}"], stage.known[f"grad{number}"]) for number in stage.numbers]
    assert_gradients(values["similarity_preserving"], *pairs)
    assert (stage.maps[f"stage{stage.numbers[0]}"] < 0).any()  # taken before batch normalisation and ReLU


def test_attention_over_groups_of_which_two_differ_in_size():
    stage = Stage("attention_groups")
    values, total = stage.values(Term(loss="attention_transfer", weight=1000.0, layers=tuple(stage.maps)))
    assert_equal(values["attention_transfer"], stage.known["loss"])
    assert_equal(total, 1000 * stage.known["loss"])
    for number, (layer, features) in enumerate(stage.maps.items(), start=1):
        (value, _) = stage.values(Term(loss="attention_transfer", layers=(layer,)))
        assert_equal(value["attention_transfer"], stage.known[f"loss{number}"])
        assert_gradients(value["attention_transfer"], (features, stage.known[f"grad{number}"]))


PARAMETERS = {"0.weight": "conv_weight", "1.weight": "bn_weight", "1.bias": "bn_bias"}


@pytest.mark.parametrize("size", ["same_size", "half_size", "double_size"])
def test_the_regressor_of_repdistillers_fitnet(size):
    with np.load(REFERENCE / f"fitnet_regressor_{size}.npz") as file:
        known = {key: torch.from_numpy(np.asarray(file[key])) for key in file}
    student, teacher = known["student_map"].requires_grad_(), known["teacher_map"]
    facts = {
        "student_channels": student.shape[1],
        "teacher_channels": teacher.shape[1],
        "student_map_size": student.shape[2],
        "teacher_map_size": teacher.shape[2],
    }
    module = find_loss("fitnet_regressor").build(**facts)
    assert isinstance(module, FitNetRegressor)
    module.double().regressor.load_state_dict({own: known[theirs] for own, theirs in PARAMETERS.items()})
    value = module(student, teacher)
    assert_equal(value, known["loss"])
    trained = dict(module.regressor.named_parameters())
    assert trained.keys() == PARAMETERS.keys()
    pairs = [(trained[own], known[f"grad_{theirs}"]) for own, theirs in PARAMETERS.items()]
    assert_gradients(value, (student, known["grad"]), *pairs)
    # their convolution has a bias, which has no effect: of its gradient there is only rounding
    assert known["conv_bias"].abs().min() > 1e-4
    assert known["grad_conv_bias"].abs().max() < 1e-8 * known["grad_conv_weight"].abs().max()


def test_no_reference_value_is_left_out():
    names = {path.stem for path in REFERENCE.glob("*.npz")} - EVALUATED - EPISODES
    tested = {f"fitnet_regressor_{size}_size" for size in ("same", "half", "double")}
    assert names == tested | set(RKD_FILES) | {
        "kd_repdistiller_t4_12x100",
        "sp_wrn_last_map",
        "sp_wrn_three_maps",
        "attention_groups",
    }
