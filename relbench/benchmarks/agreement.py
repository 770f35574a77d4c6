"""Losses and their gradients on a GPU beside those on the CPU.

Sums are taken in another order there: float32 agrees to a few units of rounding, bfloat16 to its 7 bits.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from pydantic import JsonValue
from torch import Tensor

from relbench.benchmarks.figure import Figure
from relbench.episodes import Episode
from relbench.experiment import EMBEDDING, Experiment, Net, Term
from relbench.losses import LOSSES, Batch
from relbench.models import embedding_size
from relbench.training import Objective, Teacher
from relbench.training.assemble import classifier_of, shapes_of, weighted_losses
from relbench.training.computing import computing
from relbench.training.trial import Fixed

OPTIONS: dict[str, dict[str, JsonValue]] = {
    "hinton_kd": {"temperature": 4.0},
    "refilled_classifier": {"weighted": True},
}
CLASSES, EACH = 8, 5
TOLERANCE, AUTOCAST_TOLERANCE = 1e-4, 0.03  # relative: of the value, and of each gradient by its length
TEACHER = Experiment(net=Net(width=6, dim=12), terms=(Term(loss="triplet"), Term(loss="probe")))


class Found(NamedTuple):
    """A loss of made-up embeddings and maps, and its gradients by what they belong to."""

    value: float
    gradients: dict[str, Tensor]


def figures(device: str) -> Iterator[Figure]:
    """The largest departures of any loss: in float32 from the CPU, under autocast from float32 on the device."""
    exact, mixed = {}, {}
    for name in LOSSES:
        there = found(name, device)
        exact[name] = departure(there, found(name, "cpu"))
        mixed[name] = departure(found(name, device, autocast=True), there)
    yield _worst(f"{len(exact)} losses and gradients, {device} against CPU: departure", exact, TOLERANCE)
    yield _worst("the same, bf16 autocast against float32", mixed, AUTOCAST_TOLERANCE)


def _worst(name: str, departures: dict[str, float], tolerance: float) -> Figure:
    worst = max(departures, key=departures.__getitem__)
    beyond = [f"{loss} {off:.1e}" for loss, off in departures.items() if off > tolerance]
    why = f"beyond it: {', '.join(beyond)}" if beyond else f"the largest, that of {worst}; relative"
    return Figure(name=name, value=departures[worst], unit="", target=tolerance, why=why)


def departure(measured: Found, wanted: Found) -> float:
    """The largest relative departure of value and gradients; infinite where something is missing or not finite."""
    if measured.gradients.keys() != wanted.gradients.keys() or not measured.gradients:
        return 1e30
    pairs = [(measured.gradients[name], wanted.gradients[name]) for name in measured.gradients]
    offs = [float((own - its).norm() / its.norm().clamp(min=1e-12)) for own, its in pairs]
    offs.append(abs(measured.value - wanted.value) / max(abs(wanted.value), 1e-12))
    return max(off if off == off else 1e30 for off in offs)  # noqa: PLR0124 - NaN


def found(name: str, device: str, *, autocast: bool = False) -> Found:
    """A loss of `LOSSES` on made-up embeddings and maps; gradients of these and of what is trained along.

    Args:
        name: of the loss.
        device: "cpu" or "cuda".
        autocast: compute under bfloat16 autocast.
    """
    batch, objective = made_up(name, device)
    leaves = dict(batch.maps) | dict(objective.named_parameters())
    with computing(1, "32-true"), torch.autocast(device, torch.bfloat16, enabled=autocast):
        (value,) = objective(batch).values()
        value.backward()
    grads = {leaf: tensor.grad.cpu() for leaf, tensor in leaves.items() if tensor.grad is not None}
    return Found(value.item(), grads)


def made_up(name: str, device: str) -> tuple[Batch, Objective]:
    """A batch of made-up embeddings and maps, and the objective of a loss alone.

    Numbers come from a fixed seed, drawn on the CPU whatever the device.

    Args:
        name: of the loss.
        device: "cpu" or "cuda".
    """
    term = Term(loss=name, options=OPTIONS.get(name, {}), layers=LOSSES[name].layers)
    experiment = Experiment(net=Net(width=4, dim=8), terms=(term,), teacher=TEACHER)
    shapes, generator = shapes_of(experiment, 1, CLASSES), torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(CLASSES * EACH, *shape, generator=generator).to(device)

    own = {layer: drawn(*shape).requires_grad_() for layer, shape in shapes.student.items()}
    theirs = {layer: drawn(*shape) for layer, shape in shapes.teacher.items()}
    centres = torch.randn(CLASSES, embedding_size(TEACHER.net, TEACHER.data.size), generator=generator).to(device)
    objective = Objective(weighted_losses(experiment, shapes), classifier_of(experiment, CLASSES)).to(device)
    classifier = classifier_of(TEACHER, CLASSES)
    assert classifier is not None
    teacher = Teacher(Fixed((theirs[EMBEDDING], theirs)), classifier.to(device), {"centres": centres})
    host_labels = torch.arange(CLASSES * EACH) // EACH
    labels = host_labels.to(device)
    draws = torch.Generator().manual_seed(1)
    taught, episode = teacher.outputs(labels), Episode(CLASSES, shot=1, queries=EACH - 1)
    batch = Batch(labels, labels, draws, own[EMBEDDING], own, taught, episode=episode, host_labels=host_labels)
    return batch, objective
