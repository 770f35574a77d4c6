"""Hardware that an evaluation may run on: rates that are reached, and where they come from.

Figures of data sheets are peaks; what is reached of them is a stated share, as no run of the evaluation on that
hardware has been committed. What is done with a distance once it is known is done by the host's cores: its time is
measured here, and a core elsewhere is taken to be as fast.
"""

from relbench.settings import Settings

GIGA, TERA = 1e9, 1e12

REACHED = 0.7
"""Share of a peak that is reached, by products as by transfers."""

REACHED_TOGETHER = 0.9
"""Share of the cores' rates that all of them reach together, as they share caches and memory."""

KEY_BYTES = 4
"""Of a distance as the product writes it: a GPU's go to the host one by one."""

H100 = (
    "NVIDIA H100 SXM, data sheet: 67 TFLOPS of float32 (TF32 and bf16 would round, and are not used), 80 GB, PCIe Gen5 "
    "with 64 GB/s each way"
)
DGX = "DGX H100: 112 cores of two Xeon 8480C, a network port of 400 Gb/s a card and one for storage"
EPYC = (
    "AMD EPYC 9554, product page: 64 cores at 3.1 GHz, each with two units of 8 fused multiply-adds (Zen 4), so "
    "6.3 TFLOPS of float32; 768 GB and a network of 100 Gb/s assumed"
)

CARDS, CARD_CORES = 8, 14  # of a DGX H100, and its cores for each
CARD_FLOPS, CARD_MEMORY, CARD_LINK = 67 * TERA, 80 * GIGA, 64 * GIGA
PORT = 50 * GIGA  # of 400 Gb/s
NODE_CORES, NODE_CLOCK, NODE_FLOPS_A_CYCLE = 64, 3.1 * GIGA, 32
NODE_MEMORY, NODE_PORT = 768 * GIGA, 12.5 * GIGA


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
        memory: bytes that are free.
        storage: bytes a second from a mapped file; None where that can't be measured.
    """

    name: str
    cores: int
    on_gpu: bool
    products: float
    selection: float
    preparation: float
    memory: float
    storage: float | None

    @property
    def together(self) -> float:
        """The cores' rate, in cores."""
        return 1.0 if self.cores == 1 else REACHED_TOGETHER * self.cores


class Hardware(Settings):
    """One machine, or several equal ones.

    Attributes:
        name: as tables show it.
        devices: in all: GPUs, or processors whose cores work together.
        nodes: machines.
        products: operations a second that a device reaches in products of float32.
        selection: seconds that a device and its cores take for what is done with a distance.
        preparation: seconds for each number of a device's part of the gallery.
        memory: bytes of a device.
        storage: bytes a second from storage to a machine; None: unknown.
        link: bytes a second from a machine to one of its devices; None: they are the machine.
        network: bytes a second from a machine to others; None: there are none.
        source: of these figures.
    """

    name: str
    devices: int
    nodes: int
    products: float
    selection: float
    preparation: float
    memory: float
    storage: float | None
    link: float | None
    network: float | None
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
    """This machine: its rates are reached as they stand."""
    return Hardware(
        name="this machine",
        devices=1,
        nodes=1,
        products=host.products * (1.0 if host.on_gpu else host.together),
        selection=host.selection / host.together,
        preparation=host.preparation,
        memory=host.memory,
        storage=host.storage,
        link=None,
        network=None,
        source=f"{host.name}, {host.cores} cores, a core measured now",
    )


def processors(name: str, host: Host, nodes: int) -> Hardware:
    """Machines without GPUs."""
    return Hardware(
        name=name,
        devices=nodes,
        nodes=nodes,
        products=REACHED * NODE_CORES * NODE_CLOCK * NODE_FLOPS_A_CYCLE,
        selection=host.selection / (REACHED_TOGETHER * NODE_CORES),
        preparation=host.preparation,
        memory=NODE_MEMORY,
        storage=REACHED * NODE_PORT,
        link=None,
        network=REACHED * NODE_PORT if nodes > 1 else None,
        source=EPYC,
    )


def cards(name: str, host: Host, devices: int, nodes: int) -> Hardware:
    """Machines with GPUs."""
    return Hardware(
        name=name,
        devices=devices,
        nodes=nodes,
        products=REACHED * CARD_FLOPS,
        selection=KEY_BYTES / (REACHED * CARD_LINK) + host.selection / (REACHED_TOGETHER * CARD_CORES),
        preparation=host.preparation,
        memory=CARD_MEMORY,
        storage=REACHED * PORT,
        link=REACHED * CARD_LINK,
        network=REACHED * PORT * CARDS if nodes > 1 else None,
        source=f"{H100}; {DGX}",
    )
