"""The angle loss in one sweep over all angles, compiled for this processor by numba (the extra `fast`).

Importing this module imports numba: `relbench.losses.angle` does so at the first angle loss on the CPU.
"""

import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial
from typing import Any, cast

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relbench.geometry import no_direction
from relbench.losses import angle_eager

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
"""In float32, so that a sweep in float32 stays there; exact in float64 too."""

_FAST_MATH = {"nnan", "nsz", "reassoc", "contract"}
"""What the compiler may assume or change. Without "nnan" the clamp is not vectorised, without "reassoc" no sum is.
With it a NaN may come out as any number, so `loss_and_gradient` lets none in."""

_ANGLES_PER_THREAD = 2**18
"""Fewer angles than these are swept sooner than a thread is woken."""

_UNUSABLE_CACHE = (OSError, RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError)
"""What numba raises, beside errors of pickle, for want of a folder or of space to write to, and for a damaged file."""

Numbers = NDArray[np.floating[Any]]
Sides = tuple[Numbers, ...]
Compiled = Callable[..., Any]


def loss_and_gradient(student: Tensor, teacher: Tensor, part: slice | None = None) -> tuple[Tensor, Tensor]:
    """The angle loss, by as many threads as torch has, and its gradient; the same bits for any number of threads.

    Distances that are not finite go to the eager kernel, which returns a loss that is not finite for them.

    Args:
        student: distances, ``(count, count)``, symmetric, on the CPU.
        teacher: likewise, of the same type.
        part: of the rows, from which a side of the angles goes; None: all.

    Returns:
        The loss, a scalar, and its gradient with respect to the student's distances, all entries taken as independent.
    """
    if not torch.isfinite(student.sum() + teacher.sum()):  # the sum of finite distances is within the type
        return angle_eager.loss_and_gradient(student, teacher, part)
    prepare, _ = _compiled(student.dtype)
    sides = [
        prepare(matrix.detach().contiguous().numpy(), float(no_direction(matrix))) for matrix in (student, teacher)
    ]
    gradient, losses = torch.zeros_like(student, memory_format=torch.contiguous_format), np.zeros(len(student))
    _sweep_all(sides, losses, gradient.numpy(), part or slice(0, len(student)))
    return torch.tensor(losses.sum() / len(losses) ** 3, dtype=student.dtype), gradient.T


def _sweep_all(sides: list[Sides], losses: Numbers, gradient: Numbers, rows: slice) -> None:
    """Sweep some rows, in equal parts by the threads; the first part by this thread itself."""
    _, sweep = _compiled(torch.float64 if gradient.dtype == np.float64 else torch.float32)
    count = rows.stop - rows.start
    parts = max(1, min(torch.get_num_threads(), count, count * len(losses) ** 2 // _ANGLES_PER_THREAD))
    ends = [rows.start + count * part // parts for part in range(parts + 1)]
    threads = _threads(parts - 1, os.getpid()) if parts > 1 else None
    others = [
        threads.submit(sweep, *sides, losses, gradient, *ends[part : part + 2])
        for part in range(1, parts)
        if threads is not None
    ]
    sweep(*sides, losses, gradient, *ends[:2])
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _threads(count: int, _process: int) -> ThreadPoolExecutor:
    """Threads beside this one. A process that was forked has none of its parent's, and gets its own."""
    return ThreadPoolExecutor(count, thread_name_prefix="angle")


@cache
def _compiled(dtype: torch.dtype) -> tuple[Compiled, Compiled]:
    """`_prepare` and `_sweep` in machine code, for float32 or float64."""
    number = numba.f8 if dtype == torch.float64 else numba.f4
    matrix, index = number[:, ::1], numba.int64
    sides = numba.types.Tuple([matrix] * 4)  # type: ignore[no-untyped-call]
    return (
        _compile(_prepare, sides(matrix, number)),
        _compile(_sweep, numba.void(sides, sides, numba.f8[::1], matrix, index, index)),
    )


def _compile(function: Compiled, signature: Any) -> Compiled:
    """Machine code, kept on disk for other processes.

    It lies beside this file, or in the user's folder of caches where that is read-only. Where it can be kept nowhere,
    each process compiles it anew (two seconds). So it does where the file has code for another type: processes that
    compile for two types at the same time may choose the same name for both files.
    """
    compiler = partial(numba.njit, signature, fastmath=_FAST_MATH, nogil=True)
    try:
        kept: Any = compiler(cache=True)(function)
    except (*_UNUSABLE_CACHE, pickle.PickleError):
        kept = None
    if kept is not None and signature.args in kept.signatures:
        return cast("Compiled", kept)
    return cast("Compiled", compiler()(function))


def _prepare(distances: Numbers, no_direction: float) -> Sides:
    """Distances, and halves, inverses and half squares as in `geometry.Sides`."""
    halves, inverses = np.zeros_like(distances), np.zeros_like(distances)
    half_squares = np.empty_like(distances)
    for i in range(len(distances)):
        for j in range(len(distances)):
            distance = distances[i, j]
            half_squares[i, j] = _HALF * distance * distance
            if distance > no_direction:
                halves[i, j] = _HALF * distance
                inverses[i, j] = _ONE / distance
    return distances, halves, inverses, half_squares


def _sweep(student: Sides, teacher: Sides, losses: Numbers, gradient: Numbers, start: int, stop: int) -> None:
    """Sum over the angles with one side from a row i, for the rows from `start` to `stop`.

    What is summed for a row i goes to its own row of the results, so no two rows write to the same place, and each sum
    has one order, whoever sweeps. The formulas are those of the eager kernel, for a vertex j between i and k.

    Args:
        student: distances, halves, inverses and half squares.
        teacher: likewise.
        losses: written: the sum of Huber's losses for each row.
        gradient: written: of the mean of all losses, at ``[i, j]`` with respect to the distance of i from a vertex j.
        start: the first row.
        stop: the row after the last.
    """
    distances, halves, inverses, half_squares = student
    _, target_halves, target_inverses, target_half_squares = teacher
    count = len(distances)
    opposite, share = np.empty_like(distances[0]), distances.dtype.type(1 / count**3)
    for i in range(start, stop):
        total = np.float64(0)
        opposite[:] = _ZERO
        for j in range(count):
            half, inverse = halves[i, j], inverses[i, j]
            target_half, target_inverse = target_halves[i, j], target_inverses[i, j]
            loss = pulled = weights = _ZERO
            for k in range(count):
                cosine = half * inverses[j, k] + inverse * (halves[j, k] - half_squares[i, k] * inverses[j, k])
                target = target_half * target_inverses[j, k]
                target += target_inverse * (target_halves[j, k] - target_half_squares[i, k] * target_inverses[j, k])
                difference = cosine - target
                clamped = min(max(difference, -_ONE), _ONE)
                loss += clamped * (difference - _HALF * clamped)
                pulled += clamped * cosine
                weight = clamped * inverses[j, k]
                weights += weight
                opposite[k] += inverse * weight
            total += loss
            gradient[i, j] = inverse * (weights - inverse * pulled)
        losses[i] = total
        for j in range(count):
            gradient[i, j] = distances[i, j] * (gradient[i, j] + gradient[i, j] - opposite[j]) * share
