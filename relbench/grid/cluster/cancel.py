"""How tasks on the cluster are given up."""

from collections.abc import Sequence
from typing import Any

from relbench.grid.cluster.ray_package import ray

GRACE = 5.0  # seconds that a worker has to clear away what it was at


def cancel(tasks: Sequence[Any]) -> None:
    """Interrupt tasks, and end the workers that do not listen: Ray's interrupts can get lost.

    Args:
        tasks: that are under way; generators of their messages.
    """
    for task in tasks:
        ray().cancel(task)
    ends = {task.completed(): task for task in tasks}
    _, unheard = ray().wait([*ends], num_returns=len(ends), timeout=GRACE) if ends else ((), ())
    for end in unheard:
        ray().cancel(ends[end], force=True)
