"""From terms to the objective: each loss is built with what the run knows."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from models.families import FAMILIES
from torch import nn
from training.small_runs import CLASSES, TEACHER, TRIPLET, run_of

import relbench.training.assemble
from relbench.experiment import Data, Net, Term
from relbench.losses import LOSSES, FitNet
from relbench.losses.entry import Loss, options_of
from relbench.losses.inputs import NEEDS
from relbench.models import TRUNKS, FeatureExtractor, build_embedder, layers_of
from relbench.results.run_folder import Trained
from relbench.training.assemble import (
    TrainedNetworks,
    classifier_of,
    layers_in,
    shapes_of,
    weighted_losses,
)


def shapes(experiment):
    return shapes_of(experiment, 1, CLASSES)


def test_layers_are_named_once_in_the_order_of_the_terms():
    first, second = Term(loss="fitnet", layers=("stage4", "stage2")), Term(loss="pkt", layers=("stage2", "embedding"))
    assert layers_in(run_of(first, TRIPLET, second)) == ("stage4", "stage2", "embedding")
    assert layers_in(run_of(TRIPLET)) == ()


@pytest.mark.parametrize("size", [28, 33])
def test_shapes(size):
    """Of a conv net: each stage halves the side, rounded up, and doubles the channels."""
    experiment = run_of(Term(loss="fitnet", layers=("stage2", "stage4", "embedding")), data=Data(size=size))
    found = shapes(experiment)
    sides = {"stage2": -(-size // 4), "stage4": -(-size // 16)}
    for width, dim, one in ((2, 8, found.student), (4, 16, found.teacher)):
        assert one == {
            "stage2": (2 * width, sides["stage2"], sides["stage2"]),
            "stage4": (8 * width, sides["stage4"], sides["stage4"]),
            "embedding": (dim,),
        }
    assert found.classes == CLASSES


def test_shapes_without_teacher_and_layers():
    assert shapes(run_of(TRIPLET, teacher=None)).teacher == {}
    assert shapes(run_of(TRIPLET)).student == {"embedding": (8,)}


@pytest.mark.parametrize("trunk", FAMILIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_are_those_of_a_network_with_weights(trunk, channels):
    layers = (*list(TRUNKS[trunk].layers)[1::2], "embedding")
    net = Net(trunk=trunk, dim=6)
    experiment = run_of(Term(loss="pkt", layers=layers), net=net, data=Data(size=40), teacher=None)
    expected = FeatureExtractor(build_embedder(net, channels, 0, 40), net, layers).shapes(channels, 40)
    assert shapes_of(experiment, channels, CLASSES).student == expected


def test_shapes_of_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="unknown layer of conv4 'stage7': did you mean stage4"):
        shapes(run_of(Term(loss="fitnet", layers=("stage7",))))


def test_a_part_for_each_term_and_layer():
    terms = (TRIPLET, Term(loss="fitnet", weight=2.0, layers=("stage3", "embedding")), Term(loss="rkd_angle"))
    parts = weighted_losses(run_of(*terms), shapes(run_of(*terms)))
    assert [(part.term, part.weight, part.layer, part.takes) for part in parts] == [
        ("triplet", 1.0, "", ("embeddings", "host_labels", "generator")),
        ("fitnet", 2.0, "stage3", ("student_map", "teacher_map")),
        ("fitnet", 2.0, "embedding", ("student_map", "teacher_map")),
        ("rkd_angle", 1.0, "", ("student", "teacher", "ranks")),
    ]
    assert [tuple(part.loss.weight.shape) for part in parts[1:3]] == [(16, 8), (16, 8)]  # teacher's, student's
    assert parts[1].loss is not parts[2].loss
    assert torch.equal(parts[1].loss.weight, FitNet(student_channels=8, teacher_channels=16, seed=3).weight)


def remembering(seen):
    def make(**options):
        seen.append(options)
        return lambda own, its: (own.mean() - its.mean()).square()

    return make


def needing(*, num_classes: int, embedding_size: int, teacher_size: int, student_channels: int, seed: int = 0):
    pass


def also_needing(
    *,
    teacher_channels: int,
    student_map_size: int,
    teacher_map_size: int,
    descriptors_dim: int,
    scale: float = 1.0,
):
    pass


def test_each_loss_is_told_what_it_needs_to_know(monkeypatch):
    seen = []
    options = options_of(needing) | options_of(also_needing)
    assert set(NEEDS) < options.keys()
    entry = Loss("spy", "", "", ("student_map", "teacher_map"), options, remembering(seen), layers=("stage2",))
    monkeypatch.setitem(LOSSES, "spy", entry)
    experiment = run_of(Term(loss="spy", layers=("stage2",), options={"scale": 2.0, "num_classes": 5}))
    weighted_losses(experiment, shapes(experiment))
    told = {
        "embedding_size": 8,
        "descriptors_dim": 8,
        "teacher_size": 16,
        "student_channels": 4,
        "teacher_channels": 8,
        "student_map_size": 7,
        "teacher_map_size": 7,
        "seed": 3,
    }
    assert seen == [told | {"scale": 2.0, "num_classes": 5}]  # what the term says goes first


def test_a_loss_of_labels_is_told_of_classes_and_size():
    experiment = run_of(Term(loss="pml:ProxyAnchorLoss"), teacher=None)
    (part,) = weighted_losses(experiment, shapes(experiment))
    assert [tuple(one.shape) for one in part.loss.parameters()] == [(CLASSES, 8)]


@pytest.mark.parametrize("loss", ["cross_entropy", "probe", "hinton_kd", "refilled_classifier"])
def test_a_classifier_where_a_loss_takes_logits(loss):
    classifier = classifier_of(run_of(TRIPLET, Term(loss=loss)), CLASSES)
    assert isinstance(classifier, nn.Linear)
    assert tuple(classifier.weight.shape) == (CLASSES, 8)
    other = classifier_of(run_of(TRIPLET, Term(loss=loss), seed=4, teacher=None), CLASSES)
    assert not torch.equal(classifier.weight, other.weight)


def test_no_classifier_where_none_does():
    assert classifier_of(run_of(TRIPLET, Term(loss="rkd_angle")), CLASSES) is None


def test_a_teacher_is_folded_alike_whatever_its_students_compare(monkeypatch):
    """Else the numbers of one would depend on the others of its cohort, by rounding."""
    seen, source = [], SimpleNamespace(shape=SimpleNamespace(channels=1))
    trained = Trained(build_embedder(TEACHER.net, 1, 0), None, {})
    monkeypatch.setattr(relbench.training.assemble, "load_trained", lambda *_: trained)
    monkeypatch.setattr(relbench.training.assemble, "folded", lambda network, _, layers: seen.append(layers) or network)
    students = run_of(Term(loss="rkd_angle")), run_of(Term(loss="fitnet", layers=("stage2",)))
    for cohort in (students[:1], students[1:], students):
        features = TrainedNetworks(Path(), source).teacher(cohort).network
        assert ("stage2" in features(torch.zeros(2, 1, 28, 28))[1]) == (students[1] in cohort)
    assert seen == [layers_of(TEACHER.net)] * 3
