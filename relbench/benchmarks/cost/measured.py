"""The rates of this machine that an evaluation depends on, measured in a few seconds."""

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relbench.benchmarks.cost.hardware import Host
from relbench.benchmarks.evaluation import KS, Rows, clustered
from relbench.benchmarks.timing import timed
from relbench.cores import usable_cores
from relbench.evaluation import query_results
from relbench.evaluation.knn.approximate import Block, choose_backend
from relbench.evaluation.knn.neighbours import Search
from relbench.evaluation.knn.points import check_points
from relbench.machine import describe_machine, free_memory

ROWS, QUERIES, ROUNDS = 131_072, 2048, 3
FILE_BYTES = 1 << 28


def measure_host(dim: int, count: int = ROWS, queries: int = QUERIES, rounds: int = ROUNDS) -> Host:
    """Rates of one core of this machine, or of its GPU, in evaluations of a dimension.

    Products are those of the evaluation, in its own precision. What an evaluation of a single query takes is the
    preparation, what one of many takes beyond that and its products is the selection. On the CPU, by processor time of
    one thread, which a busy machine does not lengthen.

    Args:
        dim: columns.
        count: rows of the gallery.
        queries: among them.
        rounds: timings, of which the shortest counts: what else a machine does can only lengthen it.
    """
    rows, labels = clustered(count, dim, np.random.default_rng(0))
    search = Search(check_points(rows, _first(queries, count), None), choose_backend("auto", rows))
    device = search.backend[1]
    forms: dict[str, Callable[[], object]] = {
        "products": partial(_multiply, search, queries),
        "single": partial(query_results, rows, labels, KS, query=_first(1, count)),
        "many": partial(query_results, rows, labels, KS, query=_first(queries, count)),
    }
    _multiply(search, 1)  # centres and rounds the rows, once
    times = {name: min(taken) for name, taken in timed(forms, rounds, device.type, warm=0).items()}
    return Host(
        name=describe_machine(device).device,
        cores=usable_cores(),
        on_gpu=device.type == "cuda",
        products=2 * count * queries * dim / times["products"],
        selection=max(0.0, times["many"] - times["single"] - times["products"]) / (count * queries),
        preparation=times["single"] / (count * dim),
        memory=float(free_memory(device)),
        storage=storage_rate(),
    )


def _first(queries: int, count: int) -> NDArray[np.bool_]:
    """(count,) which rows are queries."""
    return np.arange(count) < queries


def _multiply(search: Search, queries: int) -> None:
    for _ in search.map_blocks(_nothing, np.arange(queries), search.types[0]):
        pass


def _nothing(_: Block) -> None:
    """What is done with distances where their products alone are timed."""


def storage_rate(size: int = FILE_BYTES) -> float | None:
    """Bytes a second from a mapped file in the folder for temporary files that no memory holds yet.

    Args:
        size: bytes of the file.

    Returns:
        None where a system does not let go of a file that it has in memory.
    """
    if not hasattr(os, "posix_fadvise"):
        return None
    with tempfile.TemporaryDirectory(prefix="relbench-plan-") as folder:
        file = Path(folder) / "rows.npy"
        np.save(file, np.ones(size // 4, np.float32))
        _forget(file)
        return size / _read_seconds(file)


def _forget(file: Path) -> None:
    """Let go of a file that the system holds in memory, so that it is read from storage the next time."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read_seconds(file: Path) -> float:
    """On the wall: of the time that a disk takes, a processor knows nothing."""
    start = time.perf_counter()
    mapped: Rows = np.load(file, mmap_mode="r")
    mapped.sum()
    return time.perf_counter() - start
