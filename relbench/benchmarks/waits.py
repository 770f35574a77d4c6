"""How often the host waits for a GPU in a step: a count, not a time, made without a GPU, too, on one that is pretended.

On a GPU it is torch that counts; on one that is pretended, `relbench.benchmarks.pretended`.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator

import torch

from relbench.benchmarks import agreement
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.pretended import DEVICE, pretended
from relbench.losses import LOSSES

Waits = Counter[str]
"""By what is waited for."""

TORCHS_WORDS = "called a synchronizing CUDA operation"


def figures(device: str = "cpu") -> Iterator[Figure]:
    """The waits of each loss and its gradient; those of losses that need none beside a target of none.

    Args:
        device: "cuda"; or "cpu", where a GPU is pretended.
    """
    where = "" if device == "cuda" else ", GPU pretended"
    for name, entry in LOSSES.items():
        yield _figure(f"{name}: waits for the GPU{where}", of_loss(name, device), entry.waits)


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
