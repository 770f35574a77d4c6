"""The loop on a toy task: numbers instead of images."""

import pytest
import torch
from torch import nn

from relbench.experiment import Protocol
from relbench.training.checkpoint import load_checkpoint, selected_weights
from relbench.training.loop import Task, Trainer, make_generator
from relbench.training.objective import DivergedError, Part

PROTOCOL = Protocol(steps=40, validate_every=10, batch_size=8, images_per_class=2, learning_rate=0.01)


class Stop(Exception):  # noqa: N818 - stands for a kill
    pass


def toy_task(*, poisoned_at=None, recalls=None, dropout=0.3, teacher=True):
    """A task whose every part draws random numbers, so that a forgotten state shows."""
    table = torch.rand(50, 6, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(dropout), nn.Linear(8, 4))
        its_teacher = nn.Linear(6, 4) if teacher else None
    validations = iter(recalls or [0.5] * 1000)
    calls = iter(range(1, 10_000))

    def batches(generator):
        while True:
            yield torch.randint(0, 50, (8,), generator=generator)

    def images(lines, generator):
        return table[lines] + 0.01 * torch.randn(len(lines), 6, generator=generator)

    def drawn(embeddings, labels, generator):
        factor = torch.nan if poisoned_at == next(calls) else 1.0
        return (embeddings.square().sum(dim=1) * torch.rand(len(labels), generator=generator)).mean() * factor

    parts = {"drawn": Part(1.0, supervised=drawn)}
    if teacher:
        parts["match"] = Part(1.0, relational=lambda student, teacher: (student - teacher).square().mean())
    return Task(
        network, its_teacher, parts, batches, images, torch.arange(50), lambda _: {"recall@1": next(validations)}
    )


def train(path, protocol=PROTOCOL, on_step=lambda step: None, **task):
    return Trainer(toy_task(**task), protocol, seed=3, fingerprint="abc", checkpoint=path).run(on_step)


