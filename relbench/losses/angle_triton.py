"""The angle loss on CUDA in one sweep over all angles, compiled by Triton, which comes with torch there.

Importing this module imports Triton: `relbench.losses.angle` does so at the first angle loss on CUDA.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from relbench.geometry import no_direction
from relbench.losses import angle_eager

_ROWS = 32
"""Vertices that a program takes at once."""

_WIDE = 256
"""Batches beyond this are cut into wider tiles, so that partial sums take less memory."""

_FINISHED = 1024
"""Entries of the gradient that a program finishes."""

_PLACES = 2**31
"""Partial sums that the kernels can number: they count in 32 bits. They are fewer up to 6,500 rows."""

_OPTIONS = {"enable_fp_fusion": True}
"""Products and sums in one rounding: said, as some versions of Triton warn that their default will change."""


def loss_and_gradient(student: Tensor, teacher: Tensor, part: slice | None = None) -> tuple[Tensor, Tensor]:
    """The angle loss and its gradient, the same bits at each call.

    A program sums over the angles with one side from a row i and the other end k in a tile of columns, for all vertices
    j. What it sums goes to a place of its own, and a second kernel adds up the tiles in order. The cosines stay in
    registers: what is read is ``batch^2`` distances in each program, from the cache. Batches of more than 6,500 rows
    go to the eager kernel.

    Args:
        student: distances, ``(count, count)``, symmetric, on CUDA.
        teacher: likewise, of the same type.
        part: of the rows, from which a side of the angles goes; None: all.

    Returns:
        The loss, a scalar, and its gradient with respect to the student's distances, all entries taken as independent.
    """
    student, teacher = student.detach().contiguous(), teacher.contiguous()
    count = len(student)
    columns = 32 if count <= _WIDE else 128
    tiles = triton.cdiv(count, columns)
    if tiles * count**2 > _PLACES:
        return angle_eager.loss_and_gradient(student, teacher, part)
    with torch.cuda.device_of(student):  # Triton starts kernels on the current GPU, wherever the distances are
        return _swept(student, teacher, part or slice(0, count), columns, tiles)


def _swept(student: Tensor, teacher: Tensor, part: slice, columns: int, tiles: int) -> tuple[Tensor, Tensor]:
    count, rows = len(student), part.stop - part.start
    new = student.new_empty if rows == count else student.new_zeros  # other rows' sums are not written
    direct, gradient = new(tiles, count, count), new(count, count)
    losses = new(count, tiles, dtype=torch.float64)
    least = no_direction(student), no_direction(teacher)
    _sweep[(rows, tiles)](
        student, teacher, *least, losses, direct, gradient, count, part.start, rows=_ROWS, columns=columns, **_OPTIONS
    )
    _finish[(triton.cdiv(count * count, _FINISHED),)](
        student, direct, gradient, count, tiles, size=_FINISHED, **_OPTIONS
    )
    return (losses.sum() / count**3).to(student.dtype), gradient.T


@triton.jit
def _sides(distances, least):
    """Halves and inverses of distances, as in `geometry.Sides`."""
    there = distances > least
    return tl.where(there, 0.5 * distances, 0.0), tl.where(there, 1.0 / tl.where(there, distances, 1.0), 0.0)


@triton.jit
def _cosines(distances, least, count, i, j, k):
    """Cosines at vertices j between a row i and rows k; inverses of the sides from j to i and to k.

    Beyond the last row distances count as 0, and so do the cosines.
    """
    has_j, has_k = j < count, k < count
    half, inverse = _sides(tl.load(distances + i * count + j, mask=has_j, other=0.0), least)
    places, has = j[:, None] * count + k[None, :], has_j[:, None] & has_k[None, :]
    halves, inverses = _sides(tl.load(distances + places, mask=has, other=0.0), least)
    facing = tl.load(distances + i * count + k, mask=has_k, other=0.0)
    half_squares = (0.5 * facing * facing)[None, :]
    cosines = half[:, None] * inverses + inverse[:, None] * (halves - half_squares * inverses)
    return cosines, inverse, inverses


@triton.jit
def _sweep(  # noqa: PLR0913, PLR0917 - where to read, where to write, and sizes
    student, teacher, student_least, teacher_least, losses, direct, opposite, count, first,
    rows: tl.constexpr, columns: tl.constexpr,
):  # fmt: skip
    """Sums over the angles at all vertices j between a row i and a tile of columns k; see the eager kernel.

    Args:
        student: distances.
        teacher: likewise.
        student_least: what `no_direction` says of them.
        teacher_least: likewise.
        losses: written at ``[i, tile]``: the sum of Huber's losses.
        direct: written at ``[tile, i, j]``: the sum over the tile's k of the gradient through the sides that meet at j.
        opposite: written at ``[i, k]``: the sum over j of the gradient through the side opposite j.
        count: of all rows.
        first: of the rows i.
        rows: vertices at once.
        columns: of a tile.
    """
    i, tile, tiles = first + tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    k = tile * columns + tl.arange(0, columns)
    least, target_least = tl.load(student_least), tl.load(teacher_least)
    facing = tl.zeros([columns], dtype=student.dtype.element_ty)
    total = tl.zeros([columns], dtype=tl.float64)
    for start in range(0, count, rows):
        j = start + tl.arange(0, rows)
        cosines, inverse, inverses = _cosines(student, least, count, i, j, k)
        targets, _, _ = _cosines(teacher, target_least, count, i, j, k)
        differences = cosines - targets
        clamped = tl.minimum(tl.maximum(differences, -1.0), 1.0)
        total += tl.sum((clamped * (differences - 0.5 * clamped)).to(tl.float64), axis=0)
        weights = clamped * inverses
        facing += tl.sum(inverse[:, None] * weights, axis=0)
        met = inverse * (tl.sum(weights, axis=1) - inverse * tl.sum(clamped * cosines, axis=1))
        tl.store(direct + (tile * count + i) * count + j, met, mask=j < count)
    tl.store(opposite + i * count + k, facing, mask=k < count)
    tl.store(losses + i * tiles + tile, tl.sum(total, axis=0))


@triton.jit
def _finish(student, direct, gradient, count, tiles, size: tl.constexpr):
    """The gradient of the mean, in place of its part `opposite`, from the parts of the tiles, added in order."""
    entries = count * count
    place = tl.program_id(0) * size + tl.arange(0, size)
    has = place < entries
    distances = tl.load(student + place, mask=has, other=0.0)
    met = tl.zeros_like(distances)
    for tile in range(tiles):
        met += tl.load(direct + tile * entries + place, mask=has, other=0.0)
    facing = tl.load(gradient + place, mask=has, other=0.0)
    tl.store(gradient + place, distances * (2.0 * met - facing) / count / count / count, mask=has)
