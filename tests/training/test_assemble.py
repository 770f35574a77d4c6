"""From terms to the objective: each loss is built with what the run knows, and tried before any work."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from planned import plan_runs
from torch import nn

import relbench.training.assemble
from relbench.experiment import Data, Experiment, Net, Term, Training
from relbench.losses import LOSSES, FitNet, pml_names
from relbench.losses.entry import Loss, options_of
from relbench.losses.inputs import FROM_TEACHER, INPUTS, NEEDS, Input
from relbench.models import TRUNKS, FeatureExtractor, build_embedder, layers_of
from relbench.results.run_folder import Trained
from relbench.settings import changed
from relbench.studies.distillation import Arm, distillation
from relbench.training.assemble import (
    TrainedNetworks,
    UntrainedNetworks,
    classifier_of,
    layers_in,
    shapes_of,
    try_terms,
    weighted_losses,
)

TRIPLET = Term(loss="triplet")
TRAINING = Training(batch_size=40, images_per_class=5)
TEACHER = Experiment(net=Net(width=4, dim=16), training=TRAINING, terms=(TRIPLET, Term(loss="probe")), seed=3)
CLASSES = 9


def run_of(*terms, **changes):
    return Experiment(
        **{"net": Net(width=2, dim=8), "training": TRAINING, "terms": terms, "seed": 3, "teacher": TEACHER} | changes
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


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_are_those_of_a_network_with_weights(trunk, channels):
    layers = ("stage2", "stage4", "embedding")
    net = Net(trunk=trunk, dim=6)
    experiment = run_of(Term(loss="pkt", layers=layers), net=net, data=Data(size=40), teacher=None)
    expected = FeatureExtractor(build_embedder(net, channels, 0), net, layers).shapes(channels, 40)
    assert shapes_of(experiment, channels, CLASSES).student == expected


def test_shapes_of_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="unknown layer of conv4 'stage7': did you mean stage4"):
        shapes(run_of(Term(loss="fitnet", layers=("stage7",))))


def test_a_part_for_each_term_and_layer():
    terms = (TRIPLET, Term(loss="fitnet", weight=2.0, layers=("stage3", "embedding")), Term(loss="rkd_angle"))
    parts = weighted_losses(run_of(*terms), shapes(run_of(*terms)))
    assert [(part.term, part.weight, part.layer, part.takes) for part in parts] == [
        ("triplet", 1.0, "", ("embeddings", "labels", "generator")),
        ("fitnet", 2.0, "stage3", ("student_map", "teacher_map")),
        ("fitnet", 2.0, "embedding", ("student_map", "teacher_map")),
        ("rkd_angle", 1.0, "", ("student", "teacher")),
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


def also_needing(*, teacher_channels: int, descriptors_dim: int, scale: float = 1.0):
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


def refusal(experiment):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        try_terms(experiment, 1, CLASSES)
    return str(caught.value)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (
            (TRIPLET, Term(loss="attention_transfer", layers=("embedding",))),
            "terms triplet, attention_transfer: student must be a floating map (batch, channels, height, width), but",
        ),
        (
            (Term(loss="neuron_selectivity", layers=("stage4", "embedding")),),
            "terms neuron_selectivity: student must be a floating map",
        ),
        (
            (Term(loss="hard_darkrank", options={"list_length": 40}),),
            "terms hard_darkrank: the loss needs at least 41 rows in the batch, but there is 40",
        ),
        (
            (TRIPLET, Term(loss="refilled_embedding", options={"margin": -1.0})),
            "terms triplet, refilled_embedding: margin must be a finite number above 0, not -1.0",
        ),
    ],
)
def test_what_a_loss_would_refuse_at_the_first_step_is_refused_before(terms, message):
    assert refusal(run_of(*terms)).startswith(message)


MUST_BE_GIVEN = {"pml:RankedListLoss": {"margin": 0.4, "Tn": 1.0}}


@pytest.mark.parametrize("loss", [f"pml:{name}" for name in pml_names()])
def test_every_loss_of_the_library_passes(loss, recwarn):
    """With its defaults, and without a word."""
    experiment = run_of(Term(loss=loss, options=MUST_BE_GIVEN.get(loss, {})), teacher=None)
    try_terms(experiment, 1, CLASSES)
    assert not recwarn.list


def test_a_refusal_of_many_lines_becomes_one():
    uneven = changed(TRAINING, {"batch_size": 12})
    message = refusal(run_of(Term(loss="pml:SmoothAPLoss"), teacher=None, training=uneven))
    assert message.startswith("terms pml:SmoothAPLoss: All classes must have the same number of elements")


@pytest.mark.parametrize("error", [AssertionError("no"), IndexError(), KeyError("x"), ZeroDivisionError("division")])
def test_whatever_a_loss_raises_is_one_line(monkeypatch, error):
    def fail(student, teacher):
        raise error

    monkeypatch.setitem(LOSSES, "failing", Loss("failing", "", "", ("student", "teacher"), {}, lambda: fail))
    assert refusal(run_of(Term(loss="failing"))).startswith("terms failing: ")


def test_what_fails_in_the_second_batch_only_is_refused(monkeypatch):
    kept = []

    def keeping(student, teacher):
        kept.append(student.square().mean())
        return sum(kept)  # whose first summand's graph is gone

    monkeypatch.setitem(LOSSES, "keeping", Loss("keeping", "", "", ("student", "teacher"), {}, lambda: keeping))
    assert "backward through the graph a second time" in refusal(run_of(Term(loss="keeping")))


def test_a_constant_of_the_teacher_is_an_entry_of_the_inputs_and_nothing_else(monkeypatch):
    """For the trial here, and for the networks of a run."""
    seen = []

    def remember(student, means):
        seen.append(means)
        return (student.mean() - means.mean()).square()

    def class_means(embeddings, labels, classes):
        return torch.stack([embeddings[labels == number].mean(dim=0) for number in range(classes)])

    needs = frozenset({"teacher", "means"})
    means = Input("means of the teacher's classes", lambda batch, _: batch.teacher.constants["means"], needs)
    monkeypatch.setitem(INPUTS, "means", means)
    monkeypatch.setitem(FROM_TEACHER, "means", class_means)
    monkeypatch.setitem(LOSSES, "near", Loss("near", "", "", ("student", "means"), {}, lambda: remember))
    experiment = run_of(Term(loss="near"))
    try_terms(experiment, 1, CLASSES)
    assert [tuple(means.shape) for means in seen] == 2 * [(CLASSES, 16)]
    teacher = UntrainedNetworks(1, CLASSES).teacher([experiment])
    assert teacher.constants.keys() == {"means"}
    assert not UntrainedNetworks(1, CLASSES).teacher([run_of(Term(loss="rkd_angle"))]).constants


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


def test_weights_by_the_teachers_classifier_need_one():
    plain = changed(TEACHER, {"terms": (TRIPLET,)})
    weighted = Term(loss="refilled_classifier", options={"weighted": True})
    message = "terms refilled_classifier: weighted = True needs teacher_logits, the output of the teacher's classifier"
    assert refusal(run_of(weighted, teacher=plain)) == message
    for experiment in (run_of(weighted), run_of(Term(loss="refilled_classifier"), teacher=plain)):
        try_terms(experiment, 1, CLASSES)


def test_what_the_whole_batch_has_room_for_is_not_refused():
    """A list of 39 neighbours fits into a batch of 40, though not into a smaller one made for trying."""
    experiment = run_of(Term(loss="hard_darkrank", options={"list_length": 39}))
    try_terms(experiment, 1, CLASSES)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_passes_and_no_random_number_is_used_up(loss):
    study = distillation(
        name="one",
        title="One method",
        data=Data(),
        teacher=Arm(net=TEACHER.net, training=TRAINING),
        teacher_terms=TEACHER.terms,
        student=Arm(net=Net(width=2, dim=8), training=TRAINING),
        methods={"method": (Term(loss=loss, options={"temperature": 4.0} if loss == "hinton_kd" else {}),)},
    )
    before = torch.get_rng_state()
    experiment = plan_runs(study, (0,))[1].experiment
    try_terms(experiment, 1, CLASSES)
    assert torch.equal(torch.get_rng_state(), before)
