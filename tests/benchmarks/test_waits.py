"""Waits for a GPU: each kind is found on a pretended one, and no loss has any without a reason."""

import warnings

import pytest
import torch

from relbench.benchmarks import agreement, waits
from relbench.benchmarks.pretended import DEVICE, pretended
from relbench.losses import LOSSES, find_loss, own_loss, pml_loss, refilled_embedding, try_loss

WAITING = {
    "a number": lambda rows: rows.sum().item(),
    "a condition": lambda rows: bool((rows > 0).any()),
    "numbers compared": lambda rows: torch.equal(rows, rows + 1),
    "places": lambda rows: (rows > 0).nonzero(),
    "a mask": lambda rows: rows[rows > 0],
    "a mask that is written to": lambda rows: rows.index_put((rows[:, 0] < 9,), rows + 1),
    "different values": torch.unique,
    "repeats": lambda rows: torch.repeat_interleave((rows[0] > 0).long()),
    "a draw without replacement": lambda rows: torch.multinomial(rows.square(), 2),
}
QUEUED = {
    "a product": lambda rows: rows @ rows.T,
    "a mask that is filled": lambda rows: rows.masked_fill(rows > 0, 0.0),
    "a mask that is set": lambda rows: rows.clone().index_put_((rows > 0,), torch.zeros((), device=rows.device)),
    "a choice": lambda rows: torch.where(rows > 0, rows, 1.0),
    "rows by number": lambda rows: rows[torch.arange(3, device=rows.device)],
    "a sort": lambda rows: rows.sort(dim=1).indices,
    "so many draws": lambda rows: torch.multinomial(rows.square(), 2, replacement=True),
    "equal repeats": lambda rows: rows.repeat_interleave(2),
}


def rows_on(device):
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(0)).to(device)


def waits_of(work, device):
    with pretended() as gpu:
        rows = rows_on(device)
        gpu.waits.clear()
        work(rows)
    return gpu.waits


@pytest.mark.parametrize("what", WAITING)
def test_a_wait_is_found_on_the_device_alone(what):
    assert waits_of(WAITING[what], DEVICE).total() == 1
    assert waits_of(WAITING[what], "cpu").total() == 0


@pytest.mark.parametrize("what", QUEUED)
def test_what_is_queued_is_no_wait(what):
    assert waits_of(QUEUED[what], DEVICE).total() == 0


@pytest.mark.parametrize("queued", [False, True])
def test_a_copy_waits_unless_it_is_told_not_to(queued):
    work = {
        "there": lambda rows: torch.ones(3).to(rows.device, non_blocking=queued),
        "back": lambda rows: rows.to("cpu", non_blocking=queued),
        "into": lambda rows: rows.clone().copy_(torch.ones(5, 6), non_blocking=queued),
    }
    assert {name: waits_of(copy, DEVICE).total() for name, copy in work.items()} == dict.fromkeys(work, 1 - queued)


def test_numbers_from_the_host_in_an_index_are_copied():
    assert waits_of(lambda rows: rows[torch.tensor([0, 2])], DEVICE).total() == 1


class AsksInTheBackwardPass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows):
        return rows.sum()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.ones(5, 6, device=gradient.device) * gradient.item()


def test_a_wait_in_a_backward_pass():
    def work(rows):
        AsksInTheBackwardPass.apply(rows.requires_grad_()).backward()

    assert waits_of(work, DEVICE).total() == 1


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_training_there_is_training_on_the_cpu(optimizer, fused):
    def weights(device):
        with pretended() as gpu:
            torch.manual_seed(0)
            network = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4)).to(device)
            rows, made = rows_on(device), optimizer(network.parameters(), lr=0.1, fused=fused)
            gpu.waits.clear()
            for _ in range(3):
                made.zero_grad()
                network(rows).square().sum().backward()
                made.step()
            assert gpu.waits.total() == 0
            return [each.cpu() for each in network.state_dict().values()]

    with torch.random.fork_rng():
        assert all(torch.equal(own, its) for own, its in zip(weights(DEVICE), weights("cpu"), strict=True))


def test_two_memories_do_not_mix():
    with pytest.raises(RuntimeError, match="same device"):
        waits_of(lambda rows: rows + torch.ones(5, 6), DEVICE)
    with pytest.raises(RuntimeError, match="same device"):
        waits_of(lambda rows: torch.ones(5)[rows.argmax(dim=0)], DEVICE)


def test_the_line_is_named():
    (found,) = waits_of(lambda rows: refilled(rows, "all"), DEVICE)
    assert found.startswith("nonzero, losses/refilled.py:")


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_waits_where_its_entry_says_why(name):
    """At most once, and the pretended GPU computes what the CPU does."""
    assert waits.of_loss(name, "cpu").total() == (1 if LOSSES[name].waits else 0)
    with pretended():
        there = agreement.found(name, DEVICE)
    assert agreement.departure(there, agreement.found(name, "cpu")) < 1e-5


def test_a_step_of_a_training_waits_for_nothing():
    """But for an entry of the history, where losses are looked at and their means are kept."""
    step, entry = waits.of_training("cpu")
    assert step == {}
    assert sorted(entry.values()) == [1, 1]
    assert all("_to_copy, training/" in place for place in entry)


def refilled(rows, negatives):
    return refilled_embedding(rows, 2 * rows, torch.tensor([0, 0, 1, 1, 2]), negatives=negatives, margin=2.0)


@pytest.mark.parametrize(("negatives", "count"), [("all", 1), ("each", 1), ("fewest", 1), ("nearest", 0)])
def test_tuples_of_as_many_negatives_as_there_are(negatives, count):
    assert waits_of(lambda rows: refilled(rows, negatives), DEVICE).total() == count


def test_a_library_looks_for_pairs_on_the_gpu():
    labels = torch.tensor([0, 0, 1, 1, 2])

    def work(rows):
        with warnings.catch_warnings(action="ignore"):
            pml_loss("ContrastiveLoss")(rows, labels.to(rows.device, non_blocking=True), torch.Generator())

    assert waits_of(work, DEVICE).total() > 1
    assert find_loss("pml:ContrastiveLoss").waits


def test_a_users_loss_may_take_labels_on_the_host():
    """`tolist` of what is on the pretended device is an error."""
    text = "def f(embeddings, host_labels):\n    return embeddings[: len({*host_labels.tolist()})].square().mean()\n"
    size = {"student_dim": 4, "teacher_dim": 4, "batch_size": 10, "images_per_class": 5, "num_classes": 4}
    with pretended():
        try_loss(own_loss("mine:f", text), {}, **size, unit_length=False, device=DEVICE)


def test_on_a_gpu_torch_counts(monkeypatch):
    modes = [0]
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def step():
        for _ in range(3):
            warnings.warn(f"{waits.TORCHS_WORDS} (Triggered internally)", UserWarning, stacklevel=1)
        warnings.warn("another", UserWarning, stacklevel=1)

    ((place, count),) = waits.told_by_torch(step).items()
    assert (place.partition(".py:")[0], count) == (__file__.removesuffix(".py"), 3)
    assert modes == [0, "warn", 0]
