"""The loop on a toy task: numbers instead of images."""

import pytest
import torch
from training.toy import (
    HALF,
    PROBE,
    TRAINING,
    Stop,
    assert_equal,
    learner,
    parts_with_weights,
    stop_at,
    toy_task,
    train,
)

import relbench.training
from relbench.losses import cross_entropy
from relbench.results.checkpoint import load_checkpoint, selected_classifier, selected_weights
from relbench.seeding import step_generator
from relbench.trackers import Silent
from relbench.training.divergence import DivergedError
from relbench.training.objective import WeightedLoss
from relbench.training.schedule import is_logged
from relbench.training.stream import stream

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_equal_seeds_give_equal_states(tmp_path):
    assert_equal(train(tmp_path / "a.pt"), train(tmp_path / "b.pt"))


def test_on_the_cpu_the_generators_of_gpus_are_left_alone(tmp_path, monkeypatch):
    """To read their states takes hundreds of megabytes of each GPU's memory."""
    forked, fork = [], torch.random.fork_rng
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices=None: forked.append(devices) or fork(devices))
    train(tmp_path / "a.pt")
    assert forked == [[], []]  # the toy's own, and the loop's


def test_another_seed_gives_another_state(tmp_path):
    other = relbench.training.train(learner(tmp_path / "b.pt", toy_task(), seed=4))
    assert not torch.equal(train(tmp_path / "a.pt")["network"]["0.weight"], other["network"]["0.weight"])


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=on_a_gpu)])
@pytest.mark.parametrize("last", [1, 10, 17, 39])
@pytest.mark.parametrize("weights", [False, True], ids=["plain", "losses with weights"])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, device, last, weights):
    """On a GPU too, where only matrices are multiplied: its generator, from which dropout draws, goes on."""

    def task():
        more = {"more": parts_with_weights(), "classifier": True} if weights else {}
        return {"training": TRAINING.model_copy(update={"device": device}), **more}

    with pytest.raises(Stop):
        train(tmp_path / "a.pt", on_step=stop_at(last), **task())
    steps = []
    resumed = train(tmp_path / "a.pt", on_step=steps.append, **task())
    assert steps[0] == last // 10 * 10
    assert_equal(resumed, train(tmp_path / "b.pt", **task()))
    assert bool(resumed["losses"]) == weights


class Told(Silent):
    """Keeps all that is logged, as one entry for each step."""

    def __init__(self, stop=None):
        self.entries, self.step = {}, stop or (lambda done: None)

    def log(self, entry):
        self.entries.setdefault(entry["step"], {}).update(entry)


def test_a_resumed_run_tells_its_whole_history(tmp_path):
    """Whoever follows it need not have seen the first process."""
    with pytest.raises(Stop):
        relbench.training.train(learner(tmp_path / "a.pt", toy_task(), tracker=Told(stop_at(17))))
    told = Told()
    state = relbench.training.train(learner(tmp_path / "a.pt", toy_task(), tracker=told))
    assert list(told.entries.values()) == state["history"]
    assert min(told.entries) == 1


def test_projections_and_the_classifier_are_trained_along(tmp_path):
    before = toy_task(more=parts_with_weights(), classifier=True)
    after = train(tmp_path / "a.pt", more=parts_with_weights(), classifier=True)["losses"]
    first = {f"trainable.{part.key}.weight": part.loss.weight for part in before.losses[2:4]}
    first |= {f"classifier.{name}": value for name, value in before.classifier.state_dict().items()}
    assert after.keys() == first.keys()
    assert not any(torch.equal(after[name], first[name]) for name in first)


