"""The environment of a process: all that decides on the numbers of a run beside its settings and images.

This file travels to nodes as it is, since a node may have no relbench, or another: it imports nothing of relbench.
"""

import hashlib
import pickle
import platform
from collections.abc import Iterator, Mapping
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

Environment = Mapping[str, str]
"""Versions by name; "" is that of a package that is not there."""

Node = tuple[str, str]
"""A node's name for Ray, and for readers."""

RELBENCH, SOURCE = "relbench", "source files"
PACKAGES = ("torch", "torchvision", "numpy", "numba", "faiss-cpu", "pytorch-metric-learning", "pillow")


def environment() -> Environment:
    """That of this process.

    What torch is built for, such as a version of CUDA, is left out: it may be that nodes alone have GPUs.
    """
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, **_relbench(), **{package: _version(package) for package in PACKAGES}}


def _relbench() -> Environment:
    found = util.find_spec("relbench")
    if not found or not found.origin:
        return {RELBENCH: "", SOURCE: ""}
    return {RELBENCH: import_module("relbench").__version__, SOURCE: source_hash(Path(found.origin).parent)}


def _version(package: str) -> str:
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""


def source_hash(package: Path) -> str:
    """Hash of the paths and bytes of all files in a package, data beside the code included, but what Python compiles.

    Args:
        package: its folder.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def this_node() -> Node:
    """The node that this worker is on."""
    ray = import_module("ray")
    return ray.get_runtime_context().get_node_id(), f"{platform.node()} ({ray.util.get_node_ip_address()})"


def gpu_memory() -> int:
    """Bytes of the GPU that this process computes on."""
    total: int = import_module("torch").cuda.mem_get_info()[1]
    return total


def call(driver: Environment, request: bytes) -> tuple[Node, Environment] | tuple[None, Any]:
    """Call a function where the environment is the driver's; the task of a search that nodes are given.

    Args:
        driver: its environment.
        request: the function and what it is called with, pickled, as they can be read only where relbench is the same.

    Returns:
        None and the result; else this node and its environment.
    """
    here = environment()
    if here != driver:
        return this_node(), here
    function, given = pickle.loads(request)  # noqa: S301 - from the driver, which has this process in hand anyway
    return None, function(given, None)


def work(driver: Environment, request: bytes, inputs: Mapping[Path, Any]) -> Iterator[Any]:
    """Do what the driver asks for where the environment is the driver's; the task that nodes are given.

    Args:
        driver: its environment.
        request: pickled, as it can be read only where relbench is the same.
        inputs: of the job.

    Yields:
        Messages of the work; else this node and its environment, and nothing more.
    """
    here = environment()
    if here != driver:
        yield this_node(), here
        return
    make = import_module("relbench.grid.cluster.worker").make  # only now is it known to be there
    yield from make(pickle.loads(request), inputs)  # noqa: S301 - from the driver, which has this process in hand anyway
