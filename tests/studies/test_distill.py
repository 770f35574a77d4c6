"""A distillation of anybody's networks: its study, what is usual, and what is refused."""

from pathlib import Path

import pytest

import relbench.models.trunks
from relbench.experiment import Term
from relbench.grid.plan import PlannedRun, planned_runs, selected
from relbench.grid.tuning import TuningPlan
from relbench.studies.distill import KINDS, Asked, distilled, usual_size, usual_weights
from relbench.studies.files import read_study_file, study_text
from relbench.studies.rkd.protocol import RATES

NOWHERE = Path("nowhere")


def asked(*methods, kind="retrieval", **given):
    usual = {"teacher": "conv4", "student": "conv4", "data": "glyphs", "rate": 1e-3}
    return Asked(methods=methods, kind=kind, **{**usual, **given})


def study_of(*methods, **given):
    return distilled(asked(*methods, **given), NOWHERE)


def planned(study, seeds=(0,)):
    pinned = study.with_contents(dict.fromkeys(study.data_sets, "c"))
    runs = planned_runs(TuningPlan(pinned, lambda _: None), selected(pinned, pinned.data_sets, ()), seeds)
    return {run.label: run.experiment for run in runs if isinstance(run, PlannedRun)}


def test_a_teacher_a_student_alone_and_by_each_method():
    study = study_of("rkd-da", "pkt", steps=100, dim=8)
    assert list(study.runs) == ["teacher", "triplet", "rkd-da", "pkt"]
    triplet = KINDS["retrieval"].loss
    assert [stage.terms for run in study.runs.values() for stage in run.stages] == [
        (triplet,),
        (triplet,),
        (triplet, Term(loss="rkd_distance", weight=4.0), Term(loss="rkd_angle", weight=8.0)),
        (triplet, Term(loss="pkt", weight=2500.0)),
    ]
    assert {run.training.steps for run in study.runs.values()} == {100}
    assert {run.net.dim for path, run in study.items if path != "teacher"} == {8}
    assert [claim.better[0] for claim in study.claims] == [
        *((label, "teacher") for label in ("triplet", "rkd-da", "pkt")),
        *((label, "triplet") for label in ("rkd-da", "pkt")),
    ]
    assert study.name == "distill-glyphs-conv4-conv4-rkd-da-pkt"


