"""How often the host waits for a GPU in a step: a count, not a time, made without a GPU, too, on one that is pretended.

On a GPU it is torch that counts; on one that is pretended, `relbench.benchmarks.pretended`.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from relbench.benchmarks import agreement
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.pretended import DEVICE, pretended
from relbench.experiment import Data, Experiment, Net, Term, Training
from relbench.losses import LOSSES
from relbench.settings import changed
from relbench.trackers import Silent
from relbench.training import Learner, TrainingData
from relbench.training.assemble import UntrainedNetworks, assemble
from relbench.training.computing import computing
from relbench.training.trainer import prepared

Waits = Counter[str]
"""By what is waited for."""

TERMS = tuple(
    Term(loss=name, options=agreement.OPTIONS.get(name, {}), layers=entry.layers)
    for name, entry in LOSSES.items()
    if not entry.waits and "episodes" not in entry.requires
)
"""All losses that need not wait, and that all batches allow."""

ENTRY = 34
"""A step after which the history has an entry, as it does not after the next."""

TORCHS_WORDS = "called a synchronizing CUDA operation"


def figures(device: str = "cpu") -> Iterator[Figure]:
    """The waits of each loss and its gradient; those of losses that need none beside a target of none.

    Args:
        device: "cuda"; or "cpu", where a GPU is pretended.
    """
    where = "" if device == "cuda" else ", GPU pretended"
    for name, entry in LOSSES.items():
        yield _figure(f"{name}: waits for the GPU{where}", of_loss(name, device), entry.waits)
    step, logged = of_training(device)
    yield _figure(f"training with {len(TERMS)} losses: waits for the GPU{where}", step, "")
    yield _figure(f"the same with an entry of the history{where}", logged, "losses are looked at, and their means kept")


def _figure(name: str, waits: Waits, reason: str) -> Figure:
    found = ", ".join(f"{what}: {count}" for what, count in waits.items())
    why = "; ".join(filter(None, (reason, found)))
    return Figure(name=name, value=waits.total(), unit="a step", target=None if reason else 0, why=why)


def of_loss(name: str, device: str) -> Waits:
    """The waits of a loss and its gradient.

    Args:
        name: of `LOSSES`.
        device: "cuda"; or "cpu", where a GPU is pretended.
    """
    if device == "cuda":
        step = _step(name, device)
        step()  # what is compiled is tried on numbers
        return told_by_torch(step)
    with pretended() as gpu:
        step = _step(name, DEVICE)
        gpu.waits.clear()
        step()
    return gpu.waits


def _step(name: str, device: str) -> Callable[[], None]:
    batch, objective = agreement.made_up(name, device)

    def step() -> None:
        torch.autograd.backward(list(objective(batch).values()))

    return step


def of_training(device: str) -> tuple[Waits, Waits]:
    """The waits of a step of the training loop, from images in the host's memory to weights.

    Args:
        device: "cuda"; or "cpu", where a GPU is pretended.

    Returns:
        Of a step after which nothing is due, and of one after which the history has an entry.
    """
    if device == "cuda":
        with computing(1, "32-true"):
            entry, step = _last_two(_training(device), told_by_torch)
        return step, entry
    with pretended() as gpu:

        def counted(step: Callable[[], object]) -> Waits:
            gpu.waits.clear()
            step()
            return Counter(gpu.waits)

        entry, step = _last_two(_training(DEVICE), counted)
    return step, entry


def _last_two(step: Callable[[], None], count: Callable[[Callable[[], object]], Waits]) -> tuple[Waits, Waits]:
    for _ in range(ENTRY - 1):
        step()
    return count(step), count(step)


def _training(device: str) -> Callable[[], None]:
    """A step of a small student of a small teacher."""
    training = Training(batch_size=20, images_per_class=5, validate_every=10**6, steps=10**6)
    teacher = Experiment(data=Data(size=16), net=Net(width=4, dim=8), training=training, terms=agreement.TEACHER.terms)
    student = changed(teacher, {"net": Net(width=2, dim=8), "terms": TERMS, "teacher": teacher})
    data = TrainingData(
        channels=1,
        classes=4,
        labels=torch.arange(20) // 5,
        batch=lambda _: torch.arange(20),
        views=lambda indices, generator, *_: torch.rand(len(indices), 1, 16, 16, generator=generator),
        validate=lambda *_: {},
    )
    there = training.model_copy(update={"device": device})  # settings do not know what is pretended
    setup = assemble(student, UntrainedNetworks(1, 4), data)
    learner = Learner(setup, there, 0, "waits", Path("unwritten"), Silent())
    shows, indices, generator = replace(setup, teacher=prepared(setup.teacher, there)), data.batch(0), torch.Generator()

    def step() -> None:
        learner.advance(shows.show(indices, data.views(indices, generator), torch.device(device)))

    return step


def told_by_torch(step: Callable[[], object]) -> Waits:
    """The waits that torch warns of in a step on a GPU, by the line that it puts them down to."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True, action="always") as told:
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return Counter(f"{each.filename}:{each.lineno}" for each in told if TORCHS_WORDS in str(each.message))
