"""Cohorts on toy tasks: to the last bit, each network comes out as if it had been trained alone."""

import pytest
import torch
from told import Steps
from training.toy import HALF, TRAINING, Stop, assert_equal, learner, parts_with_weights, stop_at, toy_task, train

from relbench.experiment import Experiment, Net, Term
from relbench.results.checkpoint import load_checkpoint, save_checkpoint
from relbench.settings import changed
from relbench.training.divergence import DivergedError
from relbench.training.schedule import gone_on_from, may_go_on_from
from relbench.training.trainer import Trainer

SLOW = TRAINING.model_copy(update={"learning_rate": 0.001, "decay_at": (0.5,), "weight_decay": 0.1})
CHOSEN = TRAINING.model_copy(update={"selection": "validation"})
MEMBERS = {  # settings of the training, and of the task
    "plain": (TRAINING, {}),
    "slow": (SLOW, {"dropout": 0.6}),
    "wide": (TRAINING, {"hidden": 12, "dropout": 0.0}),
    "chosen": (CHOSEN, {"recalls": [0.2, 0.7, 0.3, 0.4]}),
    "with weights": (TRAINING, {"more": parts_with_weights, "classifier": True}),
}


def task_of(name):
    given = MEMBERS[name][1]
    return toy_task(**given | ({"more": given["more"]()} if "more" in given else {}))


def alone(folder, name, training=None):
    return train(folder / f"{name}, alone.pt", training or MEMBERS[name][0], task=task_of(name), name=name)


def member(folder, name, on_step=lambda _: None, **changes):
    training = MEMBERS[name][0].model_copy(update=changes)
    return learner(folder / f"{name}.pt", task_of(name), training, Steps(on_step), name=name)


@pytest.mark.parametrize("names", [list(MEMBERS), list(reversed(MEMBERS)), ["wide", "slow"]], ids=len)
def test_members_come_out_as_if_alone(tmp_path, names):
    """Weights, moments, history and the best step, whatever the company and the order; in the files, too."""
    states = Trainer([member(tmp_path, name) for name in names]).run()
    assert list(states) == names
    for name, state in states.items():
        assert_equal(state, alone(tmp_path, name))
        assert_equal(load_checkpoint(tmp_path / f"{name}.pt", name, 40, "recall@1"), state)


def watched(trainer, seen):
    """The trainer; `seen` gets the images of each step that the teacher looks at."""
    trainer._setup.teacher.network.register_forward_hook(lambda _, given, __: seen.append(given[0].sum().item()))
    return trainer


def test_the_teacher_looks_once_a_step(tmp_path):
    seen = []
    watched(Trainer([member(tmp_path, name) for name in MEMBERS]), seen).run()
    assert len(seen) == len(set(seen)) == 40


def test_one_that_is_behind_catches_up(tmp_path):
    """Stopped after three steps, thirteen, and twenty-seven, of which twenty are in the checkpoint."""
    names = ["plain", "slow", "with weights"]
    for name, last in zip(names, (3, 13, 27), strict=True):
        (stopped,) = Trainer([member(tmp_path, name, stop_at(last))]).run().values()
        assert isinstance(stopped, Stop)
    told = {name: [] for name in names}
    seen = []
    states = watched(Trainer([member(tmp_path, name, told[name].append) for name in names]), seen).run()
    assert [steps[0] for steps in told.values()] == [0, 10, 20]
    assert all(steps == list(range(steps[0], 41)) for steps in told.values())
    assert len(seen) == 40
    for name in names:
        assert_equal(states[name], alone(tmp_path, name))


def test_one_that_is_done_waits(tmp_path):
    expected = alone(tmp_path, "plain")
    Trainer([member(tmp_path, "plain")]).run()
    states = Trainer([member(tmp_path, name) for name in ("plain", "wide")]).run()
    assert_equal(states["plain"], expected)
    assert_equal(states["wide"], alone(tmp_path, "wide"))


def poisoned(folder, at):
    return learner(folder / "poisoned.pt", toy_task(poisoned_at=at), name="poisoned")


def test_one_that_diverges_leaves(tmp_path):
    members = [member(tmp_path, "plain"), poisoned(tmp_path, 25), member(tmp_path, "wide")]
    states = Trainer(members).run()
    assert isinstance(states["poisoned"], DivergedError)
    assert str(states["poisoned"]).startswith("step 25: the loss term 'drawn' is nan")
    assert load_checkpoint(tmp_path / "poisoned.pt", "poisoned", 40, "recall@1")["step"] == 20
    for name in ("plain", "wide"):
        assert_equal(states[name], alone(tmp_path, name))


