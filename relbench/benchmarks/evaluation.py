"""Benchmark of the exact evaluation against the plain chunked matrix product that every evaluation needs.

The plain product is written into the same memory again and again, in full float32 precision, by the faster of numpy and
torch: nothing is allocated, and nothing is done with the results. The evaluation stops for it after every few thousand
queries, so that both meet the same load of the machine. All on one thread, by processor time.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray

from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import now, quartiles
from relbench.evaluation import retrieval_metrics
from relbench.evaluation.knn.approximate import Backend, fast_factors
from relbench.machine import peak_memory
from relbench.processes import die_with_parent
from relbench.training.computing import on_threads

Rows = NDArray[np.float32]
Product = Callable[[Rows], object]

KS = (1, 10, 100, 1000)
SIZES = ((60_502, 512), (12_888, 32), (1_600, 32))
"""Rows and columns: the test images of Stanford Online Products; fewer; and those of the quick start."""

TIME_TARGETS = {"bfloat16": 1.0, "float32": 1.3, None: 1.3}
"""Largest ratio of the evaluation's time to the plain product's for the first size, by `fast_factors`."""

MEGA = 1_000_000
MEMORY_TARGET = 1200
"""Largest peak of the whole process in MB for the first size."""

_QUERIES_AT_ONCE = 512
_TURNS = 12
_LARGEST_CLASS = 12
_NOISE = 2.0  # relative to the classes' spread: keeps Recall@1 away from 0 and 1


@dataclass
class Turns:
    """Processor time of an evaluation, and of as many plain products, which take turns.

    Attributes:
        plain: the product of some rows with all.
        rows: of the embeddings.
        each: queries from one plain product to the next.
        ours: seconds of the evaluation, by turn.
        theirs: seconds of the product, by turn.
    """

    plain: Product
    rows: Rows
    each: int
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    _done: int = 0
    _compared: int = 0
    _start: float = field(default_factory=now)

    def __call__(self, queries: int) -> None:
        """Count queries of the evaluation; where there are enough of them, let the product have its turn."""
        self._done += queries
        if self._done - self._compared >= self.each or self._done == len(self.rows):
            stop = now()
            self.ours.append(stop - self._start)
            for start in range(self._compared, self._done, _QUERIES_AT_ONCE):
                self.plain(self.rows[start : min(start + _QUERIES_AT_ONCE, self._done)])
            self._compared, self._start = self._done, now()
            self.theirs.append(self._start - stop)


@dataclass(frozen=True)
class EvaluationSpeed:
    """Time and memory of an evaluation.

    Attributes:
        count: rows.
        dim: columns.
        plain_seconds: time of the plain product, by turn.
        ours_seconds: time of `retrieval_metrics`, Recall@K, R-precision and MAP@R, by turn; the first turn has what is
            done once.
        peak_bytes: peak of the process until the evaluation ended, libraries and embeddings included, without the plain
            product's results.
        metrics: results, which show that the data are neither trivial nor hopeless.
    """

    count: int
    dim: int
    plain_seconds: tuple[float, ...]
    ours_seconds: tuple[float, ...]
    peak_bytes: int
    metrics: dict[str, float]

    @property
    def ratio(self) -> float:
        """Ratio of the evaluation's time to the plain product's, in all."""
        return sum(self.ours_seconds) / sum(self.plain_seconds)

    @property
    def spread(self) -> tuple[float, float] | None:
        """Quartiles of the turns' ratios."""
        turns = zip(self.ours_seconds, self.plain_seconds, strict=True)
        return quartiles([ours / plain for ours, plain in turns])


def figures() -> Iterator[Figure]:
    """Time of all metrics beside the plain product's, and memory."""
    for count, dim in SIZES:
        speed = measure(count, dim, generator=np.random.default_rng(0))
        name, first = f"all metrics of {count:,} x {dim}", (count, dim) == SIZES[0]
        yield Figure(
            name=f"{name}: times the plain product",
            value=speed.ratio,
            spread=speed.spread,
            target=TIME_TARGETS[fast_factors()] if first else None,
            why=f"in all turns; fast products have factors of {fast_factors() or 'no other type'} here"
            if first
            else "",
        )
        yield Figure(name=f"{name}: processor time", value=sum(speed.ours_seconds), unit="s")
        if first:
            peak = speed.peak_bytes / MEGA
            yield Figure(name=f"{name}: peak of the process", value=peak, unit="MB", target=MEMORY_TARGET)


def measure(count: int, dim: int, *, generator: np.random.Generator, backend: Backend = "auto") -> EvaluationSpeed:
    """Times of both in a separate process, which sees no GPU: the target is for CPUs.

    Args:
        count: rows, at least 1,001 for Recall@1000.
        dim: columns.
        generator: draws the seed of the embeddings.
        backend: of `retrieval_metrics`.

    Raises:
        ValueError: too few rows.
    """
    if count <= max(KS):
        raise ValueError(f"count = {count} rows can't give Recall@{max(KS)}: use {max(KS) + 1} or more")
    seed = int(generator.integers(2**63))
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"), initializer=die_with_parent) as pool:
        return pool.submit(_measure_here, count, dim, seed, backend).result()


def clustered(count: int, dim: int, generator: np.random.Generator) -> tuple[Rows, NDArray[np.int64]]:
    """Unit-length embeddings of classes of 2 to 12 items, in random order, and their labels."""
    labels = np.repeat(np.arange(count), generator.integers(2, _LARGEST_CLASS + 1, count))[:count]
    labels = generator.permutation(labels)
    centres = generator.standard_normal((int(labels.max()) + 1, dim), dtype=np.float32)
    rows = generator.standard_normal((count, dim), dtype=np.float32)
    rows *= _NOISE
    rows += centres[labels]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, labels


def _measure_here(count: int, dim: int, seed: int, backend: Backend) -> EvaluationSpeed:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with on_threads(1):
        rows, labels = clustered(count, dim, np.random.default_rng(seed))
        retrieval_metrics(rows[:100], np.arange(100) % 10, (1,), backend=backend)  # loads the libraries
        out = np.zeros((_QUERIES_AT_ONCE, count), np.float32)
        turns = Turns(faster_product(rows, out), rows, max(1, count // _TURNS))
        metrics = retrieval_metrics(rows, labels, KS, backend=backend, progress=turns)
    peak = peak_memory(torch.device("cpu")) - out.nbytes
    return EvaluationSpeed(count, dim, tuple(turns.theirs), tuple(turns.ours), peak, metrics)


def faster_product(rows: Rows, out: Rows) -> Product:
    """The product of some rows with all, by the faster of numpy and torch.

    Args:
        rows: (count, dim).
        out: (rows at once, count), where all results are written.
    """
    transposed, results = torch.from_numpy(rows).T, torch.from_numpy(out)

    def by_numpy(part: Rows) -> None:
        np.matmul(part, rows.T, out=out[: len(part)])

    def by_torch(part: Rows) -> None:
        torch.mm(torch.from_numpy(part), transposed, out=results[: len(part)])

    return min((by_numpy, by_torch), key=lambda product: _seconds(product, rows[: len(out)]))


def _seconds(product: Product, part: Rows) -> float:
    """Time of the second of two calls."""
    product(part)
    start = now()
    product(part)
    return now() - start
