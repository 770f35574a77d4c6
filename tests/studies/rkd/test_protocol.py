import pytest
import torch
from torch.optim.lr_scheduler import MultiStepLR

from relbench.data.datasets.photos import side_of
from relbench.experiment import Net
from relbench.grid.tuning import TuningPlan
from relbench.studies import build_study
from relbench.studies.changes import with_values
from relbench.studies.rkd.protocol import RATES, Protocol, epochs

TABLE1 = build_study("rkd-table1")
TEACHER, STUDENT, FITNET = "cub200/teacher/512", "cub200/rkd-da/64", "cub200/fitnet/64"


def trainings(study, path, rate=None):
    """How each stage of a run is trained; its teacher plays no part in that."""
    return [stage.training for stage in study.trainings(path, 0, rate, None)]


def table1(protocol="paper", scale="full", **changes):
    return with_values(build_study("rkd-table1", {"protocol": protocol, "scale": scale}), changes.pop("changes", {}))


def rates_by_epoch(protocol, steps_per_epoch):
    """The learning rate of every epoch, by the loop's own scheduler."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=protocol.learning_rate)
    milestones = [round(share * protocol.steps) for share in protocol.decay_at]
    scheduler = MultiStepLR(optimizer, milestones, gamma=protocol.decay)
    rates = []
    for step in range(protocol.steps):
        if step % steps_per_epoch == 0:
            rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def torch_1_0(schedule, rate, decay, after):
    """As PyTorch 1.0 did it where `scheduler.step()` opens an epoch: the first one is epoch 0 and has the full rate."""
    return [rate * decay ** sum(epoch >= one for one in after) for epoch in range(schedule)]


@pytest.mark.parametrize(
    ("script", "data", "count", "steps", "rate", "decay", "after"),
    [
        ("teacher", "cub200", 40, 100, 1e-5, 0.5, (25, 30, 35)),
        ("student", "cars196", 80, 100, 1e-4, 0.1, (40, 60)),
        ("teacher", "sop", 40, 1000, 1e-5, 0.5, (25, 30, 35)),
        ("student", "sop", 120, 500, 1e-4, 0.1, (40, 80)),
    ],
)
def test_schedules_of_the_authors_scripts(script, data, count, steps, rate, decay, after):
    protocol = epochs(script, data).training()
    assert protocol.steps == count * steps
    assert rates_by_epoch(protocol, steps) == pytest.approx(torch_1_0(count, rate, decay, after))
    assert (protocol.weight_decay, protocol.batch_size, protocol.images_per_class) == (1e-5, 128, 5)
    assert (protocol.precision, protocol.channels_last, protocol.selection) == ("32-true", False, "last")
    assert protocol.validate_every == steps
    assert protocol.log_test_metrics


def test_teachers_have_25_epochs_at_the_full_rate():
    rates = rates_by_epoch(trainings(TABLE1, TEACHER)[0], 100)
    assert rates.count(1e-5) == 25
    assert rates[25] == pytest.approx(5e-6)


def test_fitnet_has_two_full_stages_under_paper():
    first, last = trainings(TABLE1, FITNET)
    assert (first.steps, first.learning_rate) == (8000, 1e-5)
    assert (last.steps, last.learning_rate) == (8000, 1e-4)


@pytest.mark.parametrize("path", TABLE1.runs)
def test_every_network_has_as_many_steps_under_fair(path):
    stages = trainings(table1("fair"), path, 3e-5)
    assert sum(stage.steps for stage in stages) == 8000
    assert {stage.learning_rate for stage in stages} == {3e-5}


def test_paper_crops_224_of_256_and_trains_on_all_classes():
    data = Protocol().data("cub200")
    assert (data.size, side_of(data), data.hold_out) == (224, 256, False)
    assert Protocol("fair").data("cub200").hold_out


def test_rates_are_chosen_under_fair_alone():
    assert TABLE1.runs[STUDENT].rates == ()
    assert table1("fair").runs[STUDENT].rates == RATES["imagenet"]
    assert {run.rates for run in build_study("glyphs-table1", {"protocol": "fair"}).runs.values()} == {RATES["random"]}


def test_toys_are_tiny_and_begin_at_random():
    toy = table1(scale="toy")
    assert toy.runs[STUDENT].data.size == 32
    net = toy.runs[TEACHER].net
    assert (net.trunk, net.weights, net.dim, net.unit_length) == ("conv4", "random", 512, True)
    assert trainings(toy, STUDENT)[0].steps == 4
    assert Protocol(scale="toy").net(Net(trunk="googlenet", weights="imagenet")).width is not None


def test_settings_are_changed_last():
    changes = {"training.steps": 6, "data.size": 40, "training.precision": "bf16-mixed"}
    study = table1(scale="toy", changes=changes)
    assert trainings(study, STUDENT)[0].steps == 6
    assert trainings(study, STUDENT)[0].precision == "bf16-mixed"
    assert study.runs[STUDENT].data.size == 40
    given = table1(changes={"training.learning_rate": 1e-3})
    assert {stage.learning_rate for stage in trainings(given, FITNET)} == {1e-3}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"training.stepz": 6}, "unknown setting 'training.stepz': did you mean training.steps"),
        ({"data.name": "sop"}, "unknown setting 'data.name'"),
        ({"training.device": "cpu"}, "unknown setting 'training.device'"),
        ({"training.selection": "validation"}, "unknown setting 'training.selection'"),
    ],
)
def test_unknown_settings_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        table1(changes=changes)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match=r"training\.steps = 0: "):
        table1(changes={"training.steps": 0})


def test_a_protocol_or_scale_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="unknown protocol 'fare': did you mean fair"):
        Protocol("fare")
    with pytest.raises(ValueError, match="unknown scale 'tiny'"):
        Protocol("paper", "tiny")


def test_features_that_are_not_trained_have_no_rate_to_choose_under_fair():
    study = build_study("rkd-fig3", {"protocol": "fair"})
    tuning = TuningPlan(study, lambda _: None)
    assert tuning.tuning_runs(["cars196/pretrained/2048"]) == []
    assert tuning.run("cars196/pretrained/2048", 0) is None
