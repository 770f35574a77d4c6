"""Options of `relbench evaluate` that say how a gallery is searched in shards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import ByteSize, Field, TypeAdapter, ValidationError

from relbench.evaluation import Sharding
from relbench.evaluation.gallery.mappers import over_devices
from relbench.evaluation.gallery.plan import LIBRARIES, OF_A_TASK, half_of_free_memory
from relbench.grid.cluster.connection import connected
from relbench.grid.cluster.mapper import over_ray
from relbench.grid.cluster.nodes import resources
from relbench.grid.cluster.share import Resources

SOME_BYTES = Annotated[ByteSize, Field(gt=0)]

NAMES = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
"""What a node offers, and what Ray calls it where a task needs it."""


@dataclass(frozen=True)
class ShardingOptions:
    """What the command was given.

    Attributes:
        memory: such as "4GB"; None: half of the free memory.
        devices: number of GPUs of this machine; None: one, if there is any.
        cluster: "auto", "local" or the address of a Ray cluster; None: this machine searches.
    """

    memory: str | None
    devices: int | None
    cluster: str | None

    @contextmanager
    def chosen(self) -> Iterator[Sharding | None]:
        """How the gallery is searched; None: as its size asks for.

        Raises:
            ValueError: an option that makes no sense, more devices than there are, or a cluster that does not answer.
        """
        if self.cluster is not None:
            with self._on_cluster(self.cluster) as sharding:
                yield sharding
        elif self.devices is not None:
            number = self.devices
            with over_devices(_devices(number)) as mapper:
                yield Sharding(self._bytes(half_of_free_memory()), mapper, at_once=number)
        else:
            yield None if self.memory is None else Sharding(self._bytes(0))

    @contextmanager
    def _on_cluster(self, address: str) -> Iterator[Sharding]:
        if self.devices is not None:
            raise ValueError("--devices is of this machine, and --cluster uses all of its own: leave one out")
        memory = self._bytes(OF_A_TASK)
        with connected(address):
            needs = _needs(memory, resources())
            at_once = sum(_times(needs, node) for node in resources())
            if at_once < 1:
                raise ValueError(
                    f"no node of the cluster offers a core{' with a GPU' if 'GPU' in needs else ''} and "
                    f"{ByteSize(memory).human_readable(decimal=True)} of memory for a task: give a smaller --memory"
                )
            mapper = over_ray(at_once, **{NAMES[name]: number for name, number in needs.items()})
            yield Sharding(memory, mapper, used=LIBRARIES)

    def _bytes(self, usual: int) -> int:
        if self.memory is None:
            return usual
        try:
            return int(TypeAdapter(SOME_BYTES).validate_python(self.memory))
        except ValidationError:
            raise ValueError(f"--memory {self.memory}: give a number of bytes, such as 4GB, 500MB or 2GiB") from None


def _needs(memory: int, nodes: Sequence[Resources]) -> Resources:
    """What a task needs of its node: a GPU, too, where nodes have any."""
    any_gpu = any(node.get("GPU", 0) >= 1 for node in nodes)
    return {"CPU": 1.0, "memory": float(memory), **({"GPU": 1.0} if any_gpu else {})}


def _times(needs: Resources, node: Resources) -> int:
    """How many tasks a node has room for at once: a task is on one node alone."""
    return int(min(node.get(name, 0) // number for name, number in needs.items()))


def _devices(number: int) -> list[str]:
    """Names of the first GPUs, or of the processor for a single device where there is none."""
    gpus = torch.cuda.device_count()
    if number < 1:
        raise ValueError(f"--devices {number}: give 1 or more")
    if number > max(gpus, 1):
        raise ValueError(
            f"--devices {number}: this machine has {gpus} GPU(s); give at most as many, or leave it out (all cores are "
            "used without it)"
        )
    return [f"cuda:{index}" for index in range(number)] if gpus else ["cpu"]
