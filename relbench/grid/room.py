"""Room for the runs of a cohort: the memory that they take side by side, and a slot's share of what is free."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from relbench.data.cached_views import KEPT_BYTES
from relbench.experiment import Data, Experiment
from relbench.grid.estimate import ImageCounts
from relbench.machine import free_memory
from relbench.training.cohorts import memory

PROCESS = 1500 * 2**20  # bytes of a run with little networks on the CPU, measured: torch, images, nearest neighbours


@dataclass
class Room:
    """A slot's share of the memory.

    Attributes:
        images: for the data settings of each run.
        slots: how many cohorts are under way at once.
        free: bytes on each device that runs compute on; measured when they are first asked for, if not given.
        devices: processes that share each run.
    """

    images: Mapping[Data, ImageCounts]
    slots: int
    free: dict[str, float] = field(default_factory=dict)
    devices: int = 1
    _known: dict[str, int] = field(default_factory=dict)  # by form: seeds, rates and batches are many

    def fits(self, runs: Sequence[Experiment]) -> bool:
        """Whether these runs have room side by side."""
        return self.taken(runs) <= self.share(runs[0].training.device)

    def share(self, device: str) -> float:
        """Bytes for each process; no end of them on a GPU that is not here, with which runs can only be planned."""
        if device not in self.free:
            if device == "cuda" and not torch.cuda.is_available():
                return math.inf
            self.free[device] = free_memory(torch.device(device))
        return self.free[device] / self.processes(device)

    def processes(self, device: str) -> int:
        """The number of processes that share the memory: of the machine; or of a GPU, where they are spread evenly."""
        processes = self.slots * self.devices
        return math.ceil(processes / max(1, torch.cuda.device_count())) if device == "cuda" else processes

    def taken(self, runs: Sequence[Experiment]) -> int:
        """Bytes of memory, on the device, that these runs take side by side: an estimate, without a look at any image.

        Where several processes share a run, none of them takes more: its weights are whole, its images a part.
        Their losses are built: not for runs that execute a user's code.
        """
        form = json.dumps([_form(run) for run in runs])
        if form not in self._known:
            self._known[form] = self._estimated(runs)
        return self._known[form]

    def _estimated(self, runs: Sequence[Experiment]) -> int:
        first = runs[0]
        counts = self.images[first.data]
        trained = memory(runs, counts.channels, counts.classes)
        if first.training.device != "cpu":
            return trained
        tested = counts.validation + (counts.test if first.training.log_test_metrics else 0)
        return PROCESS + trained + min(KEPT_BYTES, tested * counts.channels * first.data.size**2)


def _form(run: Experiment) -> str:
    """What the memory that a run takes depends on."""
    teacher = run.teacher.net.model_dump_json() if run.teacher else ""
    settings = {"net", "terms", "data", "training", "task"}
    return run.model_dump_json(include=settings) + teacher
