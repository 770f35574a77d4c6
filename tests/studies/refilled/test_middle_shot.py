"""REFILLED with few images of each class: what differs between the cells of its table is the method, or k."""

import pytest

from relbench.resolve import resolve
from relbench.settings import changed
from relbench.studies import build_study
from relbench.studies.refilled.label_spaces import label_space

PROTOCOLS = {name: build_study("refilled-middle-shot", {"protocol": name}) for name in ("paper", "fair")}
FULL, TOY = PROTOCOLS["paper"], build_study("refilled-middle-shot", {"scale": "toy"})
SHOTS = {"k5": 5, "k10": 10, "k20": 20, "k50": 50, "all": None}
LOSSES = {
    "ce": ["cross_entropy"],
    "rkd-d": ["cross_entropy", "rkd_distance"],
    "pkt": ["cross_entropy", "pkt"],
    "refilled": ["refilled_embedding", "refilled_classifier"],
    "gkd": ["refilled_embedding", "refilled_classifier"],
}


def counted(study):
    """With as many images as CIFAR-100 has of each of 50 classes, a tenth of them held out under `fair`."""
    every = 450 if study.variant["protocol"] == "fair" else 500
    return study.with_images(lambda data: 50 * (data.train_images_per_class or every))


def trainings(study, path):
    teacher = study.trainings("teacher", 0, None, None)[-1] if study.runs[path].teacher else None
    return study.trainings(path, 0, None, teacher)


def test_a_row_for_each_method_and_a_column_for_each_number_of_images():
    students = {(cell.row, cell.column): cell.run for cell in FULL.cells[1:]}
    columns = {"k5": "k = 5", "k10": "k = 10", "k20": "k = 20", "k50": "k = 50", "all": "all"}
    assert students == {(row, column): f"{k}/{row}" for row in LOSSES for k, column in columns.items()}
    assert {*FULL.runs} == {"teacher", *students.values()}
    assert {cell.metric for cell in FULL.cells} == {"accuracy"}
    assert all(cell.published is None for cell in FULL.cells)
    assert any("The protocol is relbench's own" in note for note in FULL.notes)


@pytest.mark.parametrize("k", SHOTS)
@pytest.mark.parametrize("method", LOSSES)
def test_students_of_other_classes_than_the_teachers_differ_in_their_loss_alone(k, method):
    run = FULL.runs[f"{k}/{method}"]
    assert run.data.train_classes == run.data.test_classes == label_space(50)
    assert not set(label_space(50)) & set(FULL.runs["teacher"].data.train_classes)
    assert run.data.train_images_per_class == SHOTS[k]
    assert [term.loss for stage in run.stages for term in stage.terms] == LOSSES[method]
    assert run.teacher == ("" if method == "ce" else "teacher")
    same = {"stages": run.stages, "teacher": run.teacher}
    assert changed(FULL.runs[f"{k}/ce"], same) == run
    assert resolve(trainings(FULL, f"{k}/{method}")[-1], "student")


@pytest.mark.parametrize(("protocol", "steps"), [("paper", 400 * 196), ("fair", 200 * 176)])
def test_every_student_has_equally_many_steps(protocol, steps):
    """25,000 images are 196 batches of 128, the 22,500 that are left where a tenth is held out 176."""
    study = counted(PROTOCOLS[protocol])
    for path in set(study.runs) - {"teacher"}:
        *_, last = trainings(study, path)
        assert last.total_steps == steps, path
        assert last.training.batch_size == 128
    toy = counted(TOY)
    assert len({trainings(toy, path)[-1].total_steps for path in set(toy.runs) - {"teacher"}}) == 1


def test_the_teacher_is_that_of_the_label_spaces():
    for options in ({}, {"protocol": "fair"}, {"scale": "toy"}):
        studies = [build_study(name, options) for name in ("refilled-middle-shot", "refilled-label-spaces")]
        assert len({trainings(study, "teacher")[0].fingerprint for study in studies}) == 1


def test_rates_are_chosen_for_each_method_and_number_of_images():
    fair = PROTOCOLS["fair"]
    assert all(fair.rates_of(path) == (path, (0.01, 0.03, 0.1, 0.3)) for path in fair.runs)
    assert {run.data.hold_out for run in fair.runs.values()} == {True}
    assert any("50 validation images of each class" in note for note in fair.notes)


def test_toys_have_few_images_too():
    """All different, and all that the tiniest data set has."""
    found = [TOY.runs[f"{k}/ce"].data.train_images_per_class for k in SHOTS]
    assert found == [4, 6, 8, 12, None]


def test_claims_are_about_each_number_of_images():
    pairs = [("refilled", "ce"), ("gkd", "ce"), ("refilled", "rkd-d"), ("refilled", "pkt")]
    assert [claim.better for claim in FULL.claims] == [
        ((f"{k}/{better}", f"{k}/{worse}"),) for better, worse in pairs for k in SHOTS
    ]
    families = [claim.family for claim in FULL.claims]
    assert families == [families[5 * at] for at in range(4) for _ in SHOTS]
    assert len(set(families)) == 4
