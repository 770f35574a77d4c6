import pytest
import torch

from relbench.experiment import Data, Net, Term, Training
from relbench.studies.epoch_protocol import EpochProtocol, Recipe
from relbench.studies.study import Stage, Study
from relbench.training.optimizers import build_optimizer, build_scheduler

SGD = Training(optimizer="sgd", momentum=0.9, learning_rate=0.1, decay=0.2, weight_decay=5e-4, batch_size=100)
RECIPE = Recipe(epochs=20, images=1050, training=SGD, decay_after=(6, 12, 16), rates=(0.01, 0.03, 0.1, 0.3))
CROSS_ENTROPY = Term(loss="cross_entropy")
DATA, NET = Data(name="glyphs", split="images"), Net(trunk="resnet18", width=None, dim=None)


def run(protocol="paper", scale="full", stages=1, **given):
    each = tuple(Stage(terms=(CROSS_ENTROPY,), share=share) for share in ([0.75, 0.25] if stages == 2 else [1.0]))
    return EpochProtocol(protocol, scale).run(RECIPE, DATA, NET, each, role="teacher", **given)


def trainings(spec, rate=None):
    study = Study(name="s", title="s", runs={"a": spec})
    return [one.training for one in study.trainings("a", 0, rate, None)]


def rates_by_epoch(training, batches):
    """The learning rate of every epoch, by the loop's own scheduler."""
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(1))], training)
    scheduler = build_scheduler(optimizer, training)
    for step in range(training.steps):
        if step % batches == 0:
            yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def test_learning_rates_fall_after_the_epochs_that_the_recipe_names():
    (training,) = trainings(run())
    assert (training.steps, training.validate_every) == (20 * 11, 11)
    rates = list(rates_by_epoch(training, 11))
    assert rates == pytest.approx([0.1] * 6 + [0.02] * 6 + [0.004] * 4 + [0.0008] * 4)


def test_paper_trains_on_all_images_with_the_rate_of_the_recipe():
    spec = run()
    assert (spec.data.hold_out, spec.rates) == (False, ())
    assert (spec.net, spec.training.optimizer, spec.training.momentum) == (NET, "sgd", 0.9)


def test_fair_shares_the_epochs_among_stages_and_chooses_the_rate_on_images_held_out():
    spec = run("fair", stages=2)
    assert spec.data.hold_out
    assert spec.rates == RECIPE.rates
    assert [one.steps for one in trainings(spec, 0.03)] == [110, 110]
    assert {one.learning_rate for one in trainings(spec, 0.03)} == {0.03}
    assert [one.steps for one in trainings(run(stages=2))] == [165, 55]


def test_toys_are_small_and_count_epochs_too():
    spec = run("fair", "toy")
    assert (spec.net.trunk, spec.net.dim, spec.net.width) == ("conv4", None, 6)
    assert (spec.data.train_classes, spec.data.test_classes) == (4, 4)
    assert spec.epochs.count == 2
    assert spec.rates == (0.01, 0.1)


def test_fair_needs_rates_to_choose_from():
    recipe = Recipe(epochs=2, images=100, training=SGD)
    with pytest.raises(ValueError, match="none to choose from"):
        EpochProtocol("fair").run(recipe, DATA, NET, (Stage(terms=(CROSS_ENTROPY,)),))


def test_a_protocol_or_scale_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="unknown protocol 'fare': did you mean fair"):
        EpochProtocol("fare")
    with pytest.raises(ValueError, match="unknown scale 'tiny'"):
        EpochProtocol("paper", "tiny")