def assert_equal(first, second, path=""):
    """Equal to the last bit, seconds aside."""
    assert type(first) is type(second), path
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first.keys() - {"seconds"}:
            assert_equal(first[key], second[key], f"{path}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), path
        for number, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(*pair, f"{path}.{number}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    else:
        assert first == second, path


def test_equal_seeds_give_equal_states(tmp_path):
    assert_equal(train(tmp_path / "a.pt"), train(tmp_path / "b.pt"))


def test_another_seed_gives_another_state(tmp_path):
    other = Trainer(toy_task(), PROTOCOL, seed=4, fingerprint="abc", checkpoint=tmp_path / "b.pt").run(
        lambda step: None
    )
    assert not torch.equal(train(tmp_path / "a.pt")["network"]["0.weight"], other["network"]["0.weight"])


@pytest.mark.parametrize("stop_at", [1, 10, 17, 39])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, stop_at):
    def stop(step):
        if step == stop_at:
            raise Stop

    with pytest.raises(Stop):
        train(tmp_path / "a.pt", on_step=stop)
    steps = []
    resumed = train(tmp_path / "a.pt", on_step=steps.append)
    assert steps[0] == stop_at // 10 * 10
    assert_equal(resumed, train(tmp_path / "b.pt"))


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = train(tmp_path / "a.pt")
    steps = []
    assert_equal(train(tmp_path / "a.pt", on_step=steps.append), first)
    assert steps == [40]


def test_the_returned_state_is_the_checkpoint(tmp_path):
    assert_equal(train(tmp_path / "a.pt"), load_checkpoint(tmp_path / "a.pt", "abc", 10**6))


def test_global_random_numbers_are_left_alone(tmp_path):
    before = torch.get_rng_state()
    train(tmp_path / "a.pt")
    assert torch.equal(torch.get_rng_state(), before)


def test_one_step_is_adams(tmp_path):
    """By hand: after one step every weight has moved by the learning rate against its gradient's sign."""
    protocol = PROTOCOL.model_copy(update={"steps": 1})
    task = toy_task(dropout=0.0, teacher=False)
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    generators = [make_generator(3, stream) for stream in range(3)]
    images = task.images(next(task.batches(generators[0])), generators[1])
    loss = task.parts["drawn"].supervised(task.network.train()(images), torch.zeros(8), generators[2])
    gradient = torch.autograd.grad(loss, task.network[3].weight)[0]
    after = train(tmp_path / "a.pt", protocol, dropout=0.0, teacher=False)["network"]
    moved = after["3.weight"] - before["3.weight"]
    large = gradient.abs() > 1e-4
    assert large.any()
    assert torch.allclose(moved[large], -0.01 * gradient.sign()[large], rtol=1e-3)
    assert after["1.num_batches_tracked"] == 1


def test_history_holds_means_and_validation(tmp_path):
    history = train(tmp_path / "a.pt")["history"]
    assert [entry["step"] for entry in history] == list(range(1, 41))  # fewer than a hundred steps: each is kept
    assert [entry["step"] for entry in history if "recall@1" in entry] == [10, 20, 30, 40]
    assert all(set(entry) >= {"step", "drawn", "match"} for entry in history)


def test_history_averages_over_steps(tmp_path):
    protocol = PROTOCOL.model_copy(update={"steps": 400, "validate_every": 400})
    coarse = train(tmp_path / "a.pt", protocol)["history"]
    assert [entry["step"] for entry in coarse] == list(range(4, 401, 4))
    fine = train(tmp_path / "b.pt", protocol.model_copy(update={"steps": 99}))["history"]
    assert coarse[0]["drawn"] == pytest.approx(sum(entry["drawn"] for entry in fine[:4]) / 4, rel=1e-6)


def test_the_learning_rate_decays(tmp_path):
    protocol = PROTOCOL.model_copy(update={"decay_at": (0.5, 0.75), "decay": 0.1})
    assert train(tmp_path / "a.pt", protocol)["optimizer"]["param_groups"][0]["lr"] == pytest.approx(1e-4)


def test_selection_on_validation_keeps_the_best_state(tmp_path):
    protocol = PROTOCOL.model_copy(update={"selection": "validation"})
    state = train(tmp_path / "a.pt", protocol, recalls=[0.2, 0.6, 0.6, 0.4])
    assert state["best"]["step"] == 20
    shorter = train(tmp_path / "b.pt", PROTOCOL.model_copy(update={"steps": 20}))
    assert_equal(selected_weights(state), dict(shorter["network"]))


def test_selection_of_the_last_step(tmp_path):
    state = train(tmp_path / "a.pt", recalls=[0.9, 0.1, 0.1, 0.1])
    assert state["best"] is None


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path):
    with pytest.raises(DivergedError, match="step 25: the loss term 'drawn' is nan"):
        train(tmp_path / "a.pt", poisoned_at=25)
    state = load_checkpoint(tmp_path / "a.pt", "abc", 10**6)
    assert state["step"] == 20
    assert all(torch.isfinite(tensor).all() for tensor in state["network"].values())


def test_weights_that_are_not_finite_are_never_kept(tmp_path):
    protocol = PROTOCOL.model_copy(update={"learning_rate": 1e30, "steps": 10})
    with pytest.raises(DivergedError, match=r"step \d+"):
        train(tmp_path / "a.pt", protocol)
    assert not (tmp_path / "a.pt").exists()


def test_bf16(tmp_path):
    state = train(tmp_path / "a.pt", PROTOCOL.model_copy(update={"precision": "bf16-mixed"}))
    assert state["network"]["0.weight"].dtype == torch.float32
    assert not torch.equal(state["network"]["0.weight"], train(tmp_path / "b.pt")["network"]["0.weight"])


def test_streams_differ():
    draws = {torch.rand(1, generator=make_generator(seed, stream)).item() for seed in range(3) for stream in range(4)}
    assert len(draws) == 12
