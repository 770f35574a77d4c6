"""The watch for losses that are not finite: late on a GPU, but of the right step, and with its weights."""

import pytest
import torch
from training.toy import TRAINING, assert_equal, learner, toy_task, train

import relbench.training
from relbench.results.checkpoint import load_checkpoint
from relbench.training import learner as learners
from relbench.training.divergence import LOOK_EVERY, DivergedError, Watch

CPU = torch.device("cpu")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_term_that_is_not_finite_is_named(bad):
    watch = Watch(CPU)
    watch.note(7, {"a": torch.tensor(1.0), "b": torch.tensor(bad)}, torch.tensor(bad))
    assert watch.is_due
    found = watch.look()
    assert (found.step, found.terms) == (7, ("a", "b"))
    assert found.words.startswith(f"step 7: the loss term 'b' is {bad}; try a lower learning rate")


def test_a_sum_that_overflows():
    watch = Watch(CPU)
    watch.note(7, {"a": torch.tensor(1.0)}, torch.tensor(float("inf")))
    assert watch.look().words.startswith("step 7: the sum of the loss terms overflows")


def test_of_several_steps_the_first_is_named():
    watch = Watch(CPU, every=4)
    for step, value in enumerate((1.0, float("inf"), 2.0, float("nan")), start=5):
        assert not watch.is_due
        watch.note(step, {"a": torch.tensor(value)}, torch.tensor(value))
        assert watch.frozen == (step >= 6)
    assert watch.is_due
    assert watch.look().words.startswith("step 6: the loss term 'a' is inf")
    assert watch.look() is None


def test_a_gpu_is_not_waited_for_in_each_step():
    assert Watch(torch.device("meta"))._every == LOOK_EVERY > 1


@pytest.fixture
def late(monkeypatch):
    """Losses are looked at late, as on a GPU."""
    monkeypatch.setattr(learners, "Watch", lambda device: Watch(device, every=8))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_late_look_changes_no_number(tmp_path, monkeypatch, optimizer):
    training = TRAINING.model_copy(update={"optimizer": optimizer})
    expected = train(tmp_path / "a.pt", training)
    monkeypatch.setattr(learners, "Watch", lambda device: Watch(device, every=7))
    assert_equal(train(tmp_path / "b.pt", training), expected)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_step_that_was_bad_is_named_later_and_changes_no_weight(tmp_path, monkeypatch, late, optimizer):
    """Step 33 is looked at before the entry after step 34: nothing has moved since."""
    training = TRAINING.model_copy(update={"optimizer": optimizer, "validate_every": 16})
    trained = learner(tmp_path / "a.pt", toy_task(poisoned_at=33), training)
    with pytest.raises(DivergedError, match="step 33: the loss term 'drawn' is nan"):
        relbench.training.train(trained)
    assert trained._step == 34
    shorter = train(tmp_path / "b.pt", training.model_copy(update={"steps": 32}))
    assert all(torch.equal(weight, shorter["network"][name]) for name, weight in trained._network.named_parameters())
    assert load_checkpoint(tmp_path / "a.pt", "abc", 10**6, "recall@1")["step"] == 32
