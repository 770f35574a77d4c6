"""Nodes of the cluster: what they have."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from relbench.grid.cluster import environment
from relbench.grid.cluster.ray_package import ray
from relbench.grid.cluster.share import Resources, Share

SECONDS = 60.0  # that GPUs have to answer: their node first starts a process


def resources() -> list[Resources]:
    """What each node that is alive has, whether or not it is in use."""
    return [node["Resources"] for node in ray().nodes() if node["Alive"]]


def least_gpu(share: Share) -> int:
    """Bytes of the smallest GPU among those that answer; 0 if none does. Nodes that can't answer can't make runs.

    Args:
        share: of a node that a run takes; nodes without room for one are not asked.
    """
    nodes = [node for node in ray().nodes() if node["Alive"] and share.slots([node["Resources"]])]
    affinity = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    ask = ray().remote(num_cpus=0, num_gpus=share.gpus, max_retries=0)(environment.gpu_memory)
    asked = [ask.options(scheduling_strategy=affinity(node["NodeID"], soft=False)).remote() for node in nodes]
    answered, busy = ray().wait(asked, num_returns=len(asked), timeout=SECONDS)
    for reference in busy:
        ray().cancel(reference)
    return min(_without_errors(answered), default=0)


def _without_errors(references: Sequence[Any]) -> Iterator[int]:
    """What could be answered: a node without torch, say, is refused when it gets its first job."""
    for reference in references:
        with suppress(ray().exceptions.RayError):
            yield ray().get(reference)
