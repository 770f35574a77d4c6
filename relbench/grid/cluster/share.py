"""The share of a node that a run takes, and how many of them a cluster holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relbench.experiment import Experiment

LEAST = 1e-4  # of a CPU or a card: Ray's unit
Resources = Mapping[str, float]
"""What a node has, by Ray's names."""


@dataclass(frozen=True)
class Share:
    """Processors and GPUs for a run, or for runs that are trained together.

    Attributes:
        cpus: a whole number, or a fraction of one.
        gpus: likewise; 0.25 puts four runs on a card.
    """

    cpus: float
    gpus: float

    def __post_init__(self) -> None:
        """Refuse shares that no node could have."""
        _check("--cpus-per-run", self.cpus, least="more than 0")
        if self.gpus:
            _check("--gpus-per-run", self.gpus, least="more than 0, such as 1 or 0.25")

    def __str__(self) -> str:
        """In words."""
        amounts = {"CPU": self.cpus, "GPU": self.gpus}
        return " and ".join(
            f"{amount:g} {what}{'' if amount <= 1 else 's'}" for what, amount in amounts.items() if amount
        )

    def slots(self, nodes: Sequence[Resources]) -> int:
        """The number of runs that these nodes hold at once."""
        return sum(map(self._on, nodes))

    def most_on(self, nodes: Sequence[Resources]) -> int:
        """The most runs that any of these nodes holds at once; 1 at least."""
        return max([1, *map(self._on, nodes)])

    def memory(self, nodes: Sequence[Resources]) -> float:
        """Bytes for each run where they are least: a node's memory, as Ray counts it, divided by its runs."""
        return min((node.get("memory", 0) / held for node in nodes if (held := self._on(node))), default=0)

    def _on(self, node: Resources) -> int:
        return int(min(_times(self.cpus, node.get("CPU", 0)), self._on_gpus(node.get("GPU", 0))))

    def _on_gpus(self, gpus: float) -> float:
        """Runs on the GPUs of a node: none is split over parts of several cards."""
        if not self.gpus:
            return math.inf
        return _times(self.gpus, gpus) if self.gpus >= 1 else int(gpus) * _times(self.gpus, 1)


def share_for(
    experiments: Sequence[Experiment], devices: int = 1, cpus: float | None = None, gpus: float | None = None
) -> Share:
    """What is asked for; else a processor for each thread of a run, and a GPU for each process that computes on one.

    Args:
        experiments: the runs.
        devices: processes that share each of them.
        cpus: for each run.
        gpus: for each run.

    Raises:
        ValueError: no node could have that; or runs that compute on GPUs are to have other numbers of them.
    """
    on_gpu = any(run.training.device == "cuda" for run in experiments)
    if on_gpu and gpus == 0:
        raise ValueError("--gpus-per-run 0, but runs compute on a GPU: give each one, or a part such as 0.25")
    if on_gpu and devices > 1 and gpus not in {None, devices}:
        raise ValueError(f"--gpus-per-run {gpus:g}, but each run has --devices {devices}: give it as many GPUs")
    threads = devices * max(run.training.threads for run in experiments)
    return Share(threads if cpus is None else cpus, float(devices * on_gpu) if gpus is None else gpus)


def _check(option: str, value: float, least: str) -> None:
    if not LEAST <= value < math.inf:
        raise ValueError(f"{option} {value:g}: give {least}")
    if value > 1 and value != int(value):
        raise ValueError(f"{option} {value:g}: more than one must be a whole number")


def _times(part: float, whole: float) -> int:
    """How often a part goes into a whole, in Ray's arithmetic."""
    return round(whole / LEAST) // round(part / LEAST)
