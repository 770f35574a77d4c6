"""The cost of an exact evaluation on given hardware, in stages that follow each other.

The gallery is searched in shards (`relbench.evaluation.gallery`): for each chunk of queries every shard is read,
prepared, multiplied and searched, by as many devices as there are, and what all find is merged by one process.
"""

from math import ceil, log

from relbench.benchmarks.cost.hardware import Hardware, Host
from relbench.benchmarks.cost.workload import NUMBER_BYTES, Workload
from relbench.evaluation.gallery.plan import Plan
from relbench.settings import Settings

WIDER = 3
"""Columns of a shard beside the embeddings': the parts of a squared length (`relbench.evaluation.knn.approximate`)."""

POSITIVES = 10
"""Other images of a query's class, R: that many neighbours are wanted of each query."""

ITEM_BYTES, ANSWER_BYTES, QUESTION_BYTES, ROW_BYTES = 16, 32, 48, 16
"""Sent of each neighbour; of each query from a shard, beside these; of each query to a shard; of each of its rows."""

HELD_BYTES = 60
"""Of each row by who merges: its label, class and number while classes are counted; measured with 10,000,000."""

READINGS = 2
"""Of a shard for a chunk of queries: for the nearest of the class, and for the search; one more, of all, before."""


class Layout(Settings):
    """How gallery and queries are cut up.

    Attributes:
        shards: of the gallery.
        chunks: of the queries, each of which meets all shards before the next begins.
        rounds: shards that the busiest device searches for a chunk.
    """

    shards: int
    chunks: int
    rounds: int

    @property
    def busy(self) -> float:
        """Devices at work, on average."""
        return self.shards / self.rounds


class Cost(Settings):
    """What an evaluation takes.

    Attributes:
        layout: see `Layout`.
        seconds: of each stage, by name; None: unknown.
        units: cores or cards that take part.
    """

    layout: Layout
    seconds: dict[str, float | None]
    units: int

    @property
    def total(self) -> float:
        """Seconds of all stages whose time is known: none overlaps another."""
        return sum(filter(None, self.seconds.values()))

    @property
    def unit_hours(self) -> float:
        """Hours times cores or cards."""
        return self.total * self.units / 3600

    @property
    def limit(self) -> str:
        """The stage that takes longest."""
        return max(self.seconds, key=lambda stage: self.seconds[stage] or 0.0)


def laid_out(workload: Workload, hardware: Hardware) -> Layout:
    """As the evaluation cuts up gallery and queries, of which each wants `POSITIVES` neighbours."""
    plan = Plan(int(hardware.task_memory), workload.dim, NUMBER_BYTES)
    shards = ceil(workload.gallery / plan.items)
    chunks = ceil(workload.queries / plan.queries(POSITIVES))
    return Layout(shards=shards, chunks=chunks, rounds=ceil(shards / hardware.devices))


def cost(workload: Workload, hardware: Hardware, host: Host) -> Cost:
    """The time of each stage.

    With n rows of the gallery, q queries and d columns in S shards and c chunks, B of the devices at work, a shard's
    rows and a chunk's queries read r = c n + S q rows in all:

        reading      4 d n / storage of a machine, and 4 d (2 r) / (B x rate of cached files); all of it from storage
                     where the gallery's file is larger than a machine's memory; 4 (d + 3) r / (B x link) to GPUs
        preparation  d r x seconds of a number / B
        products     2 n q d / (B x rate of products)
        selection    n q x seconds of a distance / B
        merging      S q x seconds of what a shard has found for a query, and bytes that are sent / rate of sending

    Args:
        workload: see `Workload`.
        hardware: see `Hardware`.
        host: what was measured here, of which merging is taken to be as fast elsewhere.
    """
    layout = laid_out(workload, hardware)
    rows, busy = rows_read(workload, layout), layout.busy
    return Cost(
        layout=layout,
        seconds={
            "reading": _reading(workload, hardware, layout),
            "preparation": rows * workload.dim * hardware.preparation / busy,
            "products": workload.operations / (busy * hardware.products),
            "selection": workload.pairs * hardware.selection / busy,
            "merging": _merging(workload, hardware, layout, host),
        },
        units=hardware.units,
    )


def rows_read(workload: Workload, layout: Layout) -> int:
    """Rows of all shards for each chunk, and of all queries for each shard."""
    return layout.chunks * workload.gallery + layout.shards * workload.queries


def sent_bytes(workload: Workload, layout: Layout) -> float:
    """Bytes to and from all shards.

    Of R neighbours of each query a shard sends those that are nearer than the R-th of the shards before: among shards
    in random order R / s of the s-th, R (1 + ln S) in all.
    """
    found = POSITIVES * (1 + log(layout.shards)) * workload.queries
    asked = layout.shards * workload.queries
    return (
        ITEM_BYTES * found
        + (ANSWER_BYTES + QUESTION_BYTES) * asked
        + ROW_BYTES * float(layout.chunks) * workload.gallery
    )


def _reading(workload: Workload, hardware: Hardware, layout: Layout) -> float | None:
    if hardware.storage is None:
        return None
    once, again = workload.gallery_bytes, READINGS * rows_read(workload, layout) * workload.dim * NUMBER_BYTES
    widened = rows_read(workload, layout) * (workload.dim + WIDER) * NUMBER_BYTES
    to_cards = widened / (layout.busy * hardware.link) if hardware.link else 0.0
    if once > hardware.memory:
        return (once + again) / (hardware.nodes * hardware.storage) + to_cards
    return once / hardware.storage + again / (layout.busy * hardware.cached) + to_cards


def _merging(workload: Workload, hardware: Hardware, layout: Layout, host: Host) -> float:
    merged = layout.shards * workload.queries * host.merging
    return merged + (sent_bytes(workload, layout) / hardware.sending if hardware.sending else 0.0)
