"""Tables of REFILLED: every number of READMEs and files, the recipes of two versions, equal budgets."""

from collections import Counter

import pytest

from relbench.experiment import Training
from relbench.resolve import resolve
from relbench.studies import build_study
from relbench.studies.published import read_published
from relbench.training.optimizers import build_scheduler

CIFAR100, CUB200, STEP = (build_study(f"refilled-{name}") for name in ("cifar100", "cub200", "incremental"))


def trainings(study, path, rate=None):
    """Of a run whose teacher is left out."""
    return study.trainings(path, 0, rate, None)


def rates_by_epoch(training: Training, epoch: int):
    """The learning rates of the first and the last step of each epoch, by the loop's own scheduler."""
    import torch  # noqa: PLC0415

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=training.learning_rate)
    scheduler = build_scheduler(optimizer, training)
    found = []
    for _ in range(training.steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found[::epoch], found[epoch - 1 :: epoch]


@pytest.mark.parametrize(("study", "data"), [(CIFAR100, "CIFAR-100"), (CUB200, "CUB-200")])
def test_every_number_of_readmes_and_files_stands_in_the_table_once(study, data):
    told = [
        (line.fields["method"], line.fields.get("student") or line.fields["network"], line.value, line.source)
        for table in ("refilled", "refilled_checkpoints")
        for line in read_published(table)
        if line.fields["dataset"] == data
    ]
    shown = [cell for cell in study.cells if cell.published is not None]
    rows = [("CE" if cell.part.startswith("Accuracies") else cell.row, cell) for cell in shown]
    assert Counter(told) == Counter((row, cell.column, cell.published, cell.source) for row, cell in rows)


def test_which_baseline_belongs_to_which_number():
    """70.15 of WRN-16-2 is stale in 2021; REFILLED's numbers of 2021 are those of 2020, beside another teacher."""
    by_place = {(cell.part, cell.row, cell.column): cell for cell in CIFAR100.cells}
    june, february, files = "README of June 2020", "README of February 2021", "Accuracies in the files of baselines"
    baseline = "Student (CE, released checkpoint)"
    assert (by_place[june, "Student (CE)", "WRN-16-2"].published, by_place[june, "REFILLED", "WRN-16-2"].doubt) == (
        0.7015,
        "",
    )
    assert "Stale" in by_place[february, baseline, "WRN-16-2"].doubt
    assert by_place[february, baseline, "WRN-16-1"].doubt == ""
    assert by_place[files, "Student (CE)", "WRN-16-2"].published == 0.726
    refilled = by_place[february, 'REFILLED (row "Paper Results")', "WRN-40-2"]
    assert "no gain over the baselines" in refilled.doubt


def test_methods_of_others_are_not_trained():
    others = {cell.row for cell in CIFAR100.cells if not cell.run}
    assert others == {"FitNet", "AT", "NST", "VID-I", "KD + VID-1", "RKD"}


def test_all_of_cub200_is_in_doubt():
    assert all("another test set" in cell.doubt for cell in CUB200.cells if cell.published is not None)


@pytest.mark.parametrize(
    ("method", "batch", "decay_at"),
    [("refilled", 128, (0.5, 0.7, 0.9)), ("gkd", 256, (0.25, 0.5, 0.75)), ("wgkd", 256, (0.25, 0.5, 0.75))],
)
def test_two_stages(method, batch, decay_at):
    first, second = (run.training for run in trainings(CIFAR100, f"wrn-16-2/{method}"))
    epoch = -(-50_000 // batch)
    assert first.batch_size == second.batch_size == batch
    assert first.steps == second.steps == 200 * epoch
    assert (first.schedule, first.final_rate, first.rate_every, first.decay_at) == ("cosine", 0.1, epoch, ())
    assert (second.schedule, second.decay_at, second.decay, second.learning_rate) == ("steps", decay_at, 0.2, 0.1)
    assert first.nesterov
    assert second.nesterov


def test_the_rate_of_stage_1_falls_after_each_epoch_along_a_cosine():
    shorter = build_study("refilled-cifar100")
    (run,) = trainings(shorter, "wrn-16-2/refilled-1")
    training = run.training.model_copy(update={"steps": 40, "rate_every": 4})
    first, last = rates_by_epoch(training, 4)
    assert first == last
    assert first[0] == 0.1
    assert first[5] == pytest.approx(0.055)
    assert len(set(first)) == 10


def test_stage_1_alone_is_the_first_stage_of_the_whole():
    alone, (first, _) = trainings(CIFAR100, "wrn-40-1/refilled-1"), trainings(CIFAR100, "wrn-40-1/refilled")
    assert alone == [first]


def test_gkd_and_its_weights_share_their_first_stage():
    assert trainings(CIFAR100, "wrn-40-1/gkd")[0] == trainings(CIFAR100, "wrn-40-1/wgkd")[0]


@pytest.mark.parametrize("name", ["refilled-cifar100", "refilled-label-spaces", "refilled-cub200"])
def test_the_control_has_as_many_epochs_as_two_stages_and_fair_needs_none(name):
    paper, fair = build_study(name), build_study(name, {"protocol": "fair"})
    epochs = {path.rpartition("/")[2]: run.epochs.count for path, run in paper.items}
    assert all(epochs[method] == 400 for method in ("ce-400", "refilled", "gkd", "wgkd") if method in epochs)
    assert (epochs["ce"], epochs["kd"], epochs["teacher"]) == (200, 200, 200)
    assert not any(path.endswith("ce-400") for path in fair.runs)
    assert {run.epochs.count for path, run in fair.items if not path.endswith("refilled-1")} == {200}
    halves = [
        stage.training.steps for path in fair.runs if path.endswith("gkd") for stage in trainings(fair, path, 0.1)
    ]
    assert len(set(halves)) <= 1


def test_fair_students_differ_in_nothing_but_their_method():
    """GKD's code has other batches and decays: under `paper` a note says so, under `fair` there is nothing to say."""
    fair = build_study("refilled-cifar100", {"protocol": "fair"})
    batches = {run.training.batch_size for run in fair.runs.values()}
    assert batches == {128}
    lengths = {sum(run.training.steps for run in trainings(fair, path, 0.1)) for path in fair.runs if path[-1] != "1"}
    assert len(lengths) == 1
    last = {trainings(fair, f"wrn-16-2/{method}", 0.1)[-1].training.decay_at for method in ("ce", "refilled", "gkd")}
    assert len(last) == 1
    assert any("of recipes as well" in note for note in CIFAR100.notes)
    assert not any("of recipes as well" in note for note in fair.notes)


def test_the_student_like_the_teacher_is_the_teacher():
    runs = {cell.run for cell in CIFAR100.cells if cell.column == "WRN-40-2" and cell.row.startswith("Student (CE")}
    assert runs == {"teacher"}
    assert "wrn-40-2/ce" not in CIFAR100.runs


def test_one_step_begins_with_the_teachers_network_and_ten_more_classes():
    (teacher,) = trainings(STEP, "teacher")
    assert teacher.data.train_classes == teacher.data.test_classes == 100
    for path in ("lr", "ft", "gkd", "wgkd"):
        (run,) = STEP.trainings(path, 0, None, teacher, teacher)
        found = resolve(run, path)
        assert found.initialized_from.fingerprint == resolve(teacher, "teacher").fingerprint
        assert (found.data.train_classes, found.begins_at) == (110, 0)
        assert found.training.frozen is (path == "lr")
        assert bool(found.teacher) is path.endswith("gkd")
    assert not STEP.runs["new"].starts_from


def test_the_stub_settings_of_one_step():
    training = trainings(STEP, "wgkd")[0].training
    assert (training.batch_size, training.learning_rate, training.decay_at) == (256, 0.1, (0.25, 0.5, 0.75))
    assert STEP.runs["wgkd"].epochs.count == 200
    (stage,) = STEP.runs["wgkd"].stages
    assert stage.terms[0].options["weighted"] is True
