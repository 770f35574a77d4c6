"""Ray itself, an optional package: imported when a cluster is asked for."""

from importlib import import_module
from types import ModuleType


def ray() -> ModuleType:
    """The package.

    Raises:
        ValueError: it is not installed.
    """
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ValueError("--cluster needs Ray: pip install 'relbench-kd[cluster]'") from None
