"""Lightning Fabric on one device of this machine, whatever has launched this process.

A batch system, an MPI or Lightning's own launcher leaves words in the environment for programs that train on several
devices. Fabric obeys or refuses them; a run is one process on one device, whoever starts it.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from relbench.experiment import Precision

if TYPE_CHECKING:  # it takes seconds to load; what does not train need not wait
    from lightning_fabric import Fabric

LAUNCHERS = ("LT_", "SLURM_", "LSB_", "JSM_", "TORCHELASTIC_", "KUBERNETES_", "OMPI_", "PMI_")
RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")


def fabric_on(device: str, precision: Precision) -> "Fabric":
    """Fabric on one device, launched.

    TF32 is no matter of Fabric's: torch's switches for it are set for the whole process, by who calls this.

    Args:
        device: "cpu" or "cuda".
        precision: of the training.
    """
    with _launched_by_nobody():
        from lightning_fabric import Fabric  # noqa: PLC0415 - see above
        from lightning_fabric.plugins.environments.lightning import LightningEnvironment  # noqa: PLC0415

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # else every run tells what its precision is
        as_fabric: Literal["32-true", "bf16-mixed"] = "32-true" if precision == "tf32" else precision
        fabric = Fabric(accelerator=device, devices=1, precision=as_fabric, plugins=[LightningEnvironment()])
        fabric.launch()
    return fabric


@contextmanager
def _launched_by_nobody() -> Iterator[None]:
    """Without what a launcher says, for the moment."""
    hidden = {name: value for name, value in os.environ.items() if name.startswith(LAUNCHERS) or name in RANKS}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
