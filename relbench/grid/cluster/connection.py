"""The connection of a command to a Ray cluster, for as long as the command goes on."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import relbench
from relbench.cores import usable_cores
from relbench.grid.cluster import environment
from relbench.grid.cluster.ray_package import ray

LOCAL, AUTO = "local", "auto"
PROBE = 20.0  # seconds that the head of a cluster has to answer: on a busy machine, Ray takes as many to ask
LONGEST = 200  # characters of what Ray says to that
UNKNOWN_CALLER = "AuthenticationError"  # what Ray says where a token is missing


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
    if address != LOCAL:
        _probe(address)
    try:
        library.init(address, **(_of_a_cluster_of_our_own() if address == LOCAL else {}), **_settings())
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ValueError(_refused(address, error)) from None
    library.cloudpickle.register_pickle_by_value(environment)  # for nodes without relbench
    try:
        with _interrupted_by_sigterm():
            yield
    finally:
        library.shutdown()


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Take SIGTERM, which `timeout` and Slurm send, as Ctrl-C: Ray's own handler would end in a dump of its stack."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
    """Refuse a cluster that does not answer: Ray itself would go on trying for minutes.

    Raises:
        ValueError: an address is not HOST:PORT, nobody is there, or it is no Ray cluster's.
    """
    named = [] if address == AUTO else ["--address", address]
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *named]
    try:
        if named:
            _reach(address)
        asked = subprocess.run(command, capture_output=True, text=True, timeout=PROBE, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise ValueError(_refused(address, f"within {PROBE:.0f} s")) from None
    except OSError as error:
        raise ValueError(_refused(address, error)) from None
    if UNKNOWN_CALLER in asked.stderr:
        _check_token(address)
    elif asked.returncode:
        last = [line for line in asked.stderr.splitlines() if line][-1:]
        raise ValueError(_refused(address, *last))


def _check_token(address: str) -> None:
    """Refuse an address that asks for a token which Ray sends to clusters that it finds by itself alone.

    Raises:
        ValueError: Ray would not send one.
    """
    if address != AUTO or os.environ.get("RAY_ADDRESS"):
        raise ValueError(
            f"--cluster {address}: the cluster asks for a token: set RAY_AUTH_MODE=token, and have its token in "
            "~/.ray/auth_token or RAY_AUTH_TOKEN"
        )


def _reach(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()) or "/" in host:
        raise ValueError(f"--cluster {address}: give auto, local, or HOST:PORT of the cluster's head")
    socket.create_connection((host.strip("[]"), int(port)), PROBE).close()


def _refused(address: str, *why: object) -> str:
    said = " ".join(" ".join(map(str, why)).split())[:LONGEST].removeprefix("ConnectionError: ")
    return (
        f"--cluster {address}: no Ray cluster answers ({said}); `ray start --head` starts one, or take --cluster local"
    )
