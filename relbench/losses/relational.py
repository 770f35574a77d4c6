"""Losses that compare the relations among a student's rows with those among a teacher's.

Relational knowledge distillation: W. Park, D. Kim, Y. Lu, M. Cho, CVPR 2019, arXiv:1904.05068.
Compared with the authors' code, lenscloth/RKD@0a6c3c0.

The rows of student and teacher need not have the same dimension: only distances and angles among
the rows of each are compared, never a student's row with a teacher's.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from relbench.geometry import Sides, pairwise_distances, safe_scale
from relbench.losses.check_inputs import check_inputs

SMALLEST_DISTANCE = 1e-6
"""The authors' floor of a distance (of its square: 1e-12)."""

_SLAB_ANGLES = {"cpu": 2**18}
_SLAB_ANGLES_ON_ACCELERATOR = 2**24
"""Angles held at once: what fits a processor's cache, or keeps an accelerator busy."""

RKD_PRESETS = {
    "rkd-da": {"rkd_distance": 1.0, "rkd_angle": 2.0},
    "rkd-crd-zoo": {"rkd_distance": 25.0, "rkd_angle": 50.0},
}
"""Weights of the two losses by their usual names. Both have the ratio 1:2, but differ beside a further term.
"rkd-da": on the final embedding, alone, as the RKD paper and lenscloth/RKD@0a6c3c0 for metric learning.
"rkd-crd-zoo": on the last pooled features, beside cross-entropy, as HobbitLong/RepDistiller@b84f547, whose tables many
papers copied."""


def rkd_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Distance-wise relational distillation (RKD-D): match the distances up to a common scale.

    Each side's distances are divided by their mean over the pairs of different rows; the loss is
    the Huber loss (threshold 1) of the difference, averaged over all ``batch^2`` ordered pairs, the
    ``batch`` pairs of a row with itself (always 0) included. So it is the mean over pairs of
    different rows, times ``(batch - 1) / batch``.

    Args:
        student: ``(batch, student_dim)``, floating, at least two rows. Gets the gradient, also
            through the mean distance, so the gradient along the student's scale is 0. A second
            derivative is refused with a RuntimeError.
        teacher: ``(batch, teacher_dim)``, floating. A constant: gets no gradient.

    Returns:
        Scalar without unit, at least 0; float64 if either input is, else float32 (half precision
        is widened first, under autocast too).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating matrix, the batch sizes differ, or the batch has
            fewer than two rows.

    Numerics:
        Distances come from differences of rows, so small ones are as accurate as large ones: in
        float32 a distance errs by a few 1e-7 of itself. Pairs nearer than 1e-6, equal ones among
        them, count as 1e-6 apart, as in the authors' code, and get gradient 0. So a student all of whose distances are
        below 1e-6 has a finite loss but no gradient: the floor is a length, not a fraction. Large coordinates do no
        harm, in float32 up to 1e36.

    Source:
        arXiv:1904.05068, equations 5 to 7; lenscloth/RKD@0a6c3c0 `RkdDistance`. The paper sums over
        pairs; mean, Huber threshold, the zero pairs and the floor follow the code.
    """
    student, teacher = check_inputs(student, teacher, least=2)
    return smooth_l1_loss(_relative_distances(student), _relative_distances(teacher))


def _relative_distances(rows: Tensor) -> Tensor:
    """Distances of different rows over their mean, ``(batch, batch)``; the diagonal stays 0."""
    count = len(rows)
    different = 1 - torch.eye(count, dtype=rows.dtype, device=rows.device)
    scale = safe_scale(rows).clamp_(max=1)  # never enlarged: the floor is a length
    distances = pairwise_distances(rows * scale).clamp_min(SMALLEST_DISTANCE * scale) * different
    return distances * (count * (count - 1) / distances.sum())


def rkd_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Angle-wise relational distillation (RKD-A): match the angles of all triangles of rows.

    The loss is the Huber loss (threshold 1) of the difference between the student's and the
    teacher's cosine of the angle at row j between rows i and k, averaged over all ``batch^3``
    ordered triples (i, j, k). The angle has cosine 0 where j is i or k.

    Args:
        student: ``(batch, student_dim)``, floating, at least two rows. Gets the gradient. A second
            derivative is refused with a RuntimeError.
        teacher: ``(batch, teacher_dim)``, floating. A constant: gets no gradient.

    Returns:
        Scalar without unit, between 0 and 1.5; float64 if either input is, else float32 (half
        precision is widened first, under autocast too). Not exactly 0 where all angles agree, but below 1e-10.

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating matrix, the batch sizes differ, or the batch has
            fewer than two rows.

    Cost:
        Time ``batch^3 + batch^2 dim``. Cosines follow from distances by the law of cosines, a slab
        of vertices j at a time; the gradient is summed in the same pass, in closed form. Memory: a
        few times ``batch^2``, the slab included.

    Numerics:
        By the law of cosines a cosine errs by at most ``8 eps r``, where r is the ratio of the longer to the shorter of
        the two sides that meet at the vertex (eps = 1.2e-7 in float32, 2.2e-16 in float64). The gradient errs by at
        most ``4 eps r`` of its length, with r the ratio of the largest to the smallest distance in the batch. Pairs
        nearer than 2.4e-5 (float64: 3.7e-11) of the largest distance count as equal rows: angles with such a side have
        cosine 0 and no gradient with respect to it. So r is at most 41,000, and no cosine errs by more than 0.04. This
        holds at any scale of either side, in float32 for coordinates from 1e-36 to 1e36; rows nearer than 7e-18 count
        as equal as well. Where the true gradient is 0, as for a student all of whose rows lie on one line, noise is
        returned: at most ``4 eps r`` of the gradient of scattered rows with the same mean distance. Measured in
        float32: 1e-6 of it for 16 to 128 evenly spaced rows, 1e-3 for 128 normally distributed rows.

    Source:
        arXiv:1904.05068, equations 8 and 9; lenscloth/RKD@0a6c3c0 `RKdAngle`. The paper sums over
        triples of different rows; mean, Huber threshold and degenerate triples follow the code.
        Departure: the code sends a gradient of order 1e12 through the direction between two equal
        rows, which has none; here it is 0.
    """
    student, teacher = check_inputs(student, teacher, least=2)
    # scaling changes no angle, and keeps squares within the type
    distances, target = (pairwise_distances(rows * safe_scale(rows)) for rows in (student, teacher))
    return cast("Tensor", _AngleLoss.apply(distances, target))


