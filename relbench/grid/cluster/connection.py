"""The connection of a command to a Ray cluster, for as long as the command goes on."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import relbench
from relbench.cores import usable_cores
from relbench.grid.cluster.library import ray

LOCAL, AUTO = "local", "auto"
PROBE = 5.0  # seconds that the head of a cluster has to answer: Ray itself would try for minutes
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be the driver on a Ray cluster inside a `with`.

    Args:
        address: "local" starts a cluster on this machine, which ends with the `with`; "auto" finds one that has been
            started by `ray start`; else HOST:PORT of its head.

    Raises:
        ValueError: Ray is not installed, or no such cluster answers.
    """
    library = ray()
    os.environ |= QUIET
    if address not in {LOCAL, AUTO}:
        _probe(address)
    try:
        library.init(address, **(_of_a_cluster_of_our_own() if address == LOCAL else {}), **_settings())
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ValueError(_refused(address, error)) from None
    try:
        yield
    finally:
        library.shutdown()


def _settings() -> dict[str, Any]:
    here = str(Path(relbench.__file__).parents[1])  # a checkout is found by workers on this machine
    return {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "job_config": import_module("ray.job_config").JobConfig(_py_driver_sys_path=[here]),
    }


def _of_a_cluster_of_our_own() -> dict[str, Any]:
    return {"num_cpus": usable_cores(), "include_dashboard": False}


def _probe(address: str) -> None:
    """Refuse an address that does not answer.

    Raises:
        ValueError: it is not HOST:PORT, or nobody is there.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()) or "/" in host:
        raise ValueError(
            f"--cluster {address}: give auto, local, or HOST:PORT of the cluster's head, such as head:6379"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE).close()
    except OSError as error:
        raise ValueError(_refused(address, error)) from None


def _refused(address: str, error: Exception) -> str:
    said = " ".join(str(error).split())
    return (
        f"--cluster {address}: no cluster answers ({said}): start one with `ray start --head`, or take --cluster local"
    )