def test_where_the_one_behind_leaves_the_others_go_on_from_their_own_step(tmp_path):
    Trainer([member(tmp_path, "plain", stop_at(31))]).run()
    seen = []
    states = watched(Trainer([member(tmp_path, "plain"), poisoned(tmp_path, 5)]), seen).run()
    assert isinstance(states["poisoned"], DivergedError)
    assert len(seen) == 5 + 10
    assert_equal(states["plain"], alone(tmp_path, "plain"))


def test_where_all_diverge_nothing_is_left_to_do(tmp_path):
    seen = []
    (end,) = watched(Trainer([poisoned(tmp_path, 2)]), seen).run().values()
    assert isinstance(end, DivergedError)
    assert len(seen) == 2


def frames_of(error):
    """Of its traceback, but for the one that has caught it, and of those of errors before it."""
    while error:
        trace = error.__traceback__.tb_next
        while trace:
            yield trace.tb_frame
            trace = trace.tb_next
        error = error.__context__


@pytest.mark.parametrize("what", ["a loss", "a weight"])
def test_what_a_failed_step_has_computed_is_let_go(tmp_path, what):
    """On a GPU those who stay would lack the memory."""
    failing = poisoned(tmp_path, 2 if what == "a loss" else None)
    with torch.no_grad():
        failing.setup.network[0].weight[0] *= torch.nan if what == "a weight" else 1
    (end,) = Trainer([failing]).run().values()
    assert isinstance(end, DivergedError)
    frames = list(frames_of(end))
    assert len(frames) >= 3
    held = [value for frame in frames for value in frame.f_locals.values()]
    assert not any(isinstance(value, torch.Tensor | dict) for value in held)


def test_an_image_that_cannot_be_read_stops_all(tmp_path):
    members = [member(tmp_path, name) for name in ("plain", "wide")]

    def broken(*_):
        raise ValueError("no image")

    object.__setattr__(members[0].setup.data, "views", broken)
    with pytest.raises(ValueError, match="no image"):
        Trainer(members).run()


def test_time_is_each_ones_own_and_a_share_of_the_common(tmp_path, monkeypatch):
    """By a clock on which the common part of a step takes 8 s, and each network's own 3 s."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    members = [member(tmp_path, name) for name in ("plain", "wide")]
    trainer = Trainer(members)

    def passing(seconds):
        return lambda *_: now.__setitem__(0, now[0] + seconds)

    trainer._setup.teacher.network.register_forward_hook(passing(8))
    for each in members:
        each.setup.features.register_forward_hook(passing(3))
    states = trainer.run()
    assert [state["seconds"] for state in states.values()] == [40 * (8 / 2 + 3)] * 2


LONGER = TRAINING.model_copy(update={"steps": 40, "decay_at": (0.75,)})
SHORTER = TRAINING.model_copy(update={"steps": 20})


def test_a_longer_training_goes_on_from_a_shorter_one(tmp_path):
    """Its decay comes later; weights, moments and the rest of the history are those of one from the start."""
    run = Experiment(net=Net(width=2), terms=(Term(loss="triplet"),), training=LONGER)
    shorter = changed(run, {"training": SHORTER})
    assert may_go_on_from(run, shorter)
    ended = train(tmp_path / "shorter.pt", SHORTER, name=shorter.fingerprint)
    save_checkpoint(gone_on_from(ended, run), tmp_path / "longer.pt")
    steps = []
    found = train(tmp_path / "longer.pt", LONGER, steps.append, name=run.fingerprint)
    assert steps == list(range(20, 41))
    assert_equal(found, train(tmp_path / "whole.pt", LONGER, name=run.fingerprint))
    assert found["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("longer", "shorter", "may"),
    [
        ({}, {}, True),
        ({"decay_at": (0.5,)}, {}, False),  # the shorter run's rate does not decay at its end
        ({"decay_at": (0.25,)}, {"decay_at": (0.5,)}, True),  # after step 10, both
        ({"decay_at": (0.5,)}, {"decay_at": (0.5,)}, False),  # after step 20 and step 10
        ({"decay_at": (0.5,)}, {"decay_at": (1.0,)}, True),
        ({}, {"steps": 15}, False),  # no validation step of the longer run
        ({"validate_every": 7}, {"validate_every": 7}, False),
        ({}, {"steps": 40}, False),
        ({}, {"learning_rate": 0.5}, False),
        ({}, {"selection": "validation"}, False),
    ],
)
def test_where_a_longer_training_may_go_on_from_a_shorter_one(longer, shorter, may):
    run = Experiment(net=Net(width=2), terms=(Term(loss="triplet"),), training=TRAINING.model_copy(update=longer))
    assert may_go_on_from(run, changed(run, {"training": HALF.model_copy(update=shorter)})) == may
    assert not may_go_on_from(run, changed(run, {"training": HALF.model_copy(update=shorter), "seed": 1}))
