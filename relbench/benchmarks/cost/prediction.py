"""Benchmark of the cost model: what it predicts for this machine beside what an evaluation takes.

On one thread, by processor time, from memory: so that the figures hold on a busy machine, and no disk is asked.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from relbench.benchmarks.cost.hardware import Host, this_machine
from relbench.benchmarks.cost.measured import AMPLE, measure_host
from relbench.benchmarks.cost.model import cost
from relbench.benchmarks.cost.workload import Workload
from relbench.benchmarks.evaluation import KS, Rows, clustered
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import now, ratio, timed
from relbench.evaluation import Sharding, sharded_query_results
from relbench.evaluation.gallery.plan import MOST_ITEMS
from relbench.evaluation.knn.approximate import choose_backend
from relbench.settings import changed
from relbench.training.computing import on_threads

SIZES = (
    Workload(gallery=400_000, queries=6_000, dim=128),
    Workload(gallery=100_000, queries=10_000, dim=512),
)
"""Evaluations of several times as many distances as rates are measured with."""

OFF = 1.5
"""Largest ratio of the longer of both times to the shorter."""

LARGE = Workload(gallery=1_000_000, queries=1024, dim=128)
"""Evaluated in shards of two sizes."""


def figures(
    sizes: tuple[Workload, ...] = SIZES, large: Workload = LARGE, rows: int = MOST_ITEMS, rounds: int = 3
) -> Iterator[Figure]:
    """Rates of this machine, predictions that rest on them, and what the size of shards matters.

    Args:
        sizes: of the evaluations that are predicted.
        large: is evaluated in one shard, and in several.
        rows: of each of these.
        rounds: timings of both.
    """
    for workload in sizes:
        host = changed(measure_host(workload.dim), {"storage": None, "cores": 1, "memory": float(AMPLE)})
        yield from _rates(host, workload.dim)
        yield from _beside(host, workload)
    yield _of_shards(large, rows, rounds)


def _of_shards(workload: Workload, rows: int, rounds: int) -> Figure:
    embeddings, labels, query = drawn(workload)

    def in_shards(items: int) -> object:
        sharding = Sharding(AMPLE, items=items)
        return sharded_query_results(embeddings, labels, KS, sharding=sharding, query=query)

    forms = {"one": partial(in_shards, workload.gallery), "several": partial(in_shards, rows)}
    times = timed(forms, rounds, warm=0)
    said = f"{workload.queries:,} queries in {workload.gallery:,} x {workload.dim}"
    return ratio(f"{said}: one shard, times shards of {rows:,} rows", times["one"], times["several"])


def _rates(host: Host, dim: int) -> Iterator[Figure]:
    said = f"evaluation in {dim} dimensions"
    yield Figure(name=f"{said}: products", value=host.products / 1e9, unit="GFLOPS")
    yield Figure(name=f"{said}: selection of a distance", value=1e9 * host.selection, unit="ns")


def _beside(host: Host, workload: Workload) -> Iterator[Figure]:
    said = f"{workload.queries:,} queries in {workload.gallery:,} x {workload.dim}"
    predicted, taken = cost(workload, this_machine(host), host).total, evaluation_seconds(workload)
    yield Figure(name=f"{said}: predicted processor time", value=predicted, unit="s")
    yield Figure(name=f"{said}: processor time", value=taken, unit="s")
    yield Figure(
        name=f"{said}: the longer of both times the shorter",
        value=max(predicted, taken) / min(predicted, taken),
        target=OFF,
        why="what is predicted by `relbench bench evaluation --plan` for sizes that can be run",
    )


def evaluation_seconds(workload: Workload) -> float:
    """Processor time of an evaluation whose first rows are its queries."""
    rows, labels, query = drawn(workload)
    device = choose_backend("auto", rows)[1].type
    with on_threads(1):
        start = now(device)
        sharded_query_results(rows, labels, KS, sharding=Sharding(AMPLE), query=query)
        return now(device) - start


def drawn(workload: Workload) -> tuple[Rows, NDArray[np.int64], NDArray[np.bool_]]:
    """Embeddings, their labels, and which of them are queries: the first."""
    rows, labels = clustered(workload.gallery, workload.dim, np.random.default_rng(1))
    return rows, labels, np.arange(workload.gallery) < workload.queries
