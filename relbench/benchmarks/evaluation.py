"""Benchmark of the exact evaluation against the plain chunked matrix product that every evaluation needs."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from relbench.benchmarks.figure import Figure
from relbench.evaluation import retrieval_metrics
from relbench.evaluation.knn.approximate import Backend

Matrix = NDArray[np.float32] | torch.Tensor

KS = (1, 10, 100, 1000)
TIME_TARGET = 1.2
"""Largest ratio of the evaluation's time to the plain product's, on one thread."""

MEGA = 1_000_000
MEMORY_TARGET = 2_500_000_000
"""Largest peak of the whole process in bytes, for the 60,502 x 512 of Stanford Online Products."""

_CHUNK = 1024
_LARGEST_CLASS = 12
_NOISE = 2.0  # relative to the classes' spread: keeps Recall@1 away from 0 and 1


@dataclass(frozen=True)
class EvaluationSpeed:
    """Time and memory of an evaluation.

    Attributes:
        count: rows.
        dim: columns.
        plain_seconds: time of the plain product, by the faster of numpy and torch.
        ours_seconds: time of `retrieval_metrics`, Recall@1, 10, 100, 1000, R-precision and MAP@R.
        peak_bytes: peak of the process until the evaluation ended, libraries and embeddings included.
        metrics: results, which show that the data are neither trivial nor hopeless.
    """

    count: int
    dim: int
    plain_seconds: float
    ours_seconds: float
    peak_bytes: int
    metrics: dict[str, float]

    @property
    def ratio(self) -> float:
        """Ratio of the evaluation's time to the plain product's."""
        return self.ours_seconds / self.plain_seconds


def figures() -> Iterator[Figure]:
    """Time of all metrics beside the plain product's, and memory."""
    speed = measure(generator=np.random.default_rng(0), threads=1)
    name = f"Recall@1,10,100,1000, R-precision and MAP@R of {speed.count:,} x {speed.dim}"
    yield Figure(name=f"{name}: times the plain product", value=speed.ratio, target=TIME_TARGET)
    yield Figure(name=f"{name}: time", value=speed.ours_seconds, unit="s")
    peak, largest = speed.peak_bytes / MEGA, MEMORY_TARGET / MEGA
    yield Figure(name=f"{name}: peak of the process", value=peak, unit="MB", target=largest)


def measure(
    count: int = 60_502,
    dim: int = 512,
    *,
    generator: np.random.Generator,
    backend: Backend = "auto",
    threads: int = 1,
) -> EvaluationSpeed:
    """Times of both in a separate process; half of the plain product runs before ours and half after.

    The process sees no GPU: the target is for CPUs.

    Args:
        count: rows, at least 1,001 for Recall@1000.
        dim: columns.
        generator: draws the seed of the embeddings.
        backend: of `retrieval_metrics`.
        threads: for torch, numpy and faiss; more than one: the time of all is summed.

    Raises:
        ValueError: too few rows.
        FileNotFoundError: not on Linux.
    """
    if count <= max(KS):
        raise ValueError(f"count = {count} rows can't give Recall@{max(KS)}: use {max(KS) + 1} or more")
    seed = int(generator.integers(2**63))
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure_here, count, dim, seed, backend, threads).result()


def clustered(count: int, dim: int, generator: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit-length embeddings of classes of 2 to 12 items, in random order, and their labels."""
    labels = np.repeat(np.arange(count), generator.integers(2, _LARGEST_CLASS + 1, count))[:count]
    labels = generator.permutation(labels)
    centres = generator.standard_normal((int(labels.max()) + 1, dim), dtype=np.float32)
    rows = generator.standard_normal((count, dim), dtype=np.float32)
    rows *= _NOISE
    rows += centres[labels]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, labels


def _measure_here(count: int, dim: int, seed: int, backend: Backend, threads: int) -> EvaluationSpeed:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    rows, labels = clustered(count, dim, np.random.default_rng(seed))
    retrieval_metrics(rows[:100], np.arange(100) % 10, (1,), backend=backend)  # loads the libraries
    choices: tuple[Matrix, ...] = (rows, torch.from_numpy(rows))
    matrix = min(choices, key=lambda choice: _product_seconds(choice, 0, _CHUNK))
    plain = _product_seconds(matrix, 0, count // 2)
    start = process_time()
    metrics = retrieval_metrics(rows, labels, KS, backend=backend)
    ours = process_time() - start
    peak = _peak_bytes()
    plain += _product_seconds(matrix, count // 2, count)
    return EvaluationSpeed(count, dim, plain, ours, peak, metrics)


def _product_seconds(matrix: Matrix, start: int, stop: int) -> float:
    """Time of the products of some rows with all rows, which are discarded at once."""
    before = process_time()
    for first in range(start, stop, _CHUNK):
        matrix[first : min(first + _CHUNK, stop)] @ matrix.T
    return process_time() - before


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
