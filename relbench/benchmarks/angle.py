"""Benchmark of the angle loss against the plain form, which holds all differences of rows and all angles at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor
from torch.nn.functional import normalize, smooth_l1_loss

from relbench.losses import rkd_angle

AngleLoss = Callable[[Tensor, Tensor], Tensor]

SIZES = ((128, 512), (128, 128), (128, 32))
TARGETS = {(128, 512): 40.0, (128, 128): 10.0, (128, 32): 3.0}
"""By (batch, dim): required speed-up of the angle loss over the plain form, on two cores."""

MEMORY_TARGET = 10**9
"""Bytes beyond the inputs that the angle loss may take for 1024 rows of 512."""


@dataclass(frozen=True)
class AngleSpeed:
    """Time of the angle loss for a size, forward and backward, float32.

    Attributes:
        batch: rows of student and of teacher.
        dim: columns of each.
        naive_seconds: median time of the plain form.
        ours_seconds: median time of `rkd_angle`.
        target: required speed-up of `rkd_angle`; None: no target for this size.
    """

    batch: int
    dim: int
    naive_seconds: float
    ours_seconds: float
    target: float | None

    @property
    def ratio(self) -> float:
        """Speed-up of `rkd_angle`."""
        return self.naive_seconds / self.ours_seconds


def naive_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """RKD-A in the plain form: differences broadcast, scaled to unit length, and multiplied as batched matrices.

    Args:
        student: ``(batch, student_dim)``. Gets the gradient.
        teacher: ``(batch, teacher_dim)``. A constant.

    Returns:
        Scalar; equal to `rkd_angle` where all rows differ.

    Source:
        arXiv:1904.05068, equations 8 and 9. Memory: several times ``batch^2 dim`` and ``batch^3``.
    """
    with torch.no_grad():
        target = _all_cosines(teacher)
    return smooth_l1_loss(_all_cosines(student), target)


def _all_cosines(rows: Tensor) -> Tensor:
    directions = normalize(rows[None, :, :] - rows[:, None, :], dim=2)
    return torch.bmm(directions, directions.transpose(1, 2))


def measure(sizes: Sequence[tuple[int, int]] = SIZES, repeats: int = 15, threads: int = 2) -> list[AngleSpeed]:
    """Times of both forms, measured in turns, so that other load on the machine affects both.

    Args:
        sizes: pairs of batch and dim.
        repeats: number of timings of each form, each after an untimed call; the median counts.
        threads: of torch meanwhile.
    """
    with _threads(threads):
        return [_measure_size(batch, dim, repeats) for batch, dim in sizes]


def peak_memory(batch: int = 1024, dim: int = 512) -> int:
    """Peak of `rkd_angle`, forward and backward, in bytes beyond its inputs and torch itself.

    Measured in a separate process, as Linux reports it.

    Raises:
        FileNotFoundError: not on Linux.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak_of_this_process, batch, dim).result()


def _measure_size(batch: int, dim: int, repeats: int) -> AngleSpeed:
    student, teacher = _inputs(batch, dim)
    forms: tuple[AngleLoss, ...] = (naive_angle, rkd_angle)
    rounds = [[_warm_seconds(form, student, teacher) for form in forms] for _ in range(repeats)]
    naive, ours = (median(times) for times in zip(*rounds, strict=True))
    return AngleSpeed(batch, dim, naive, ours, TARGETS.get((batch, dim)))


def _inputs(batch: int, dim: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(batch, dim, generator=generator).requires_grad_()
    return student, torch.randn(batch, dim, generator=generator)


def _warm_seconds(form: AngleLoss, student: Tensor, teacher: Tensor) -> float:
    """Time of the second of two calls: the plain form's arrays evict everything else from the processor's caches."""
    _seconds(form, student, teacher)
    return _seconds(form, student, teacher)


def _seconds(form: AngleLoss, student: Tensor, teacher: Tensor) -> float:
    start = perf_counter()
    torch.autograd.grad(form(student, teacher), student)
    return perf_counter() - start


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _peak_of_this_process(batch: int, dim: int) -> int:
    _seconds(rkd_angle, *_inputs(8, dim))  # loads the libraries
    student, teacher = _inputs(batch, dim)
    before = _resident_bytes("VmRSS")
    _seconds(rkd_angle, student, teacher)
    return _resident_bytes("VmHWM") - before


def _resident_bytes(field: str) -> int:
    """Memory of the process: VmRSS, current; VmHWM, at its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kibibytes) * 1024