class _AngleLoss(torch.autograd.Function):
    """RKD-A as a function of two distance matrices.

    The gradient is a constant to autograd; `pairwise_distances` refuses a second derivative.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        total = _AngleTotal(Sides.of(student), Sides.of(teacher))
        with_gradient = ctx.needs_input_grad[0]
        for vertices in total.slabs():
            total.add(vertices, with_gradient=with_gradient)
        if with_gradient:
            ctx.save_for_backward(total.gradient())
        return total.loss()

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return grad_loss * gradient, None


class _AngleTotal:
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
        self.pulled = torch.empty_like(distances)  # sum over k of C cos
        self.adjacent = torch.empty_like(distances)  # sum over k of W
        self.opposite = torch.zeros_like(distances)  # sum over j of W

    def slabs(self) -> list[slice]:
        """Ranges of vertices that fit the buffers."""
        starts = range(0, self.count, self.slab)
        return [slice(start, min(start + self.slab, self.count)) for start in starts]

    def add(self, vertices: slice, *, with_gradient: bool) -> None:
        """Add the angles at some vertices. In place throughout: every pass over a slab counts."""
        corners = self.student.at(vertices)
        cosines, differences, clamped = self.buffers[:, : vertices.stop - vertices.start]
        corners.cosines(out=cosines)
        self.teacher.at(vertices).subtract_cosines(cosines, out=differences)
        torch.clamp(differences, -1, 1, out=clamped)
        flat = clamped.view(-1)
        self.huber += torch.dot(flat, differences.view(-1)) - torch.dot(flat, flat) / 2
        if with_gradient:
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
