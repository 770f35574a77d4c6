import pytest
import torch
from torch.optim.lr_scheduler import MultiStepLR

from relbench.data.datasets.photos import side_of
from relbench.experiment import Net
from relbench.studies import TABLES, Setup
from relbench.studies.rkd.protocol import RATES, epochs

TABLE1 = TABLES["rkd-table1"]
TEACHER = TABLE1.network("cub200/teacher/512")
STUDENT = TABLE1.network("cub200/rkd-da/64")
FITNET = TABLE1.network("cub200/fitnet/64")


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
    protocol = epochs(script, data).protocol()
    assert protocol.steps == count * steps
    assert rates_by_epoch(protocol, steps) == pytest.approx(torch_1_0(count, rate, decay, after))
    assert (protocol.weight_decay, protocol.batch_size, protocol.images_per_class) == (1e-5, 128, 5)
    assert (protocol.precision, protocol.channels_last, protocol.selection) == ("32-true", False, "last")
    assert protocol.validate_every == steps
    assert protocol.log_test_metrics


def test_teachers_have_25_epochs_at_the_full_rate():
    rates = rates_by_epoch(Setup().stages(TEACHER)[0], 100)
    assert rates.count(1e-5) == 25
    assert rates[25] == pytest.approx(5e-6)


def test_fitnet_has_two_full_stages_under_paper():
    first, last = Setup().stages(FITNET)
    assert (first.steps, first.learning_rate) == (8000, 1e-5)
    assert (last.steps, last.learning_rate) == (8000, 1e-4)


@pytest.mark.parametrize("network", TABLE1.networks, ids=lambda network: network.path)
def test_every_network_has_as_many_steps_under_fair(network):
    stages = Setup(protocol="fair").stages(network, 3e-5)
    assert sum(stage.steps for stage in stages) == 8000
    assert {stage.learning_rate for stage in stages} == {3e-5}


def test_paper_crops_224_of_256_and_trains_on_all_classes():
    data = Setup().data("cub200")
    assert (data.size, side_of(data), data.hold_out) == (224, 256, False)
    assert Setup(protocol="fair").data("cub200").hold_out


def test_rates_are_chosen_under_fair_alone():
    assert Setup().rates(STUDENT) == ()
    assert Setup(protocol="fair").rates(STUDENT) == RATES["imagenet"]
    assert Setup(protocol="fair").rates(TABLES["glyphs-table1"].networks[0]) == RATES["random"]


def test_toys_are_tiny_and_begin_at_random():
    setup = Setup(scale="toy")
    assert setup.data("cub200").size == 32
    net = setup.net(TEACHER.net)
    assert (net.trunk, net.weights, net.dim, net.unit_length) == ("conv4", "random", 512, True)
    assert setup.stages(STUDENT)[0].steps == 4
    assert setup.net(Net(trunk="googlenet", weights="imagenet")).width is not None


def test_settings_are_changed_last():
    setup = Setup(scale="toy", changes={"training.steps": 6, "data.size": 40, "training.precision": "bf16-mixed"})
    assert setup.stages(STUDENT)[0].steps == 6
    assert setup.stages(STUDENT)[0].precision == "bf16-mixed"
    assert setup.data("cub200").size == 40
    given = Setup(changes={"training.learning_rate": 1e-3})
    assert {stage.learning_rate for stage in given.stages(FITNET)} == {1e-3}


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
        Setup(changes=changes)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match=r"training\.steps = 0: "):
        Setup(changes={"training.steps": 0}).stages(STUDENT)