def test_a_teacher_with_a_probe_is_the_teacher_that_it_would_have_been(tmp_path):
    """The classifier reads the embeddings, and the network's weights and batches stay as they are, to the last bit."""
    with_probe = train(tmp_path / "a.pt", teacher=False, more=(PROBE,), classifier=True)
    without = train(tmp_path / "b.pt", teacher=False)
    assert_equal(with_probe["network"], without["network"])
    fresh = toy_task(classifier=True).classifier.state_dict()
    assert not torch.equal(selected_classifier(with_probe)["weight"], fresh["weight"])
    learnt = train(
        tmp_path / "c.pt",
        teacher=False,
        more=(WeightedLoss("cross_entropy", 0.5, cross_entropy, ("student_logits", "labels")),),
        classifier=True,
    )
    assert not torch.equal(learnt["network"]["0.weight"], without["network"]["0.weight"])


def test_the_teacher_stays_in_evaluation_mode(tmp_path):
    """Its dropout would change what it says of the same images."""
    task = toy_task(more=(PROBE,), classifier=True)
    table = torch.rand(3, 6)
    expected = task.teacher.network.eval()(table)[0].detach()
    said = []
    task.teacher.network.train().register_forward_hook(lambda module, *_: said.append(module.training))
    relbench.training.train(learner(tmp_path / "a.pt", task))
    assert said == [False] * 40
    assert torch.equal(task.teacher.network(table)[0], expected)


@pytest.mark.parametrize("last", [None, 1, 10, 13])
def test_a_second_stage_sees_what_would_have_come_next(tmp_path, last):
    """Two halves see the batches and the views of one whole, also where the second half was stopped on its way."""
    whole, first, second = [], [], []
    train(tmp_path / "whole.pt", seen=whole)
    start = train(tmp_path / "first.pt", HALF, seen=first)
    if last is not None:
        with pytest.raises(Stop):
            train(tmp_path / "second.pt", HALF, stop_at(last), start, seen=second)
        second = second[: last // 10 * 10]
    end = train(tmp_path / "second.pt", HALF, start=start, seen=second)
    assert_equal(first + second, whole)
    assert end["step"] == 20
    assert [entry["step"] for entry in end["history"]] == list(range(1, 21))


def test_a_second_stage_begins_with_the_first_ones_weights(tmp_path):
    start = train(tmp_path / "first.pt", HALF)
    before = {name: tensor.clone() for name, tensor in start["network"].items()}
    task = toy_task()
    learner(tmp_path / "second.pt", task, HALF, name="other", start=start)
    assert_equal(dict(task.network.state_dict()), before)
    train(tmp_path / "second.pt", HALF, start=start)
    assert_equal(dict(start["network"]), before)  # what is trained on is a copy


def test_a_second_stage_begins_with_the_weights_that_count(tmp_path):
    chosen = HALF.model_copy(update={"selection": "validation"})
    start = train(tmp_path / "first.pt", chosen, recalls=[0.6, 0.4])
    assert start["best"]["step"] == 10
    task = toy_task()
    learner(tmp_path / "second.pt", task, HALF, name="other", start=start)
    assert_equal(dict(task.network.state_dict()), start["best"]["network"])
    assert not torch.equal(task.network[0].weight, start["network"]["0.weight"])


def test_a_second_stage_that_has_begun_goes_on_from_its_own_checkpoint(tmp_path):
    start = train(tmp_path / "first.pt", HALF)
    expected = train(tmp_path / "second.pt", HALF, start=start)
    assert_equal(train(tmp_path / "second.pt", HALF, start=start), expected)
    assert_equal(load_checkpoint(tmp_path / "second.pt", "abc", 20, "recall@1"), expected)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=on_a_gpu)])
def test_a_second_stage_with_the_optimizer_of_the_first_is_the_whole(tmp_path, device):
    """What layers and losses draw does not depend on where a training began: dropout and all, to the last bit."""
    training, half = (each.model_copy(update={"device": device}) for each in (TRAINING, HALF))
    whole = train(tmp_path / "whole.pt", training)
    first = train(tmp_path / "first.pt", half)
    second = learner(tmp_path / "b.pt", toy_task(), half, start=first)
    second._optimizer.load_state_dict(first["optimizer"])
    assert_equal(relbench.training.train(second)["network"], whole["network"])


