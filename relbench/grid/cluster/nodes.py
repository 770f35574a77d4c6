"""Nodes of the cluster: what they have, and what they must have in common with the driver."""

import platform
from dataclasses import dataclass
from importlib import import_module

import torch

from relbench import __version__
from relbench.grid.cluster.library import ray
from relbench.grid.cluster.share import Resources, Share

SECONDS = 60.0  # that GPUs have to answer: their node first starts a process


@dataclass(frozen=True)
class Driver:
    """What the driver has.

    Attributes:
        version: of relbench.
    """

    version: str = __version__


def checked(driver: Driver) -> None:
    """Refuse work for another relbench; called on a node before each job.

    Raises:
        ValueError: this node has something else than the driver; one line.
    """
    if driver.version != __version__:
        raise ValueError(
            f"relbench {__version__} is installed on {platform.node()}, and the command is of {driver.version}: "
            "install the same version on all nodes"
        )


def resources() -> list[Resources]:
    """What each node that is alive has, whether or not it is in use."""
    return [node["Resources"] for node in ray().nodes() if node["Alive"]]


def least_gpu(share: Share) -> int:
    """Bytes of the smallest GPU among those that answer; 0 if none does.

    Args:
        share: of a node that a run takes; nodes without room for one are not asked.
    """
    nodes = [node for node in ray().nodes() if node["Alive"] and share.slots([node["Resources"]])]
    affinity = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    ask = ray().remote(num_cpus=0, num_gpus=share.gpus, max_retries=0)(gpu_memory)
    asked = [ask.options(scheduling_strategy=affinity(node["NodeID"], soft=False)).remote() for node in nodes]
    answered, busy = ray().wait(asked, num_returns=len(asked), timeout=SECONDS)
    for reference in busy:
        ray().cancel(reference)
    return min(ray().get(answered), default=0)


def gpu_memory() -> int:
    """Bytes of the GPU that this process computes on."""
    return torch.cuda.mem_get_info()[1]
