"""A task that shares nothing with retrieval goes the whole way: nothing but its own file knows what it is."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from planned import pinned
from tasks.nearest_mean import NearestMean, NearestMeanTask
from tasks.patterns import CLASSES, Patterns, pattern_set

import relbench.data.datasets.rendered
import relbench.experiment
import relbench.studies
import relbench.tasks
from relbench.evaluation import compare
from relbench.experiment import Data, Experiment, Net, Term, Training
from relbench.grid.estimate import ImageCounts, Rates, estimated
from relbench.grid.estimate.calibration import PART, kind_of
from relbench.preflight import check_runs
from relbench.results.run_folder import RunFolder
from relbench.run import run
from relbench.settings import changed
from relbench.studies.study import Claim, RunSpec, Stage, Study
from relbench.tasks import find_task
from relbench.trackers import Silent
from relbench.transfer import TransferSpec, transfer

TRAINING = Training(
    steps=12, batch_size=8, images_per_class=2, validate_every=4, selection="validation", learning_rate=0.004
)
TEACHER = Experiment(
    task=NearestMean(),
    data=Data(name="patterns", size=28, content="patterns"),
    net=Net(width=4, dim=8),
    terms=(Term(loss="cross_entropy"),),
    training=TRAINING,
)
STUDENT = changed(
    TEACHER,
    {
        "net": Net(width=2, dim=4),
        "terms": (Term(loss="cross_entropy"), Term(loss="hinton_kd", options={"temperature": 4.0})),
        "teacher": TEACHER,
    },
)


@pytest.fixture(autouse=True)
def patterns(monkeypatch):
    """All that is registered: the data set, the settings of the task, and its code."""
    entry = pattern_set(Patterns())
    monkeypatch.setitem(relbench.data.datasets.rendered.RENDERED, "patterns", entry)
    monkeypatch.setitem(relbench.experiment.TASK_SETTINGS, "nearest_mean", NearestMean)
    monkeypatch.setitem(relbench.tasks.TASKS, "nearest_mean", lambda settings, _: NearestMeanTask(settings.images))
    return entry


@pytest.fixture
def rows(tmp_path):
    """Of the teacher and of a student that takes its logits."""
    return [run(one, tmp_path / "runs", tmp_path / "data", Silent()) for one in (TEACHER, STUDENT)]


def test_a_row_of_another_task(tmp_path, rows):
    """The metrics are those of the task alone; they add up, are read back, and choose the step that counts."""
    for one, row in zip((TEACHER, STUDENT), rows, strict=True):
        assert row.primary == "accuracy"
        assert row.metrics.keys() == {"accuracy", "worst_class"}
        assert 0.25 < row.metrics["accuracy"] == row.counts.share
        assert (row.counts.groups, row.counts.trials) == (CLASSES, (6, 6, 6, 6))
        values = {entry["step"]: entry["accuracy"] for entry in row.history if "accuracy" in entry}
        assert values.keys() == {4, 8, 12}
        assert row.selected_step == max(values, key=values.get)  # the first of equal ones
        assert row.validation == {"accuracy": values[row.selected_step]}
        assert RunFolder(tmp_path / "runs", one).finished() == row
        assert RunFolder(tmp_path / "runs", one).stored().embeddings.shape == (24, one.net.dim)


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path, rows):
    """Six batches are an epoch, and the first four of them are in the checkpoint: to the last bit, as uninterrupted."""

    class StoppedError(Exception):
        pass

    class Stopping(Silent):
        def step(self, done):
            if done == 5:
                raise StoppedError

    with pytest.raises(StoppedError):
        run(TEACHER, tmp_path / "stopped", tmp_path / "data", Stopping())
    row = run(TEACHER, tmp_path / "stopped", tmp_path / "data", Silent())
    same = ("history", "metrics", "counts", "weights_hash", "embeddings_hash")
    assert all(getattr(row, name) == getattr(rows[0], name) for name in same)


def test_a_second_stage_goes_on_with_the_batches_that_would_have_come_next(tmp_path, rows, monkeypatch):
    drawn, sampler = [], NearestMeanTask.sampler

    def watched(task, labels, seed, training):
        batch = sampler(task, labels, seed, training)
        return lambda step: drawn.append(step) or batch(step)

    monkeypatch.setattr(NearestMeanTask, "sampler", watched)
    second = changed(TEACHER, {"initialized_from": TEACHER, "training": changed(TRAINING, {"steps": 2})})
    run(second, tmp_path / "runs", tmp_path / "data", Silent())
    last_of_an_epoch = 24 * 2 // TRAINING.batch_size - 1  # looked at before: it may be smaller
    assert drawn == [last_of_an_epoch, TRAINING.steps, TRAINING.steps + 1]


def test_every_image_is_seen_once_in_an_epoch():
    batch = find_task(TEACHER.task).sampler(torch.arange(48) // 12, 3, TRAINING)
    first, second = ([batch(step) for step in range(start, start + 6)] for start in (0, 6))
    assert sorted(torch.cat(first).tolist()) == sorted(torch.cat(second).tolist()) == list(range(48))
    assert not torch.equal(torch.cat(first), torch.cat(second))


def test_a_row_is_held_to_what_its_task_says(tmp_path, rows):
    path = RunFolder(tmp_path / "runs", TEACHER).row
    content = json.loads(path.read_text())
    content["metrics"]["accuracy"] = 0.123
    del content["hash"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="contradicts itself: its counts do not add up to the accuracy; delete it"):
        RunFolder(tmp_path / "runs", TEACHER).finished()


def test_a_network_measured_by_another_task_than_it_was_trained_for(tmp_path, rows):
    """By the task of the transfer, from the same checkpoint; each has a file of its own."""
    asked = [pinned(TransferSpec.of(TEACHER, TEACHER.data), tmp_path)]
    asked += [changed(asked[0], {"task": NearestMean(images=images)}) for images in (8, 1)]
    found = [transfer(one, tmp_path, tmp_path) for one in asked]
    assert found[0].metrics == rows[0].metrics  # as it was trained for
    assert asked[0] == asked[1]
    assert len({one.fingerprint for one in asked}) == 2
    assert found[2].counts != found[0].counts


@pytest.mark.parametrize(("kind", "growth"), [("nearest_mean", 1), ("retrieval", 2)])
def test_an_estimate_scales_with_the_images_as_the_task_does(kind, growth):
    """Three validations of 16 images and the test of 24; nothing but scoring takes time."""
    experiment = changed(TEACHER, {"task": {"kind": kind}})
    images = ImageCounts(classes=4, train=48, validation=16, test=24, test_classes=4, channels=1, text=40)
    rates = Rates(step=0.0, image=0.0, view=0.0, scoring=0.5, measured=PART)
    found = estimated([experiment], {experiment.data: images}, (), {kind_of(experiment, 1): rates})
    assert found[experiment.fingerprint].seconds == 0.5 * (3 * 16**growth + 24**growth)


def test_retrieval_refuses_what_another_task_needs(tmp_path, patterns):
    """Classes in several splits; in the words that a reader of tables has for them."""
    check_runs([TEACHER], tmp_path, patterns.load(TEACHER.data), patterns)
    retrieval = changed(TEACHER, {"task": {"kind": "retrieval"}, "terms": (Term(loss="triplet"),)})
    message = r"class 'crosses' lies in 'train' and, by image 'crosses/validation/0' \(line 48 of the table\), in 'val"
    with pytest.raises(ValueError, match=message):
        check_runs([retrieval], tmp_path, patterns.load(TEACHER.data), patterns)


def test_another_task_refuses_what_retrieval_needs(tmp_path, patterns):
    source = patterns.load(TEACHER.data)
    source.table = source.table.assign(label=source.table["label"] + " " + source.table["split"])
    message = (
        r"class 'crosses train' lies in 'train', by image 'crosses/train/0' \(line 0 of the table\), but not in 'val"
    )
    with pytest.raises(ValueError, match=message):
        find_task(TEACHER.task).check(source.table)
    with pytest.raises(ValueError, match=message):
        check_runs([TEACHER], tmp_path, source, patterns)


def study():
    """Teacher and student, as a file of a study builds them."""

    def spec(one, **more):
        stages = (Stage(terms=one.terms),)
        return RunSpec(task=one.task, data=one.data, net=one.net, training=one.training, stages=stages, **more)

    claim = Claim(text="the student beats the teacher", better=(("student", "teacher"),), family="students")
    runs = {"teacher": spec(TEACHER, role="teacher"), "student": spec(STUDENT, teacher="teacher")}
    return Study(name="patterns", title="Patterns", runs=runs, claims=(claim,))


def of_seed(experiment, seed):
    teacher = {"teacher": of_seed(experiment.teacher, seed)} if experiment.teacher else {}
    return changed(experiment, {"seed": seed, **teacher})


@pytest.fixture
def reported(tmp_path, monkeypatch, call):
    """The results folder of the study, and what its command told."""
    monkeypatch.setitem(relbench.studies.STUDIES, "patterns", study)
    folder = tmp_path / "results" / "patterns"
    where = ["--results", folder.parent, "--data", tmp_path / "data"]
    done = call("reproduce", "patterns", "--seeds", "0,1", *where, "--jobs", 1, "--device", "cpu")
    assert (done.code, done.error) == (0, "")
    return folder, done.out


def lines(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_line_of_the_table_has_the_tasks_metrics_and_a_verdict_by_its_counts(reported):
    folder, _ = reported
    teachers, students = (
        [RunFolder(folder / "runs", of_seed(one, seed)).finished() for seed in (0, 1)] for one in (TEACHER, STUDENT)
    )
    (line,) = [line for line in lines(folder / "table.csv") if line["method"] == "student"]
    assert float(line["accuracy"]) == pytest.approx(np.mean([row.counts.share for row in students]))
    counted = [[row.counts for row in rows] for rows in (students, teachers)]
    expected = compare(*counted)
    assert float(line["difference_to_teacher"]) == pytest.approx(expected.difference)
    assert line["verdict"] == expected.verdict
    rows = lines(folder / "rows.csv")
    assert {(row["task.kind"], row["task.images"]) for row in rows} == {("nearest_mean", "8")}


def test_a_report_speaks_of_the_task_and_not_of_retrieval(reported, tmp_path, call):
    folder, told = reported
    table = (folder / "table.md").read_text(encoding="utf-8")
    assert "| Accuracy, % | Difference, points |" in table
    assert "its 95 % interval over new training runs and new classes at once" in table
    assert "24 test images of 4 classes" in table
    page = re.sub(r'<style>.*?</style>|"data:[^"]*"', "", (folder / "report.html").read_text("utf-8"), flags=re.DOTALL)
    assert "; classified by the nearest mean." in table
    assert not re.search("recall|quer|retriev|neighbour|per class", (table + page + told).lower())
    before = {path.name: path.read_bytes() for path in folder.glob("table.*")}
    assert call("report", folder, "--data", tmp_path / "data").code == 0
    assert {path.name: path.read_bytes() for path in folder.glob("table.*")} == before
