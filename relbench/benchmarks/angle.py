"""Benchmark of the angle loss against the plain form, which holds all differences of rows and all angles at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize, smooth_l1_loss

from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import ratio, timed
from relbench.geometry import pairwise_distances, safe_scale
from relbench.losses import rkd_angle
from relbench.losses.angle import EAGER, DeviceKernel, angle_loss, kernel_on

AngleLoss = Callable[[Tensor, Tensor], Tensor]

SIZES = ((128, 512), (128, 128), (128, 32))
TARGETS = {
    "numba": {(128, 512): 100.0, (128, 128): 30.0, (128, 32): 10.0},
    None: {(128, 512): 33.0, (128, 128): 8.0, (128, 32): 2.8},
}
"""By the package that compiles the kernel and (batch, dim): required speed-up over the plain form, on one thread."""

WARM = 3
"""Untimed calls before each timing: the plain form's arrays have evicted all code from the processor's caches."""

MEGA = 1_000_000
MEMORY_TARGET = 10**9
"""Bytes beyond the inputs that the angle loss may take for 1024 rows of 512."""


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


def figures(sizes: Sequence[tuple[int, int]] = SIZES, rounds: int = 15) -> Iterator[Figure]:
    """Speed-ups of `rkd_angle` over the plain form, forward and backward, float32, by each kernel here; its memory.

    Args:
        sizes: pairs of batch and dim.
        rounds: timings of each form and size.
    """
    kernels = dict.fromkeys((kernel_on("cpu"), EAGER))
    for batch, dim in sizes:
        inputs = _inputs(batch, dim)
        forms = {kernel: partial(_gradient, partial(_angle_by, kernel), *inputs) for kernel in kernels}
        times = timed(
            {"plain": partial(_gradient, naive_angle, *inputs)} | {_name(k): forms[k] for k in forms}, rounds, warm=WARM
        )
        for kernel in kernels:
            yield ratio(
                f"rkd_angle by {_name(kernel)}, with gradient, {batch} x {dim}: times as fast as broadcast and bmm",
                times["plain"],
                times[_name(kernel)],
                target=TARGETS.get(kernel.package, {}).get((batch, dim)),
                bound="at least",
            )
    yield Figure(
        name="rkd_angle, 1,024 x 512: memory above the inputs",
        value=peak_memory() / MEGA,
        unit="MB",
        target=MEMORY_TARGET / MEGA,
    )


def _name(kernel: DeviceKernel) -> str:
    return kernel.package or "plain torch"


def _angle_by(kernel: DeviceKernel, student: Tensor, teacher: Tensor) -> Tensor:
    """`rkd_angle` by a certain kernel."""
    distances, target = (pairwise_distances(rows * safe_scale(rows)) for rows in (student, teacher))
    return angle_loss(distances, target, kernel.loss_and_gradient)


def peak_memory(batch: int = 1024, dim: int = 512) -> int:
    """Peak of `rkd_angle`, forward and backward, in bytes beyond its inputs and torch itself.

    Measured in a separate process, as Linux reports it.

    Raises:
        FileNotFoundError: not on Linux.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak_of_this_process, batch, dim).result()


def _inputs(batch: int, dim: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(batch, dim, generator=generator).requires_grad_()
    return student, torch.randn(batch, dim, generator=generator)


def _gradient(form: AngleLoss, student: Tensor, teacher: Tensor) -> None:
    torch.autograd.grad(form(student, teacher), student)


def _peak_of_this_process(batch: int, dim: int) -> int:
    _gradient(rkd_angle, *_inputs(8, dim))  # loads the libraries
    student, teacher = _inputs(batch, dim)
    before = _resident_bytes("VmRSS")
    _gradient(rkd_angle, student, teacher)
    return _resident_bytes("VmHWM") - before


def _resident_bytes(field: str) -> int:
    """Memory of the process: VmRSS, current; VmHWM, at its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kibibytes) * 1024
