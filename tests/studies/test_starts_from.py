"""Runs that begin with the network of a run of other classes; seeds that have images of their own."""

import pytest
import torch
from tasks.patterns import Patterns, pattern_set

import relbench.data.datasets.rendered
from relbench.experiment import Classification, Data, Net, Term, Training
from relbench.grid.plan import PendingRun, planned_runs
from relbench.grid.tuning import TuningPlan
from relbench.results.run_folder import load_trained
from relbench.run import run
from relbench.settings import changed
from relbench.studies.changes import with_values
from relbench.studies.study import Cell, RunSpec, Stage, Study
from relbench.trackers import Silent

OLD, NEW = ("crosses", "dots"), ("crosses", "stripes", "waves")
SGD = Training(optimizer="sgd", momentum=0.9, learning_rate=0.05, steps=5, batch_size=8, validate_every=5)
CROSS_ENTROPY = Term(loss="cross_entropy")


def spec(classes, *stages, **given):
    return RunSpec(
        task=Classification(),
        data=Data(name="patterns", size=28, content="patterns", split="images", train_classes=classes),
        net=Net(width=2, dim=None, unit_length=False),
        **{"training": SGD, "stages": stages or (Stage(terms=(CROSS_ENTROPY,)),), **given},
    )


def study(**runs):
    cells = tuple(Cell(part="", row=path, column="", run=path, metric="accuracy") for path in runs)
    return Study(name="s", title="s", runs=runs, cells=cells)


FROZEN = changed(SGD, {"frozen": True, "steps": 4, "validate_every": 4})
STUDY = study(
    teacher=spec(OLD, role="teacher"),
    head=spec(NEW, starts_from="teacher", training=FROZEN),
    centres=spec(NEW, Stage(terms=(Term(loss="refilled_classifier"),)), teacher="teacher", starts_from="teacher"),
)


def planned(of, paths, finished=lambda _: None):
    return planned_runs(TuningPlan(of, finished), paths, (3,))


@pytest.fixture(autouse=True)
def patterns(monkeypatch):
    monkeypatch.setitem(relbench.data.datasets.rendered.RENDERED, "patterns", pattern_set(Patterns()))


def test_a_run_waits_for_what_it_starts_from():
    teacher, head, centres = planned(STUDY, ["head", "centres"])
    assert [each.label for each in (teacher, head, centres)] == ["teacher", "head", "centres"]
    assert head.experiment.initialized_from == centres.experiment.initialized_from == teacher.experiment
    assert head.experiment.teacher is None
    assert centres.experiment.teacher == teacher.experiment
    assert head.experiment.total_steps == 9  # of all trainings behind it
    assert head.experiment.begins_at == 0  # its images are others: their first epoch begins


def test_where_the_rate_of_what_it_starts_from_is_not_chosen_it_is_not_known_yet():
    tuned = changed(STUDY, {"runs": STUDY.runs | {"teacher": changed(STUDY.runs["teacher"], {"rates": (0.1, 0.2)})}})
    *candidates, teacher, head = planned(tuned, ["head"])
    assert [each.label for each in candidates] == ["teacher at 0.1", "teacher at 0.2"]
    assert isinstance(teacher, PendingRun)
    assert isinstance(head, PendingRun)
    assert head.experiment.initialized_from


def test_a_second_stage_on_the_same_images_goes_on_in_the_batches():
    halves = tuple(Stage(terms=(CROSS_ENTROPY,), share=0.5) for _ in range(2))
    both = spec(NEW, *halves, starts_from="teacher", training=changed(SGD, {"steps": 10}))
    *_, first, last = planned(study(teacher=spec(OLD, role="teacher"), both=both), ["both"])
    assert (first.label, last.label) == ("both, first stage", "both")
    assert (first.experiment.begins_at, last.experiment.begins_at) == (0, 5)
    assert [each.training.steps for each in last.experiment.stages] == [5, 5, 5]


def test_the_network_is_the_trained_one_and_the_head_is_new(tmp_path):
    """Frozen, so that the network is left as it was taken over."""
    teacher, head = (each.experiment for each in planned(STUDY, ["head"]))
    rows = [run(each, tmp_path / "runs", tmp_path, Silent()) for each in (teacher, head)]
    its, own = (load_trained(each, tmp_path / "runs", 1, "run") for each in (teacher, head))
    for name, weights in its.network.state_dict().items():
        assert torch.equal(weights, own.network.state_dict()[name])
    assert [len(each.classifier.weight) for each in (its, own)] == [2, 3]
    assert rows[1].dependencies == {"first stage": rows[0].weights_hash}
    assert rows[1].counts.groups == NEW


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({"head": spec(NEW, starts_from="teacher")}, "unknown run to start from, before head, 'teacher'"),
        ({"head": spec(NEW, starts_from="old"), "old": spec(OLD)}, "unknown run to start from, before head, 'old'"),
    ],
)
def test_it_starts_from_a_run_before_it(runs, message):
    with pytest.raises(ValueError, match=message):
        study(**runs)


def test_another_network_than_that_which_it_starts_from_is_refused():
    other = with_values(STUDY, {"student.width": 3})
    with pytest.raises(ValueError, match="a run continues with the network and the seed that it starts from"):
        planned(other, ["head"])


def test_each_seed_has_the_next_partition():
    """Teacher and student of a seed have the same one; whoever asks for one has that for all seeds."""
    runs = {path: changed(each, {"partitions": 3}) for path, each in STUDY.items}
    own = changed(STUDY, {"runs": runs})
    assert [own.runs["head"].data_of(seed).partition for seed in range(5)] == [1, 2, 3, 1, 2]
    first, last = own.trainings("head", 4, None, None), own.trainings("teacher", 4, None, None)
    assert first[0].data.partition == last[0].data.partition == 2
    asked = with_values(own, {"data.partition": 3})
    assert {asked.runs["head"].data_of(seed).partition for seed in range(5)} == {3}
