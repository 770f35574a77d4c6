"""Optimisers and schedules: as torch has them, and as papers write them down."""

import math

import pytest
import torch

from relbench.experiment import Training
from relbench.training.optimizers import build_optimizer, build_scheduler, cosine_share

SGD = Training(
    optimizer="sgd", momentum=0.9, learning_rate=0.1, weight_decay=5e-4, steps=200, decay_at=(0.3, 0.6), decay=0.2
)


def rates(training):
    """The learning rate of each step, in order."""
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(1))], training)
    scheduler, found = build_scheduler(optimizer, training), []
    for _ in range(training.steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_in_plain_numbers(nesterov):
    """V <- m v + g + d w;  w <- w - r (g + d w + m v) with Nesterov's look ahead, w - r v without."""
    weight = torch.nn.Parameter(torch.tensor([2.0, -1.0], dtype=torch.float64))
    training = SGD.model_copy(update={"nesterov": nesterov, "decay_at": ()})
    optimizer = build_optimizer([weight], training)
    plain, speed = [2.0, -1.0], [0.0, 0.0]
    for _ in range(5):
        optimizer.zero_grad()
        (weight**2 * torch.tensor([1.0, 3.0])).sum().backward()
        optimizer.step()
        for at, curvature in enumerate((1.0, 3.0)):
            gradient = 2 * curvature * plain[at] + 5e-4 * plain[at]
            speed[at] = 0.9 * speed[at] + gradient
            plain[at] -= 0.1 * (gradient + 0.9 * speed[at] if nesterov else speed[at])
        assert weight.tolist() == pytest.approx(plain, rel=1e-12)


def test_steps_fall_after_their_epochs():
    found = rates(SGD)
    assert found[:60] == [0.1] * 60
    assert found[60:120] == pytest.approx([0.02] * 60)
    assert found[120:] == pytest.approx([0.004] * 80)


def test_a_cosine_by_its_formula():
    """From 0.1 to a tenth of it, in 20 epochs of 10 steps, as REFILLED's first stage has it: constant in an epoch."""
    training = Training(optimizer="sgd", learning_rate=0.1, steps=200, schedule="cosine", final_rate=0.1, rate_every=10)
    expected = [0.01 + 0.09 * (1 + math.cos(math.pi * (step // 10) / 20)) / 2 for step in range(200)]
    assert rates(training) == pytest.approx(expected, rel=1e-12)
    assert cosine_share(200, training) == pytest.approx(0.1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20, eta_min=0.01)
    for epoch in range(20):  # torch's own, once an epoch
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected[10 * epoch], rel=1e-9)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"momentum": 0.9}, "momentum and nesterov are settings of sgd"),
        ({"optimizer": "sgd", "nesterov": True}, "nesterov = true needs a momentum above 0"),
        ({"schedule": "cosine", "decay_at": (0.5,)}, "schedule = cosine has no steps"),
        ({"final_rate": 0.1}, "final_rate and rate_every are for schedule = cosine"),
        ({"rate_every": 5}, "final_rate and rate_every are for schedule = cosine"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Training(**settings)


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_parameter_whose_first_gradient_comes_late(nesterov):
    """As of a loss that does not use it in every batch: it begins with the momentum of that gradient, as in torch."""

    def trained(build):
        weight, late = (torch.nn.Parameter(torch.tensor([start], dtype=torch.float64)) for start in (2.0, 3.0))
        optimizer = build([weight, late])
        for step in range(5):
            optimizer.zero_grad()
            (weight**2 + (late**3 if step in {2, 4} else 0)).sum().backward()
            optimizer.step()
        return weight.item(), late.item()

    training = SGD.model_copy(update={"nesterov": nesterov})
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": nesterov, "foreach": False}
    ours = trained(lambda parameters: build_optimizer(parameters, training))
    assert ours == pytest.approx(trained(lambda parameters: torch.optim.SGD(parameters, **options)), rel=1e-12)