@pytest.mark.parametrize("start", [0, 1, 17])
def test_batch_and_views_of_a_step_do_not_depend_on_where_training_began(start):
    data = toy_task().data
    whole = list(stream(data, 3, 0, 20))
    assert_equal(list(stream(data, 3, start, 20)), whole[start:])
    assert len({indices.sum().item() for indices, _ in whole}) > 10
    assert not torch.equal(next(stream(data, 4, 0, 1))[1], whole[0][1])


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = train(tmp_path / "a.pt")
    steps = []
    assert_equal(train(tmp_path / "a.pt", on_step=steps.append), first)
    assert steps == [40]


def test_the_returned_state_is_the_checkpoint(tmp_path):
    assert_equal(train(tmp_path / "a.pt"), load_checkpoint(tmp_path / "a.pt", "abc", 10**6, "recall@1"))


def test_global_random_numbers_are_left_alone(tmp_path):
    before = torch.get_rng_state()
    train(tmp_path / "a.pt")
    assert torch.equal(torch.get_rng_state(), before)


def test_one_step_is_adams(tmp_path):
    """By hand: after one step every weight has moved by the learning rate against its gradient's sign."""
    training = TRAINING.model_copy(update={"steps": 1})
    task = toy_task(dropout=0.0, teacher=False)
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    ((_, images),) = stream(task.data, 3, 0, 1)
    loss = task.losses[0].loss(task.network.train()(images), torch.zeros(8), step_generator(3, "losses", 0))
    gradient = torch.autograd.grad(loss, task.network[3].weight)[0]
    after = train(tmp_path / "a.pt", training, dropout=0.0, teacher=False)["network"]
    moved = after["3.weight"] - before["3.weight"]
    large = gradient.abs() > 1e-4
    assert large.any()
    assert torch.allclose(moved[large], -0.01 * gradient.sign()[large], rtol=1e-3)
    assert after["1.num_batches_tracked"] == 1


def test_history_holds_means_and_validation(tmp_path):
    history = train(tmp_path / "a.pt")["history"]
    assert [entry["step"] for entry in history] == [*range(1, 33), 34, 36, 38, 40]
    assert [entry["step"] for entry in history if "recall@1" in entry] == [10, 20, 30, 40]
    assert all(set(entry) >= {"step", "drawn", "match"} for entry in history)


def test_history_averages_over_steps(tmp_path):
    training = TRAINING.model_copy(update={"steps": 400, "validate_every": 400})
    coarse = {entry["step"]: entry["drawn"] for entry in train(tmp_path / "a.pt", training)["history"]}
    assert list(coarse) == [step for step in range(1, 401) if is_logged(step)]
    fine = train(tmp_path / "b.pt", training.model_copy(update={"steps": 99, "validate_every": 1}))["history"]
    assert len(fine) == 99
    assert coarse[68] == pytest.approx(sum(entry["drawn"] for entry in fine[64:68]) / 4, rel=1e-6)


def test_the_learning_rate_decays(tmp_path):
    training = TRAINING.model_copy(update={"decay_at": (0.5, 0.75), "decay": 0.1})
    assert train(tmp_path / "a.pt", training)["optimizer"]["param_groups"][0]["lr"] == pytest.approx(1e-4)


def test_selection_on_validation_keeps_the_best_state(tmp_path):
    training = TRAINING.model_copy(update={"selection": "validation"})
    state = train(tmp_path / "a.pt", training, recalls=[0.2, 0.6, 0.6, 0.4])
    assert state["best"]["step"] == 20
    shorter = train(tmp_path / "b.pt", TRAINING.model_copy(update={"steps": 20}))
    assert_equal(selected_weights(state), dict(shorter["network"]))