def test_rates_are_chosen_by_the_weights_that_a_network_begins_with():
    study = study_of("rkd-d", teacher="resnet18", teacher_weights="imagenet", rate=None)
    assert study.runs["teacher"].rates == RATES["imagenet"]
    assert {run.rates for path, run in study.items if path != "teacher"} == {RATES["random"]}
    assert list(planned(study)) == [f"teacher at {rate:g}" for rate in RATES["imagenet"]]  # what comes first
    fixed = study_of("rkd-d", rate=0.02)
    assert {(run.rates, run.training.learning_rate) for run in fixed.runs.values()} == {((), 0.02)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_of_every_task_can_be_planned_and_written(kind, tmp_path):
    names = [label for label, terms in KINDS[kind].methods.items() if any("rkd" in each.loss for each in terms)]
    others = set(KINDS[kind].methods) - {KINDS[kind].alone, "cross-entropy", "fitnet-2-stages"}
    study = study_of(*others, kind=kind, teacher="conv4-maxpool")
    assert set(names) <= others
    assert set(planned(study)) == {"teacher", KINDS[kind].alone, *others}
    path = tmp_path / "mine.toml"
    path.write_text(study_text(study))
    assert planned(read_study_file(path)) == planned(study)


def test_a_teacher_as_it_is():
    pretrained = {"teacher": "resnet18", "teacher_weights": "imagenet", "as_is": True, "steps": 50}
    teacher = study_of("rkd-da", **pretrained).runs["teacher"]
    assert (teacher.net.dim, teacher.training.frozen, teacher.training.steps) == (None, True, 1)
    assert planned(study_of("rkd-da", **pretrained))["rkd-da"].teacher.training.frozen
    for kind, method in (("retrieval", "kd"), ("classification", "hkd")):
        study = study_of(method, kind=kind, **pretrained)
        assert study.runs["teacher"].training.steps == 50  # its head is looked at
        assert planned(study)[method].teacher.training.frozen
        assert any("and nothing else" in note for note in study.notes)
    with pytest.raises(ValueError, match="its weights are random: choose --teacher-weights"):
        study_of("rkd-da", as_is=True)
    with pytest.raises(ValueError, match="leave --teacher-dim out"):
        study_of("rkd-da", **pretrained, teacher_dim=64)


def test_what_is_usual_follows_from_data_and_trunks():
    assert usual_size("glyphs", NOWHERE, ["conv4"]) == 28
    assert usual_size("glyphs", NOWHERE, ["conv4", "resnet18"]) == 32  # no fewer pixels
    assert usual_size("cifar100", NOWHERE, ["conv4", "resnet18"]) == 32
    assert usual_size("cub200", NOWHERE, ["resnet50", "resnet18"]) == 224
    assert usual_weights("resnet50", "cub200", NOWHERE) == "imagenet"
    assert usual_weights("conv4", "cub200", NOWHERE) == "random"  # there are none
    assert {usual_weights("resnet50", name, NOWHERE) for name in ("glyphs", "cifar100", "mini-imagenet")} == {"random"}


@pytest.mark.parametrize(
    ("methods", "given", "told"),
    [
        (["rkd-dA"], {}, "unknown method 'rkd-dA': did you mean rkd-d or rkd-da"),
        (["rkd_distance", "rkd_distance"], {}, "the method rkd_distance is named twice"),
        (["triplet"], {}, "unknown method 'triplet'.* fitnet, fitnet-untrained"),  # each once
        (["hinton_kd"], {}, "unknown method 'hinton_kd': did you mean kd"),
        (["hinton_kd"], {"kind": "classification"}, "unknown method 'hinton_kd': did you mean hkd"),
        (["rkd-da"], {"teacher_weights": ""}, "weights = '': choose random or imagenet"),
        (["cross-entropy"], {"kind": "classification"}, "unknown method 'cross-entropy'"),
        (["rkd-da"], {"kind": "retreival"}, "unknown task 'retreival': did you mean retrieval"),
        (["rkd-da"], {"data": "glyhps"}, "unknown data set 'glyhps': did you mean glyphs"),
        (["rkd-da"], {"teacher": "resnet19"}, "unknown trunk 'resnet19': did you mean resnet1"),
        (["rkd-da"], {"size": 4}, "size = 4: Input should be greater than or equal to 8"),
        (["rkd-da"], {"dim": 0}, "dim = 0: Input should be greater than or equal to 1"),
        (["rkd-da"], {"rate": -1.0}, "learning_rate = -1.0: Input should be greater than 0"),
        (["nowhere.py:Mine"], {}, "nowhere.py"),
    ],
)
def test_what_is_refused(methods, given, told, monkeypatch):
    monkeypatch.setattr(relbench.models.trunks, "LIBRARIES", {})  # which take seconds to load
    with pytest.raises(ValueError, match=told) as refused:
        study_of(*methods, **given)
    assert "\n" not in str(refused.value)


def test_a_loss_by_name_or_from_a_file(tmp_path, in_a_worker):
    (tmp_path / "mine.py").write_text("def Mine(student, teacher):\n    return (student - teacher).square().mean()\n")
    study = study_of("similarity_preserving", f"{tmp_path}/mine.py")
    assert [term.loss for term in study.runs["Mine"].stages[0].terms] == ["triplet", "mine:Mine"]
    assert any(
        "Weight of similarity_preserving and Mine beside the task loss: 1" in note for note in study.settings_notes
    )
    assert study.name == "distill-glyphs-conv4-conv4-similarity_preserving-Mine"
