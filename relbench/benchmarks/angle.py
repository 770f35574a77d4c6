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
from relbench.benchmarks.timing import ratio, seconds, timed
from relbench.geometry import pairwise_distances, safe_scale
from relbench.losses import rkd_angle
from relbench.losses.angle import EAGER, DeviceKernel, angle_loss, kernel_on
from relbench.processes import die_with_parent
from relbench.ranks import Ranks

AngleLoss = Callable[[Tensor, Tensor], Tensor]

SIZES = ((128, 512), (128, 128), (128, 32))
TARGETS = {
    "numba": {(128, 512): 100.0, (128, 128): 30.0, (128, 32): 10.0},
    None: {(128, 512): 33.0, (128, 128): 8.0, (128, 32): 2.8},
}
"""By the package that compiles the kernel and (batch, dim): required speed-up over the plain form, on one thread."""

DEPARTURE = 1e-5
"""Of loss and gradient in float32 from those in float64: the most that is allowed."""

WARM = 3
"""Untimed calls before each timing: the plain form's arrays have evicted all code from the processor's caches."""

RANKS = {1: None, 2: 0.6, 4: 0.35}
"""By the number of ranks: the largest share of the time of all angles that one of them may take."""

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
    for batch, dim in sizes:
        yield from speeds("cpu", batch, dim, rounds)
    yield from shares_of_ranks(rounds)
    yield Figure(
        name="rkd_angle, 1,024 x 512: memory above the inputs",
        value=peak_memory() / MEGA,
        unit="MB",
        target=MEMORY_TARGET / MEGA,
    )


def speeds(device: str, batch: int, dim: int, rounds: int = 15) -> Iterator[Figure]:
    """Speed-ups of `rkd_angle` over the plain form, by each kernel that a device has.

    Args:
        device: "cpu" or "cuda".
        batch: rows.
        dim: columns.
        rounds: timings of each form.
    """
    inputs, kernels = _inputs(batch, dim, device), _kernels(device)
    forms = {"plain form": naive_angle} | {name: partial(_angle_by, kernel) for name, kernel in kernels.items()}
    times = timed({name: partial(_gradient, form, *inputs) for name, form in forms.items()}, rounds, device, WARM)
    for name, kernel in kernels.items():
        said = f"rkd_angle by {name}, with gradient, {batch} x {dim}"
        target = TARGETS.get(kernel.package, {}).get((batch, dim)) if device == "cpu" else None
        yield ratio(
            f"{said}: times as fast as broadcast and bmm",
            times["plain form"],
            times[name],
            target=target,
            bound="at least",
        )
        if device != "cpu":
            yield seconds(f"{said}: time", times[name])


def shares_of_ranks(rounds: int = 15, batch: int = 256, dim: int = 128) -> Iterator[Figure]:
    """Shares of the time of all angles that a rank takes for its own, distances and the exchange aside.

    Args:
        rounds: timings of each share.
        batch: rows.
        dim: columns.
    """
    student, teacher = (pairwise_distances(rows.detach()) for rows in _inputs(batch, dim))
    kernel, parts = kernel_on("cpu").loss_and_gradient, {count: Ranks(0, count).share(batch) for count in RANKS}
    times = timed(
        {str(count): partial(kernel, student, teacher, part) for count, part in parts.items()}, rounds, "cpu", WARM
    )
    for count, target in RANKS.items():
        if target:
            said = f"rkd_angle, angles of {batch} rows: time of one of {count} ranks, as a share of all angles'"
            yield ratio(said, times[str(count)], times["1"], target=target)


def departures(device: str, batch: int, dim: int) -> Iterator[Figure]:
    """Relative departures of `rkd_angle` from the plain form in float64, by each kernel that a device has.

    Args:
        device: "cpu" or "cuda".
        batch: rows.
        dim: columns.
    """
    inputs = _inputs(batch, dim, device)
    exact = _value_and_gradient(naive_angle, *(rows.detach().double() for rows in inputs))
    for name, kernel in _kernels(device).items():
        found = _value_and_gradient(partial(_angle_by, kernel), *inputs)
        for what, value, wanted in zip(("loss", "gradient"), found, exact, strict=True):
            off = float((value - wanted).norm() / wanted.norm())
            said = f"rkd_angle by {name}, {batch} x {dim}: departure of the {what} from float64"
            yield Figure(name=said, value=off, unit="", target=DEPARTURE)


def _kernels(device: str) -> dict[str, DeviceKernel]:
    """Those that a device has, by what computes."""
    return {_name(kernel): kernel for kernel in (kernel_on(device), EAGER)}


def _value_and_gradient(form: AngleLoss, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    rows = student.detach().requires_grad_()
    value = form(rows, teacher)
    return value.detach(), torch.autograd.grad(value, rows)[0]


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
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"), initializer=die_with_parent) as pool:
        return pool.submit(_peak_of_this_process, batch, dim).result()


def _inputs(batch: int, dim: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    student, teacher = torch.randn(2, batch, dim, generator=torch.Generator().manual_seed(0)).to(device)
    return student.requires_grad_(), teacher


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
