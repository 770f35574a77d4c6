"""The angle loss of two distance matrices, and the kernel that computes it on a device.

On the CPU that is numba's (the extra `fast`) where it is installed, on CUDA Triton's (which comes with torch there),
else the eager one, in plain torch operations. They differ in speed, and in rounding.
"""

import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from relbench.losses import angle_eager

Kernel = Callable[[Tensor, Tensor, slice | None], tuple[Tensor, Tensor]]
"""From the student's and the teacher's distances, and a part of the rows, None for all: the loss, and its gradient with
respect to the student's. The angles of a row are those at it, or those with a side from it, as suits the kernel; the
losses and the gradients of disjoint parts that are all rows add up to those of all angles."""

_PACKAGES = {"cpu": "numba", "cuda": "triton"}
"""By type of device: the package whose kernel is faster than the eager one."""

_UNUSABLE: set[str] = set()
"""Packages that are installed, but failed to compile in this process."""


class DeviceKernel(NamedTuple):
    """The kernel that computes on a type of device.

    Attributes:
        package: that it is compiled by; None: eager.
        loss_and_gradient: the kernel.
    """

    package: str | None
    loss_and_gradient: Kernel


EAGER = DeviceKernel(package=None, loss_and_gradient=angle_eager.loss_and_gradient)


def angle_loss(student: Tensor, teacher: Tensor, kernel: Kernel, part: slice | None = None) -> Tensor:
    """The angle loss (`rkd_angle`) of distance matrices.

    Args:
        student: distances ``(count, count)``, symmetric. Gets the gradient, which is a constant to autograd.
        teacher: likewise, of the same type and device. Gets no gradient.
        kernel: what computes it.
        part: of the rows: a summand of the loss, from their angles; None: all of it.

    Returns:
        Scalar of the same type.
    """
    return cast("Tensor", _AngleLoss.apply(student, teacher, kernel, part))


class _AngleLoss(torch.autograd.Function):
    """RKD-A as a function of two distance matrices; `pairwise_distances` refuses a second derivative."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, kernel: Kernel, part: slice | None) -> Tensor:
        loss, gradient = kernel(student, teacher, part)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return grad_loss * gradient, None, None, None


@cache
def kernel_on(device: str) -> DeviceKernel:
    """The kernel for a type of device ("cpu", "cuda"), tried on three rows before its first use.

    Where a package is installed that can't compile the kernel, a warning says so, and the eager kernel computes.
    """
    package = kernel_package(device)
    if package is None:
        return EAGER
    try:
        return DeviceKernel(package, _tried(package, device))
    except Exception as error:  # noqa: BLE001 - a compiler fails in many ways, for want of a linker or a driver
        _UNUSABLE.add(package)
        warnings.warn(
            f"rkd_angle: {package} is installed, but can't compile here ({type(error).__name__}: {error}). Plain torch "
            f"operations compute the same, more slowly. Repair or uninstall {package} to be rid of this warning",
            RuntimeWarning,
            stacklevel=2,
        )
        return EAGER


def kernel_package(device: str) -> str | None:
    """The package whose kernel computes on a type of device, without importing it; None: the eager kernel does.

    That a package is installed but unusable is known once an angle loss has been computed.
    """
    package = _PACKAGES.get(device)
    return package if package not in _UNUSABLE and package and find_spec(package) else None


def _tried(package: str, device: str) -> Kernel:
    kernel: Kernel = import_module(f"relbench.losses.angle_{package}").loss_and_gradient
    distances = 1 - torch.eye(3, device=device)
    kernel(distances, distances, None)[0].item()
    return kernel
