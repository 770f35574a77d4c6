"""The cost of an evaluation as a table, with notes on where its figures come from."""

from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from relbench.benchmarks.cost.hardware import GIGA, REACHED, REACHED_BY_KEYS, REACHED_TOGETHER, Hardware, Host, machines
from relbench.benchmarks.cost.measured import measure_host
from relbench.benchmarks.cost.model import HELD_BYTES, POSITIVES, cost
from relbench.benchmarks.cost.workload import Workload
from relbench.benchmarks.figure import in_digits
from relbench.plain_text import duration_in_words

STAGES = ("reading", "preparation", "products", "selection", "merging")
TO_RUN = (
    "to run it: relbench evaluate EMBEDDINGS.npy LABELS.npy here; with --devices 8 on the GPUs of a machine; with "
    "--cluster ADDRESS on several machines that see the files, or on each core of one by itself"
)
"""What the lines of the table are reached by."""

LINES = ("shards x chunks", *STAGES, "in all", "hours", "limited by")
UNITS = (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6))


def plans(workloads: Iterable[Workload]) -> Iterator[Table | str]:
    """For each workload its table, and what it can't say itself, then how it is run; this machine is measured before.

    Args:
        workloads: of any size: none is run.
    """
    for workload in workloads:
        host = measure_host(workload.dim)
        hardware = machines(host)
        yield cost_table(workload, hardware, host)
        yield from cost_notes(host, hardware)
        yield (
            f"who merges holds labels, classes and numbers of all rows: {in_bytes(HELD_BYTES * workload.gallery)} of "
            "memory"
        )
    yield TO_RUN


def cost_table(workload: Workload, hardware: Iterable[Hardware], host: Host) -> Table:
    """A column for each kind of hardware; what does not fit a narrow terminal goes on below."""
    machines = tuple(hardware)
    columns = [Column(machine.name, overflow="fold") for machine in machines]
    made = Table(
        Column("", min_width=max(map(len, STAGES))),
        *columns,
        title=_title(workload),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name, *cells in zip(LINES, *(_cells(workload, machine, host) for machine in machines), strict=True):
        made.add_row(name, *cells)
    return made


def _cells(workload: Workload, machine: Hardware, host: Host) -> Iterator[str]:
    """What stands in the lines of a kind of hardware."""
    found = cost(workload, machine, host)
    yield f"{found.layout.shards:,} x {found.layout.chunks:,}"
    for stage in STAGES:
        yield "-" if (taken := found.seconds[stage]) is None else duration_in_words(taken)
    yield from (duration_in_words(found.total), f"{in_digits(found.unit_hours)} {machine.unit}-h", found.limit)


def _title(workload: Workload) -> str:
    size = f"{workload.gallery:,} x {workload.dim}, {workload.queries:,} queries"
    return f"{size}: {workload.operations:.3g} operations, gallery of {in_bytes(workload.gallery_bytes)}"


def in_bytes(number: float) -> str:
    """A number of bytes in MB, GB, TB or PB."""
    unit, size = next((each for each in UNITS if number >= each[1]), UNITS[-1])
    return f"{in_digits(number / size)} {unit}"


def cost_notes(host: Host, hardware: Sequence[Hardware]) -> Iterator[str]:
    """What the table can't say itself."""
    storage = in_bytes(host.storage) if host.storage else "unknown"
    yield (
        f"this machine, measured now: {host.name}, {host.cores} cores; of one, products {host.products / GIGA:,.0f} "
        f"GFLOPS, selection {1e9 * host.selection:.2f} ns a distance, preparation {1e9 * host.preparation:.2f} ns a "
        f"number; several reach {REACHED_TOGETHER:.0%} of as many times that; merging {1e9 * host.merging:.0f} ns a "
        f"query and shard; a second, a file is read at {storage}, {in_bytes(host.cached)} once it is in memory"
    )
    for source in dict.fromkeys(machine.source for machine in hardware[1:]):
        named = [machine.name for machine in hardware if machine.source == source]
        yield f"{', '.join(named)}: {source}"
    yield (
        f"elsewhere {REACHED:.0%} of each peak is taken to be reached, {REACHED_BY_KEYS:.0%} by distances that leave a "
        f"GPU, and a core to be as fast as here; {POSITIVES} neighbours of each query are wanted, no stage overlaps "
        "another, and a single process merges"
    )
