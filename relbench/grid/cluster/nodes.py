"""What a node of the cluster must have in common with the driver, so that a run comes out there as it would here."""

import platform
from dataclasses import dataclass

from relbench import __version__


@dataclass(frozen=True)
class Driver:
    """What the driver has.

    Attributes:
        version: of relbench.
    """

    version: str = __version__


def checked(driver: Driver) -> None:
    """Refuse work for another relbench; called on a node before each job.

    Raises:
        ValueError: this node has something else than the driver; one line.
    """
    if driver.version != __version__:
        raise ValueError(
            f"relbench {__version__} is installed on {platform.node()}, and the command is of {driver.version}: "
            "install the same version on all nodes"
        )
