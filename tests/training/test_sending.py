"""Batches on their way to a device: on a GPU by a stream of their own, seen here by what torch is asked to do."""

from contextlib import contextmanager

import pytest
import torch

from relbench.data.random_views import PendingViews
from relbench.training import sending
from relbench.training.sending import send

CPU, GPU = torch.device("cpu"), torch.device("cuda")
IMAGES, LABELS = torch.arange(12, dtype=torch.uint8).view(3, 4), torch.tensor([2, 0, 1])
PENDING = PendingViews(IMAGES, {"turns": torch.tensor([1, 2, 3])}, lambda images, numbers: images + numbers["turns"][0])


def test_on_the_cpu_nothing_is_copied():
    images, labels = send(IMAGES, LABELS, CPU)
    assert images is IMAGES
    assert labels is LABELS
    images, labels = send(PENDING, LABELS, CPU)
    assert torch.equal(images, IMAGES + 1)


class Stream:
    def __init__(self, name, done):
        self.name, self.done = name, done

    def wait_stream(self, other):
        self.done.append(f"{self.name} waits for {other.name}")


class Travels:
    """Stands for a tensor, and tells what is done with it."""

    def __init__(self, name, done, where="pageable"):
        self.name, self.done, self.where = name, done, where

    @property
    def is_cuda(self):
        return self.where == "cuda"

    def pin_memory(self):
        return Travels(self.name, self.done, "pinned")

    def to(self, device, *, non_blocking=False):
        queued = "queued" if non_blocking else "waiting"
        self.done.append(f"{self.name}: {self.where} to {device.type}, {queued}, by {self.done.present[-1].name}")
        return Travels(self.name, self.done, device.type)

    def record_stream(self, stream):
        self.done.append(f"{self.name} is kept for {stream.name}")


class Done(list):
    """What was done, and the present stream."""


@pytest.fixture
def done(monkeypatch):
    done = Done()
    done.present = [Stream("computing", done)]

    @contextmanager
    def on(stream):
        done.present.append(stream)
        yield
        done.present.pop()

    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: done.present[-1])
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: Stream("copying", done))
    sending._copying.cache_clear()
    yield done
    sending._copying.cache_clear()


def test_on_a_gpu_copies_have_a_stream_that_the_computation_waits_for(done):
    images, labels = send(Travels("images", done), Travels("labels", done), GPU)
    assert (images.where, labels.where) == ("cuda", "cuda")
    assert done == [
        "images: pinned to cuda, queued, by copying",
        "labels: pinned to cuda, queued, by copying",
        "computing waits for copying",
        "images is kept for computing",
        "labels is kept for computing",
    ]


def test_what_is_on_the_gpu_already_stays(done):
    send(Travels("images", done, "cuda"), Travels("labels", done), GPU)
    assert done[0] == "images: cuda to cuda, queued, by copying"


def test_what_views_are_made_of_travels_likewise_and_views_are_made_by_the_computation(done):
    def make(images, numbers):
        done.append(f"{images.where} {numbers['turns'].where} made by {done.present[-1].name}")
        return images

    class Pending(PendingViews):
        def pin_memory(self):
            numbers = {name: drawn.pin_memory() for name, drawn in self.numbers.items()}
            return PendingViews(self.images.pin_memory(), numbers, self.make)

    pending = Pending(Travels("images", done), {"turns": Travels("turns", done)}, make)
    send(pending, Travels("labels", done), GPU)
    assert done[-1] == "cuda cuda made by computing"
    assert sorted(done[:-1]) == sorted(
        [
            *(f"{name}: pinned to cuda, queued, by copying" for name in ("images", "turns", "labels")),
            *(f"{name} is kept for computing" for name in ("images", "turns", "labels")),
            "computing waits for copying",
        ]
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_arrive_whole_while_the_gpu_is_busy():
    batches = [torch.full((1000, 1000), float(number)) for number in range(20)]
    found = []
    for images in batches:
        there, _ = send(images, LABELS, GPU)
        torch.cuda._sleep(10**6)
        found.append(there.sum())
        del there
    assert [float(total) for total in found] == [1e6 * number for number in range(20)]
