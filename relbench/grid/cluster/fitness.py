"""Nodes of the cluster, as far as they have shown themselves unfit for a job."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relbench.grid.cluster.environment import RELBENCH, SOURCE, Environment, Node
from relbench.grid.cluster.ray_package import ray
from relbench.grid.cluster.share import Share
from relbench.grid.jobs import Job

ALL = ""


@dataclass(frozen=True)
class Refusal:
    """Why a node makes no runs.

    Attributes:
        node: which.
        about: the runs that it can't make: ALL, those on a data set by its name, or one by its fingerprint.
        words: one line, without the node's name.
    """

    node: Node
    about: str
    words: str

    def __str__(self) -> str:
        """With the node's name."""
        return f"node {self.node[1]}: {self.words}"


class RefusedError(Exception):
    """A node has refused a job.

    Args:
        refusal: its reason.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Fitness:
    """Which nodes can make which jobs; a node that has refused one gets none like it again.

    Args:
        share: of a node, for each job.
    """

    def __init__(self, share: Share) -> None:
        self._share = share
        self._lock = threading.Lock()
        self._refusals: dict[tuple[str, str], Refusal] = {}

    def note(self, refusal: Refusal) -> bool:
        """Count on that node no more; returns whether this is new."""
        with self._lock:
            return self._refusals.setdefault((refusal.node[0], refusal.about), refusal) is refusal

    def options(self, job: Job) -> dict[str, Any]:
        """How Ray is told to leave out the nodes that can't make a job."""
        unfit = sorted({refusal.node[0] for refusal in self._about(job)})
        return {"label_selector": {"ray.io/node-id": f"!in({','.join(unfit)})"}} if unfit else {}

    def none_left(self, job: Job) -> Refusal | None:
        """The reason of a node, where all that had room for a job have refused it, or one like it."""
        if self.has_room(job):
            return None
        return max(self._about(job), key=lambda refusal: refusal.about == ALL, default=None)

    def has_room(self, job: Job) -> bool:
        """Whether a node that is there, busy or not, can make a job."""
        unfit = {refusal.node[0] for refusal in self._about(job)}
        nodes = [node for node in ray().nodes() if node["Alive"] and node["NodeID"] not in unfit]
        return self._share.slots([node["Resources"] for node in nodes]) > 0

    def _about(self, job: Job) -> Iterator[Refusal]:
        with self._lock:
            known = list(self._refusals.values())
        about = {ALL, job.experiments[0].data.name, *job.folders}
        return (refusal for refusal in known if refusal.about in about)


def of_another_environment(node: Node, here: Environment, driver: Environment, now: Environment) -> Refusal:
    """The refusal of a node that would make other numbers.

    Args:
        node: which.
        here: its environment.
        driver: that of the driver when it began.
        now: what is on the driver's machine by now.
    """
    name = next(name for name in driver if here.get(name) != driver[name])
    if now != driver:
        return Refusal(node, ALL, "relbench has changed since the command began: give it again, finished runs stay")
    if name == SOURCE:
        return Refusal(
            node, ALL, f"its relbench {here[RELBENCH]} has other {SOURCE} than the command's: install the same"
        )
    found, wanted = (f"{name} {version}" if version else f"no {name}" for version in (here.get(name), driver[name]))
    return Refusal(node, ALL, f"it has {found}, and the command has {wanted}: install the same in both places")
