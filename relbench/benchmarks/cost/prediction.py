"""Benchmark of the cost model: what it predicts for this machine beside what an evaluation takes.

On one thread, by processor time, from memory: so that the figures hold on a busy machine, and no disk is asked.
"""

from collections.abc import Iterator

import numpy as np

from relbench.benchmarks.cost.hardware import Host, this_machine
from relbench.benchmarks.cost.measured import measure_host
from relbench.benchmarks.cost.model import cost
from relbench.benchmarks.cost.workload import Workload
from relbench.benchmarks.evaluation import KS, clustered
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import now
from relbench.evaluation import query_results
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


def figures(sizes: tuple[Workload, ...] = SIZES) -> Iterator[Figure]:
    """Rates of this machine, and predictions that rest on them.

    Args:
        sizes: of the evaluations.
    """
    for workload in sizes:
        host = changed(measure_host(workload.dim), {"storage": None, "cores": 1})
        yield from _rates(host, workload.dim)
        yield from _beside(host, workload)


def _rates(host: Host, dim: int) -> Iterator[Figure]:
    said = f"evaluation in {dim} dimensions"
    yield Figure(name=f"{said}: products", value=host.products / 1e9, unit="GFLOPS")
    yield Figure(name=f"{said}: selection of a distance", value=1e9 * host.selection, unit="ns")


def _beside(host: Host, workload: Workload) -> Iterator[Figure]:
    said = f"{workload.queries:,} queries in {workload.gallery:,} x {workload.dim}"
    predicted, taken = cost(workload, this_machine(host)).total, evaluation_seconds(workload)
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
    rows, labels = clustered(workload.gallery, workload.dim, np.random.default_rng(1))
    query = np.arange(workload.gallery) < workload.queries
    device = choose_backend("auto", rows)[1].type
    with on_threads(1):
        start = now(device)
        query_results(rows, labels, KS, query=query)
        return now(device) - start
