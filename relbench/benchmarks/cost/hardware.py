"""Hardware that an evaluation may run on: rates that are reached, and where they come from.

Figures of data sheets are peaks; what is reached of them is a stated share, as no run of the evaluation on that
hardware has been committed. A GPU multiplies, and hands each distance to the host, whose cores select. What cores do is
measured here, and a core elsewhere is taken to be as fast.
"""

from relbench.evaluation.gallery.plan import FIXED, LIBRARIES, OF_A_TASK
from relbench.settings import Settings

GIGA, TERA = 1e9, 1e12

REACHED = 0.7
"""Share of a peak that is reached, by products as by transfers."""

REACHED_TOGETHER = 0.9
"""Share of the cores' rates that all of them reach together, as they share caches and memory."""

REACHED_BY_KEYS = 0.2
"""Share of a GPU's link that distances reach on their way to memory that is not pinned."""

KEY_BYTES = 4  # of a distance as the product writes it

H100 = (
    "NVIDIA H100 SXM, data sheet: 67 TFLOPS of float32 (TF32 and bf16 would round, and are not used), PCIe Gen5 with "
    "64 GB/s each way"
)
DGX = (
    "DGX H100, data sheet: 2 TB of memory, 112 cores of two Xeon 8480C, a network port of 400 Gb/s for each card and "
    "one for storage"
)
EPYC = (
    "AMD EPYC 9554, product page: 64 cores at 3.1 GHz, each with two units of 8 fused multiply-adds (Zen 4); 768 GB "
    "and a port of 100 Gb/s assumed"
)

CARDS, CARD_CORES = 8, 14  # of a DGX H100, and its cores for each
CARD_FLOPS, CARD_LINK = 67 * TERA, 64 * GIGA
DGX_MEMORY, DGX_PORT = 2 * TERA, 50 * GIGA
NODE_CORES, CORE_FLOPS = 64, 32 * 3.1 * GIGA
NODE_MEMORY, NODE_PORT = 768 * GIGA, 12.5 * GIGA
TASK_MEMORY = OF_A_TASK - LIBRARIES - FIXED


class Host(Settings):
    """What was measured on this machine: rates of a core, or of its GPU with one.

    Attributes:
        name: its processor or card.
        cores: that it has; with a GPU, those that select.
        on_gpu: whether products are computed on a GPU.
        products: operations a second in the products of the evaluation, of one core or the GPU.
        selection: seconds of one core for what is done with a distance once it is known.
        preparation: seconds of one core for each number of the gallery, whatever the queries: to check, centre and
            round it.
        merging: seconds for what a shard has found for a query.
        sending: bytes a second that a process packs or unpacks for another.
        memory: bytes that are free.
        storage: bytes a second from a file; None where that can't be measured.
        cached: bytes a second from a file that the system holds in memory.
    """

    name: str
    cores: int
    on_gpu: bool
    products: float
    selection: float
    preparation: float
    merging: float
    sending: float
    memory: float
    storage: float | None
    cached: float

    @property
    def together(self) -> float:
        """The cores' rate, in cores."""
        return 1.0 if self.cores == 1 else REACHED_TOGETHER * self.cores


class Hardware(Settings):
    """One machine, or several equal ones.

    Attributes:
        name: as tables show it.
        unit: what hours are counted of: "core" or "card".
        units: how many there are, in all.
        devices: how many shards are searched at once.
        nodes: machines.
        products: operations a second of a device in products of float32.
        selection: seconds of a device, and of the cores that it has, for what is done with a distance.
        preparation: seconds of a device for each number that it reads.
        task_memory: bytes for a shard and its queries.
        memory: bytes of a machine.
        storage: bytes a second from storage to a machine; None: unknown.
        cached: bytes a second to a device from a file in its machine's memory.
        link: bytes a second from a machine to one of its GPUs; None: it has none.
        sending: bytes a second between whoever merges and the others; None: they are the same process.
        source: of these figures.
    """

    name: str
    unit: str
    units: int
    devices: int
    nodes: int
    products: float
    selection: float
    preparation: float
    task_memory: float
    memory: float
    storage: float | None
    cached: float
    link: float | None
    sending: float | None
    source: str


def machines(host: Host) -> tuple[Hardware, ...]:
    """This machine, and others."""
    return (
        this_machine(host),
        processors("a node of 64 cores", host, 1),
        processors("16 nodes of 64 cores", host, 16),
        cards("one H100", host, 1, 1),
        cards("8 H100", host, CARDS, 1),
        cards("16 nodes of 8 H100", host, 16 * CARDS, 16),
    )


def this_machine(host: Host) -> Hardware:
    """This machine, all of whose cores work on a shard."""
    return Hardware(
        name="this machine",
        unit="card" if host.on_gpu else "core",
        units=1 if host.on_gpu else host.cores,
        devices=1,
        nodes=1,
        products=host.products * (1.0 if host.on_gpu else host.together),
        selection=host.selection / host.together,
        preparation=host.preparation,
        task_memory=host.memory / 2,
        memory=host.memory,
        storage=host.storage,
        cached=host.cached,
        link=None,
        sending=None,
        source=f"{host.name}, {host.cores} cores, a core measured now",
    )


def processors(name: str, host: Host, nodes: int) -> Hardware:
    """Machines without GPUs, each of whose cores works on a shard of its own."""
    return Hardware(
        name=name,
        unit="core",
        units=nodes * NODE_CORES,
        devices=nodes * NODE_CORES,
        nodes=nodes,
        products=REACHED * CORE_FLOPS,
        selection=host.selection / REACHED_TOGETHER,
        preparation=host.preparation / REACHED_TOGETHER,
        task_memory=TASK_MEMORY,
        memory=NODE_MEMORY,
        storage=REACHED * NODE_PORT,
        cached=host.cached * REACHED_TOGETHER,
        link=None,
        sending=min(host.sending, REACHED * NODE_PORT) if nodes > 1 else host.sending,
        source=EPYC,
    )


def cards(name: str, host: Host, devices: int, nodes: int) -> Hardware:
    """Machines with GPUs, each of which works on a shard of its own."""
    return Hardware(
        name=name,
        unit="card",
        units=devices,
        devices=devices,
        nodes=nodes,
        products=REACHED * CARD_FLOPS,
        selection=KEY_BYTES / (REACHED_BY_KEYS * CARD_LINK) + host.selection / (REACHED_TOGETHER * CARD_CORES),
        preparation=host.preparation / REACHED_TOGETHER,
        task_memory=TASK_MEMORY if nodes > 1 else DGX_MEMORY / 2 / CARDS,
        memory=DGX_MEMORY,
        storage=REACHED * DGX_PORT,
        cached=host.cached * REACHED_TOGETHER,
        link=REACHED * CARD_LINK,
        sending=min(host.sending, REACHED * DGX_PORT) if nodes > 1 else None,
        source=f"{H100}; {DGX}",
    )
