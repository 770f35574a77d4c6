"""How runs are executed: by how many processes, and who prepares their images."""

from dataclasses import dataclass
from typing import Literal

ViewsOn = Literal["cpu", "device"]


@dataclass(frozen=True)
class Execution:
    """How a run is executed. It changes no result by more than rounding, and is in no fingerprint.

    Attributes:
        devices: processes that share each step of a run, on a GPU each or on the CPU.
        workers: processes of each of them that make images of later steps meanwhile; None: as many as the device asks
            for.
        views: where random views of images that are kept in memory are computed.
    """

    devices: int = 1
    workers: int | None = None
    views: ViewsOn = "cpu"


USUAL = Execution()
"""One process, on the device of the run's settings."""
