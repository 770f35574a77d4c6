"""Ray itself, an optional package: imported when a cluster is asked for."""

import os
from importlib import import_module
from types import ModuleType

# Ray reads this when it is imported: nothing is told to its makers, and of what its nodes say, nothing is shown in the
# terminal; that a worker is lost is told in a line of our own.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "^"}


def ray() -> ModuleType:
    """The package.

    Raises:
        ValueError: it is not installed.
    """
    os.environ |= QUIET
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ValueError("--cluster needs Ray: pip install 'relbench-kd[cluster]'") from None
