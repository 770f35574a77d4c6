"""The cost of an exact evaluation on given hardware, in stages that follow each other."""

from math import ceil

from relbench.benchmarks.cost.hardware import Hardware
from relbench.benchmarks.cost.workload import NUMBER_BYTES, Workload
from relbench.settings import Settings

WIDER = 3
"""Columns of a shard beside the embeddings': the parts of a squared length (`relbench.evaluation.knn.approximate`)."""

FOR_A_SHARD = 0.8
"""Share of a device's memory that its shard may take; the rest is for queries and distances."""

KEPT = 100
"""Neighbours that a shard returns for a query: those of a class, R, or the largest K."""

KEPT_BYTES = 16  # of each: a distance in float64, and an index


class Layout(Settings):
    """How a gallery and its queries are shared out.

    Attributes:
        shards: of the gallery, all of which each query meets.
        groups: of queries, each with devices of its own that hold the gallery between them.
        rounds: shards that a device holds one after the other.
    """

    shards: int
    groups: int
    rounds: int


class Cost(Settings):
    """What an evaluation takes.

    Attributes:
        layout: see `Layout`.
        seconds: of each stage, by name; None: unknown.
        merged_bytes: what all shards return.
        devices: that take part.
    """

    layout: Layout
    seconds: dict[str, float | None]
    merged_bytes: float
    devices: int

    @property
    def total(self) -> float:
        """Seconds of all stages whose time is known: none overlaps another."""
        return sum(filter(None, self.seconds.values()))

    @property
    def device_hours(self) -> float:
        """Hours times devices."""
        return self.total * self.devices / 3600

    @property
    def limit(self) -> str:
        """The stage that takes longest."""
        return max(self.seconds, key=lambda stage: self.seconds[stage] or 0.0)


def laid_out(workload: Workload, hardware: Hardware) -> Layout:
    """As few shards as fit, in groups of devices of equal size; rounds where all devices together can't hold all."""
    row = (workload.dim + WIDER) * NUMBER_BYTES
    needed = ceil(workload.gallery * row / (FOR_A_SHARD * hardware.memory))
    if needed > hardware.devices:
        rounds = ceil(needed / hardware.devices)
        return Layout(shards=rounds * hardware.devices, groups=1, rounds=rounds)
    together = next(size for size in range(needed, hardware.devices + 1) if hardware.devices % size == 0)
    return Layout(shards=together, groups=hardware.devices // together, rounds=1)


def cost(workload: Workload, hardware: Hardware) -> Cost:
    """The time of each stage: every device does an equal share of the products.

    With n rows of the gallery, q queries, d columns, D devices:

        reading      bytes of gallery and queries that a machine reads / rate of storage, and that a device is sent /
                     rate of its link
        preparation  numbers of a device's shards x seconds of a number
        products     2 n q d / (D x rate of products)
        selection    n q x seconds of a distance / D
        merging      bytes that shards return to a machine / rate of its network or link

    Args:
        workload: see `Workload`.
        hardware: see `Hardware`.
    """
    layout = laid_out(workload, hardware)
    merged = float(workload.queries * layout.shards * KEPT * KEPT_BYTES)
    return Cost(
        layout=layout,
        seconds={
            "reading": _reading(workload, hardware, layout),
            "preparation": _gallery_bytes(workload, layout) / NUMBER_BYTES * hardware.preparation,
            "products": workload.operations / (hardware.devices * hardware.products),
            "selection": workload.pairs * hardware.selection / hardware.devices,
            "merging": _merging(merged, hardware, layout),
        },
        merged_bytes=merged,
        devices=hardware.devices,
    )


def _gallery_bytes(workload: Workload, layout: Layout) -> float:
    """Of all shards that a device holds, one after the other."""
    return workload.gallery_bytes / layout.shards * layout.rounds


def _reading(workload: Workload, hardware: Hardware, layout: Layout) -> float | None:
    if hardware.storage is None:
        return None
    groups_here = max(1.0, layout.groups / hardware.nodes)
    queries = workload.query_bytes / layout.groups * layout.rounds
    gallery = _gallery_bytes(workload, layout)
    from_storage = gallery * hardware.devices / hardware.nodes + queries * groups_here
    to_device = 0.0 if hardware.link is None else (gallery + queries) / hardware.link
    return from_storage / hardware.storage + to_device


def _merging(merged: float, hardware: Hardware, layout: Layout) -> float:
    rate = hardware.network or hardware.link
    if layout.shards == 1 or rate is None:
        return 0.0
    return merged / hardware.nodes / rate
