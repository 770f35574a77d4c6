"""Benchmark of retrieval with the gallery in shards, read from a file part by part, against the same in one piece.

Each has a process of its own, so that neither counts the other's memory; they take turns, on one thread each.
"""

import gc
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from relbench.benchmarks.evaluation import clustered
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import now, ratio
from relbench.evaluation import Sharding, means, query_results, retrieval_metrics, sharded_query_results
from relbench.evaluation.gallery.plan import FIXED
from relbench.machine import forget_peak_memory, peak_memory
from relbench.processes import die_with_parent
from relbench.training.computing import on_threads

KS = (1, 2, 4, 8)
SIZE = (200_000, 128, 1_000)
"""Rows, columns and queries."""

MEMORY = 200_000_000
"""Bytes for shards and answers: an eighth of what one piece could need for embeddings of that size."""

TIME_TARGET = 1.3
"""Largest ratio of the time in shards to that in one piece."""

MEMORY_TARGET = 0.6
"""Largest ratio of the memory that the process needs more than before."""

MEGA = 1_000_000
_ROUNDS = 3


@dataclass(frozen=True)
class Spent:
    """What a retrieval has taken.

    Attributes:
        seconds: of processor time, on one thread.
        bytes: at its peak, more than the process had before.
        metrics: results.
    """

    seconds: float
    bytes: int
    metrics: dict[str, float]


def figures() -> Iterator[Figure]:
    """Time and memory in shards beside those in one piece."""
    count, dim, queries = SIZE
    whole, shards = measure(count, dim, queries, MEMORY)
    name = f"retrieval of {queries:,} among {count:,} x {dim} in shards"
    yield ratio(
        f"{name}: times in one piece",
        [each.seconds for each in shards],
        [each.seconds for each in whole],
        target=TIME_TARGET,
    )
    peaks = [max(each.bytes for each in rounds) for rounds in (shards, whole)]
    yield Figure(
        name=f"{name}: memory beside that in one piece",
        value=peaks[0] / peaks[1],
        target=MEMORY_TARGET,
        why=f"{peaks[0] / MEGA:,.0f} and {peaks[1] / MEGA:,.0f} MB more than the process had before",
    )


def measure(count: int, dim: int, queries: int, memory: int, rounds: int = _ROUNDS) -> tuple[list[Spent], list[Spent]]:
    """What retrieval takes in one piece, and in shards; both have the same results.

    Args:
        count: rows, all of which are the gallery.
        dim: columns.
        queries: how many of them are queries.
        memory: bytes for shards and answers, beside what every search needs.
        rounds: of each.

    Raises:
        ValueError: the results differ.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        rows, labels = clustered(count, dim, np.random.default_rng(0))
        np.save(Path(folder, "rows.npy"), rows)
        pools = [stack.enter_context(_process()) for _ in range(2)]
        given = [(Path(folder, "rows.npy"), labels, queries, each) for each in (None, memory)]
        taken = [
            [pool.submit(_spend, *each).result() for pool, each in zip(pools, given, strict=True)]
            for _ in range(rounds)
        ]
    whole, shards = ([each[place] for each in taken] for place in range(2))
    if any(each.metrics != whole[0].metrics for each in (*whole, *shards)):
        raise ValueError(f"results differ: {whole[0].metrics} in one piece, {shards[0].metrics} in shards")
    return whole, shards


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """End with the parent, see no GPU, and load the libraries."""
    die_with_parent()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    retrieval_metrics(np.eye(20), np.arange(20) % 2, (1,))


def _spend(path: Path, labels: NDArray[np.int64], queries: int, memory: int | None) -> Spent:
    """Retrieve in shards; memory of None: in one piece."""
    chosen = np.arange(len(labels)) % max(1, len(labels) // queries) == 0
    gc.collect()
    forget_peak_memory(torch.device("cpu"))
    before, start = psutil.Process().memory_info().rss, now()
    with on_threads(1):
        if memory is None:
            found = query_results(np.array(np.lib.format.open_memmap(path, mode="r")), labels, KS, query=chosen)
        else:
            found = sharded_query_results(path, labels, KS, sharding=Sharding(before + FIXED + memory), query=chosen)
    return Spent(now() - start, peak_memory(torch.device("cpu")) - before, means(found, KS))