def test_the_classifier_of_the_best_step_is_kept_with_it(tmp_path):
    training = TRAINING.model_copy(update={"selection": "validation"})
    state = train(tmp_path / "a.pt", training, recalls=[0.2, 0.6, 0.6, 0.4], more=parts_with_weights(), classifier=True)
    shorter = train(tmp_path / "b.pt", HALF, more=parts_with_weights(), classifier=True)
    assert_equal(state["best"]["losses"], dict(shorter["losses"]))
    assert_equal(selected_classifier(state), selected_classifier(shorter))
    assert selected_classifier(state).keys() == {"weight", "bias"}
    assert not torch.equal(selected_classifier(state)["weight"], state["losses"]["classifier.weight"])


def test_selection_of_the_last_step(tmp_path):
    state = train(tmp_path / "a.pt", recalls=[0.9, 0.1, 0.1, 0.1])
    assert state["best"] is None


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path):
    with pytest.raises(DivergedError, match="step 25: the loss term 'drawn' is nan"):
        train(tmp_path / "a.pt", poisoned_at=25)
    state = load_checkpoint(tmp_path / "a.pt", "abc", 10**6, "recall@1")
    assert state["step"] == 20
    assert all(torch.isfinite(tensor).all() for tensor in state["network"].values())


class Poison(torch.autograd.Function):
    """A finite value whose gradient is not."""

    @staticmethod
    def forward(ctx, embeddings):
        ctx.save_for_backward(embeddings)
        return embeddings.sum()

    @staticmethod
    def backward(ctx, _):
        (embeddings,) = ctx.saved_tensors
        return torch.full_like(embeddings, torch.nan)


def test_a_gradient_that_is_not_finite_is_not_put_down_to_the_term_that_is_computed_next(tmp_path):
    poison = WeightedLoss("poison", 1.0, Poison.apply, ("embeddings",))
    with pytest.raises(
        DivergedError, match="step 2: a weight is not finite; a gradient of an earlier step was not: of"
    ):
        train(tmp_path / "a.pt", more=(poison,))
    assert not (tmp_path / "a.pt").exists()


def test_weights_that_are_not_finite_are_never_kept(tmp_path):
    training = TRAINING.model_copy(update={"learning_rate": 1e30, "steps": 10})
    with pytest.raises(DivergedError, match=r"step \d+"):
        train(tmp_path / "a.pt", training)
    assert not (tmp_path / "a.pt").exists()


def test_bf16(tmp_path):
    state = train(tmp_path / "a.pt", TRAINING.model_copy(update={"precision": "bf16-mixed"}))
    assert state["network"]["0.weight"].dtype == torch.float32
    assert not torch.equal(state["network"]["0.weight"], train(tmp_path / "b.pt")["network"]["0.weight"])


def test_tf32_is_float32_where_there_is_no_gpu(tmp_path):
    """It is a matter of torch's switches, which the trainer leaves alone."""
    assert_equal(train(tmp_path / "a.pt", TRAINING.model_copy(update={"precision": "tf32"})), train(tmp_path / "b.pt"))


def test_a_loss_can_tell_images_apart(tmp_path):
    """By their indices in the table, which are theirs in every epoch: of 50 images, 8 a step."""
    seen, told = [], []

    def banked(embeddings, indices):
        told.append(indices)
        return embeddings.square().mean()

    banked = WeightedLoss("banked", 1.0, banked, ("embeddings", "indices"))
    train(tmp_path / "a.pt", more=(banked,), seen=seen)
    assert len(told) == TRAINING.steps
    assert all(torch.equal(indices, lines) for indices, (lines, _) in zip(told, seen, strict=True))


def test_the_teacher_looks_first(tmp_path):
    """While it does, no activations of the student take memory."""
    order = []
    task = toy_task()
    task.teacher.network.register_forward_hook(lambda *_: order.append("teacher"))
    task.features.register_forward_hook(lambda *_: order.append("student"))
    training = TRAINING.model_copy(update={"steps": 2})
    relbench.training.train(learner(tmp_path / "a.pt", task, training))
    assert order == ["teacher", "student"] * 2
