"""Losses are tried before any work: what could not be trained is refused in one line."""

import pytest
import torch
from planned import plan_runs
from training.small_runs import CLASSES, TEACHER, TRAINING, TRIPLET, run_of

from relbench.experiment import Classification, Data, FewShot, Net, Retrieval, Term
from relbench.losses import LOSSES, pml_names
from relbench.losses.entry import Loss
from relbench.losses.inputs import FROM_TEACHER, INPUTS, Input
from relbench.settings import changed
from relbench.studies.distillation import Arm, distillation
from relbench.training.assemble import UntrainedNetworks
from relbench.training.trial import try_terms


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


def test_a_loss_that_can_not_be_built_for_its_maps_is_named():
    student = changed(run_of(TRIPLET, Term(loss="fitnet_regressor", layers=("stage3",))), {"net": Net(trunk="resnet8")})
    assert refusal(student).startswith("terms triplet, fitnet_regressor: the student's map has 7 pixels a side and ")


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


def test_a_loss_that_needs_as_many_images_of_each_class_is_refused_where_batches_are_of_shuffled_epochs():
    balanced = run_of(Term(loss="pml:SmoothAPLoss"), teacher=None)
    try_terms(balanced, 1, CLASSES)
    shuffled = changed(balanced, {"task": Classification()})
    assert refusal(shuffled).startswith("terms pml:SmoothAPLoss: All classes must have the same number of elements")


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


def test_what_the_smallest_batch_has_no_room_for_is_refused():
    experiment = run_of(Term(loss="hard_darkrank"))
    try_terms(experiment, 1, CLASSES, 5)
    with pytest.raises(ValueError, match="terms hard_darkrank: the loss needs at least 5 rows in the batch, but there"):
        try_terms(experiment, 1, CLASSES, 4)


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
        task=FewShot() if "episodes" in LOSSES[loss].requires else Retrieval(),
    )
    before = torch.get_rng_state()
    experiment = plan_runs(study, (0,))[1].experiment
    try_terms(experiment, 1, CLASSES)
    assert torch.equal(torch.get_rng_state(), before)
