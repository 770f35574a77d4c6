"""The rates of this machine that an evaluation depends on, measured in a few seconds."""

import os
import pickle
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relbench.benchmarks.cost.hardware import Host
from relbench.benchmarks.cost.model import POSITIVES
from relbench.benchmarks.evaluation import KS, clustered
from relbench.benchmarks.timing import timed
from relbench.cores import usable_cores
from relbench.evaluation import Sharding, sharded_query_results
from relbench.evaluation.gallery.merge import Merged
from relbench.evaluation.gallery.plan import MOST_ITEMS, MOST_QUERIES
from relbench.evaluation.gallery.shard import Answer, Items
from relbench.evaluation.knn.approximate import Block, choose_backend
from relbench.evaluation.knn.neighbours import Search
from relbench.evaluation.knn.points import check_points
from relbench.machine import describe_machine, free_memory

QUERIES, ROUNDS, TRIES = 2048, 3, 3
AMPLE = 10**12
"""Bytes of memory, where shards are not to depend on them."""

FILE_BYTES, SENT_BYTES = 1 << 28, 1 << 24
ONE_IN = 10  # queries of which another shard finds a nearer item


def measure_host(dim: int, count: int = MOST_ITEMS, queries: int = QUERIES, rounds: int = ROUNDS) -> Host:
    """Rates of one core of this machine, or of its GPU, in evaluations of a dimension.

    Products are those of the evaluation, in its own precision. What an evaluation of a single query takes is the
    preparation, what one of many takes beyond that and its products is the selection. On the CPU, by processor time of
    one thread, which a busy machine does not lengthen.

    Args:
        dim: columns.
        count: rows of the shard.
        queries: among them.
        rounds: timings, of which the shortest counts: what else a machine does can only lengthen it.
    """
    rows, labels = clustered(count, dim, np.random.default_rng(0))
    search = Search(check_points(rows, _first(queries, count), None), choose_backend("auto", rows))
    device, shard = search.backend[1], Sharding(AMPLE, items=count)
    evaluated = partial(sharded_query_results, rows, labels, KS, sharding=shard)
    forms: dict[str, Callable[[], object]] = {
        "products": partial(_multiply, search, queries),
        "single": partial(evaluated, query=_first(1, count)),
        "many": partial(evaluated, query=_first(queries, count)),
        "merging": _merging(),
        "sending": _sent,
    }
    _multiply(search, 1)  # centres and rounds the rows, once
    times = _times(forms, rounds, device.type)
    storage, cached = file_rates()
    return Host(
        name=describe_machine(device).device,
        cores=usable_cores(),
        on_gpu=device.type == "cuda",
        products=2 * count * queries * dim / times["products"],
        selection=_selection(times) / (count * queries),
        preparation=times["single"] / (count * dim),
        merging=times["merging"] / MOST_QUERIES,
        sending=SENT_BYTES / times["sending"],
        memory=float(free_memory(device)),
        storage=storage,
        cached=cached,
    )


def _times(forms: Mapping[str, Callable[[], object]], rounds: int, device: str) -> dict[str, float]:
    """The shortest times; measured again where a busy machine has lengthened one so that they contradict each other.

    Raises:
        ValueError: they do so time and again.
    """
    for _ in range(TRIES):
        times = {name: min(taken) for name, taken in timed(forms, rounds, device, warm=0).items()}
        if _selection(times) > 0:
            return times
    raise ValueError("this machine is too busy to be measured: nothing is left of the time for selection; try again")


def _selection(times: Mapping[str, float]) -> float:
    """Seconds of an evaluation beyond its preparation and its products."""
    return times["many"] - times["single"] - times["products"]


def _first(queries: int, count: int) -> NDArray[np.bool_]:
    """(count,) which rows are queries."""
    return np.arange(count) < queries


def _multiply(search: Search, queries: int) -> None:
    for _ in search.map_blocks(_nothing, np.arange(queries), search.types[0]):
        pass


def _nothing(_: Block) -> None:
    """What is done with distances where their products alone are timed."""


def _merging() -> Callable[[], None]:
    """Takes in what another shard has found of a chunk of queries: a nearer item for one in ten."""
    merged = Merged(np.full(MOST_QUERIES, POSITIVES))
    merged.add(_found(np.full(MOST_QUERIES, POSITIVES)))
    return partial(merged.add, _found((np.arange(MOST_QUERIES) % ONE_IN == 0).astype(np.int64)))


def _found(count: NDArray[np.int64]) -> Answer:
    places = np.arange(count.sum())
    return Answer(count, Items(np.linspace(1.0, 0.0, len(places)), places), np.zeros(len(count), np.int64))


def _sent() -> None:
    """Pack and unpack what processes send each other."""
    pickle.loads(pickle.dumps(np.zeros(SENT_BYTES, np.uint8), protocol=5))  # noqa: S301 - packed right here


def file_rates(size: int = FILE_BYTES) -> tuple[float | None, float]:
    """Bytes a second from a file in the folder for temporary files: from storage, and from the system's memory.

    Args:
        size: bytes of the file.

    Returns:
        None in place of the first where a system does not let go of a file that it has in memory.
    """
    with tempfile.TemporaryDirectory(prefix="relbench-plan-") as folder:
        file = Path(folder) / "rows.npy"
        np.save(file, np.ones(size // 4, np.float32))
        storage = size / _read_seconds(file) if _forgotten(file) else None
        return storage, size / _read_seconds(file)


def _forgotten(file: Path) -> bool:
    if not hasattr(os, "posix_fadvise"):
        return False
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _read_seconds(file: Path) -> float:
    """On the wall: of the time that a disk takes, a processor knows nothing."""
    start = time.perf_counter()
    file.read_bytes()
    return time.perf_counter() - start
