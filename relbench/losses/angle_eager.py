"""The angle loss in plain torch operations, on any device: the kernel that needs no other package."""

from typing import Self

import torch
from torch import Tensor

from relbench.geometry import Sides

_SLAB_ANGLES = {"cpu": 2**17}
_SLAB_ANGLES_ON_ACCELERATOR = 2**24
"""Angles held at once: what fits a processor's cache, or keeps an accelerator busy."""


def loss_and_gradient(student: Tensor, teacher: Tensor, part: slice | None = None) -> tuple[Tensor, Tensor]:
    """The angle loss, a slab of vertices at a time, and its gradient.

    Args:
        student: distances, ``(count, count)``.
        teacher: likewise, of the same type and on the same device.
        part: of the rows, which are the vertices; None: all.

    Returns:
        The loss, a scalar, and its gradient with respect to the student's distances, all entries taken as independent.
    """
    sums = _AngleSums.of(Sides.of(student), Sides.of(teacher), part or slice(0, len(student)))
    return sums.loss(), sums.gradient()


class _AngleSums:
    """The angle loss and its gradient with respect to the student's distances, as running sums.

    With ``D[j, i, k]`` the student's minus the teacher's cosine, ``C = clamp(D, -1, 1)`` is the
    derivative of the Huber loss, and ``C * (D - C / 2)`` the Huber loss itself. Write ``cos`` for
    the student's cosine and ``d`` for its distances. The cosine at j depends on both sides that
    meet there and on the side opposite,

        d cos / d d_ij = 1/d_kj - cos/d_ij        (the same for d_kj with i and k exchanged)
        d cos / d d_ik = -d_ik / (d_ij d_kj)

    so, with ``W[j, i, k] = C / (d_ij d_kj)``, the sum of the losses has the derivative

        d_ij * (2 sum_k W[j, i, k]  -  2 / d_ij^2 sum_k C cos  -  sum_v W[v, i, j])

    with respect to the entry (j, i) of the distance matrix, taking all entries as independent.
    """

    def __init__(self, student: Sides, teacher: Sides) -> None:
        self.student, self.teacher = student, teacher
        distances = student.distances
        self.count = len(distances)
        self.slab = _vertices_per_slab(self.count, distances.device.type)
        self.buffers = distances.new_empty(3, self.slab, self.count, self.count)
        self.huber = distances.new_zeros((), dtype=torch.float64)
        self.pulled = torch.zeros_like(distances)  # sum over k of C cos
        self.adjacent = torch.zeros_like(distances)  # sum over k of W
        self.opposite = torch.zeros_like(distances)  # sum over j of W

    @classmethod
    def of(cls, student: Sides, teacher: Sides, vertices: slice) -> Self:
        """The sums over all angles at some vertices."""
        sums = cls(student, teacher)
        for start in range(vertices.start, vertices.stop, sums.slab):
            sums.add(slice(start, min(start + sums.slab, vertices.stop)))
        return sums

    def add(self, vertices: slice) -> None:
        """Add the angles at some vertices. In place throughout: every pass over a slab counts."""
        corners = self.student.at(vertices)
        cosines, differences, clamped = self.buffers[:, : vertices.stop - vertices.start]
        corners.cosines(out=cosines)
        self.teacher.at(vertices).subtract_cosines(cosines, out=differences)
        torch.clamp(differences, -1, 1, out=clamped)
        self.huber += differences.sub_(clamped, alpha=0.5).mul_(clamped).sum()  # a dot product errs by 1e-5 of itself
        torch.sum(cosines.mul_(clamped), dim=2, out=self.pulled[vertices])
        weights = clamped.mul_(corners.inverse_k).mul_(corners.inverse_i)
        torch.sum(weights, dim=2, out=self.adjacent[vertices])
        self.opposite += weights.sum(dim=0)

    def loss(self) -> Tensor:
        """Mean over all triples, a scalar."""
        return (self.huber / self.count**3).to(self.student.distances.dtype)

    def gradient(self) -> Tensor:
        """Gradient of the mean with respect to the student's distances, ``(count, count)``."""
        direct = self.adjacent - self.student.inverses.square() * self.pulled
        return direct.mul_(2).sub_(self.opposite).mul_(self.student.distances).div_(self.count**3)


def _vertices_per_slab(count: int, device: str) -> int:
    """Vertices per slab, for `count` rows: from 1 to all."""
    angles = _SLAB_ANGLES.get(device, _SLAB_ANGLES_ON_ACCELERATOR)
    return max(1, min(count, angles // count**2))
