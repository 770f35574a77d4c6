"""Distances between the rows of a matrix, and the angles of the triangles of rows.

Losses compare embeddings by the matrix of Euclidean distances ``d[i, k] = |x_i - x_k|``. The angle
at row ``j`` of the triangle ``(i, j, k)`` follows from them by the law of cosines,

    cos(i, j, k) = (d_ij^2 + d_kj^2 - d_ik^2) / (2 d_ij d_kj)

so ``N^3`` angles take ``N^3`` operations whatever the dimension of the rows.

The distances come from differences of rows, not from the matrix of inner products
(``|x|^2 + |y|^2 - 2<x, y>``): equal rows then have distance exactly zero, and small
distances have the relative error of the arithmetic however far the rows lie from the origin.
"""

from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor

ORDINARY_EXPONENT = 30
"""Magnitudes from 2^-31 to 2^30 are not scaled: their squares are far from the limits of float32."""


def working_dtype(*matrices: Tensor) -> torch.dtype:
    """The type for arithmetic: float64 if any of the matrices has it, else float32."""
    has_double = any(matrix.dtype == torch.float64 for matrix in matrices)
    return torch.float64 if has_double else torch.float32


def safe_scale(rows: Tensor) -> Tensor:
    """The power of two that brings the largest coordinate near 1, so that squares neither overflow nor vanish.

    Multiplying by it is exact. For coordinates of ordinary size it is 1, and nothing changes.

    Args:
        rows: float32 or float64; get no gradient through the scale.

    Returns:
        Scalar, like `rows`, and a normal number of its type: rows very near the limits of the type are only brought
        nearer to 1. Infinities and NaNs in `rows` remain in their products. Does not synchronise with an accelerator.
    """
    largest = rows.detach().abs().amax()
    mantissa, exponent = torch.frexp(largest)
    tiny = torch.finfo(largest.dtype).tiny
    power = (mantissa / largest).clamp_(tiny, tiny**-0.5)  # the quotient is exact; a gradient is multiplied by it too
    return torch.where(exponent.abs() > ORDINARY_EXPONENT, power, 1.0)


class _FirstDerivative(torch.autograd.Function):
    """Identity of a gradient that raises an error when it is differentiated.

    Takes the gradient and its inputs. Without it, a second derivative would silently lack the part that flows through
    the closed form of the gradient.
    """

    @staticmethod
    def forward(_ctx: Any, gradient: Tensor, *_inputs: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(_ctx: Any, *_grads: Tensor) -> Any:
        raise RuntimeError(
            "distances and angles have no second derivative here: "
            "differentiate a loss on them once, without a gradient penalty on top"
        )


class _PairwiseDistances(torch.autograd.Function):
    """Distances of all pairs of rows; the gradient is a matrix product, without N x N x d memory."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        count = len(rows)
        first, second = torch.triu_indices(count, count, offset=1, device=rows.device)
        distances = rows.new_zeros(count, count)
        distances[first, second] = torch.pdist(rows)
        distances += distances.T.clone()
        ctx.save_for_backward(rows, distances)
        return distances

    @staticmethod
    def backward(ctx: Any, grad_distances: Tensor) -> Tensor:
        rows, distances = ctx.saved_tensors
        with torch.no_grad():
            gradient = _pull_rows(rows, distances, grad_distances)
        return cast("Tensor", _FirstDerivative.apply(gradient, rows, grad_distances))


def _pull_rows(rows: Tensor, distances: Tensor, grad_distances: Tensor) -> Tensor:
    """Sum over k of (g_ik + g_ki) (x_i - x_k) / d_ik, as `diag(pull 1) x - pull x`.

    The two products cancel where rows are close, so they are computed in float64, which autocast and reduced-precision
    matrix products also leave alone.
    """
    pull = (grad_distances + grad_distances.T).div_(distances)
    pull = pull.masked_fill_(distances == 0, 0.0).double()
    wide = rows.double()
    return (pull.sum(dim=1, keepdim=True) * wide - pull @ wide).to(rows.dtype)


def pairwise_distances(rows: Tensor) -> Tensor:
    """Euclidean distance of every row to every row.

    Args:
        rows: ``(count, dim)``, floating. Gets the gradient once (a second derivative is refused
            with a RuntimeError); two equal rows pull on each other with gradient 0.

    Returns:
        ``(count, count)``, symmetric with a zero diagonal, not squared. In float64 if `rows` is, else in float32 (half
        precision is widened first). The relative error is a few units of rounding, also for nearly equal rows; exactly
        0 for equal rows. Squares of coordinates must lie within the type: in float32, distances from 1e-18 to 1e18 (see
        `safe_scale`).
    """
    return cast("Tensor", _PairwiseDistances.apply(rows.to(working_dtype(rows))))


def no_direction(distances: Tensor) -> Tensor:
    """The largest distance at which rows count as equal in angles, a scalar.

    It is ``eps^(2/3)`` of the largest distance (2.4e-5 in float32, 3.7e-11 in float64): below that, the direction
    between two rows is lost in rounding. At least, it is so large that squared reciprocals of larger distances stay
    within the type: 7e-18 in float32, 1e-152 in float64.
    """
    limits = torch.finfo(distances.dtype)
    share, least = float(limits.eps ** (2 / 3)), float(64 * limits.tiny**0.5)
    return (distances.max() * share).clamp_(min=least)


@dataclass(frozen=True)
class Corners:
    """The sides that meet at some vertices j, shaped to broadcast over ``[j, i, k]``.

    Attributes:
        half_i: half of d_ij, ``(vertices, count, 1)``.
        half_k: half of d_kj, ``(vertices, 1, count)``.
        inverse_i: 1 / d_ij, ``(vertices, count, 1)``.
        inverse_k: 1 / d_kj, ``(vertices, 1, count)``.
        half_squares: half of d_ik^2, the side opposite the vertex, ``(count, count)``.
    """

    half_i: Tensor
    half_k: Tensor
    inverse_i: Tensor
    inverse_k: Tensor
    half_squares: Tensor

    def cosines(self, out: Tensor) -> Tensor:
        """Cosines of all angles at the vertices, in three passes over the result.

        Computed as ``d_ij/2 * 1/d_kj + 1/d_ij * (d_kj/2 - d_ik^2/2 * 1/d_kj)``.

        Args:
            out: ``(vertices, count, count)``, overwritten.

        Returns:
            `out`, holding at ``[j, i, k]`` the cosine of the angle at row j between rows i and k;
            0 where either side has no length (and so where j is i or k).
        """
        torch.addcmul(self.half_k, self.half_squares, self.inverse_k, value=-1, out=out)
        return out.mul_(self.inverse_i).addcmul_(self.half_i, self.inverse_k)

    def subtract_cosines(self, minuend: Tensor, out: Tensor) -> Tensor:
        """`minuend` minus `cosines`, without the extra pass of a separate subtraction.

        Args:
            minuend: ``(vertices, count, count)``, unchanged.
            out: ``(vertices, count, count)``, overwritten.

        Returns:
            `out`.
        """
        torch.addcmul(self.half_k, self.half_squares, self.inverse_k, value=-1, out=out)
        torch.addcmul(minuend, out, self.inverse_i, value=-1, out=out)
        return out.addcmul_(self.half_i, self.inverse_k, value=-1)


@dataclass(frozen=True)
class Sides:
    """A distance matrix, prepared for the computation of angles.

    Attributes:
        distances: the matrix, ``(count, count)``.
        halves: half the distances; 0 where rows count as equal.
        inverses: reciprocals of the distances; 0 where rows count as equal, so that an angle with such a side has
            cosine 0.
        half_squares: half the squared distances, not zeroed: a side opposite a vertex may have any length.
    """

    distances: Tensor
    halves: Tensor
    inverses: Tensor
    half_squares: Tensor

    @classmethod
    def of(cls, distances: Tensor) -> Self:
        """Prepare a distance matrix.

        Rows no farther apart than `no_direction` count as equal.
        """
        equal = distances <= no_direction(distances)
        return cls(
            distances=distances,
            halves=(distances / 2).masked_fill_(equal, 0.0),
            inverses=distances.reciprocal().masked_fill_(equal, 0.0),
            half_squares=distances.square() / 2,
        )

    def at(self, vertices: slice) -> Corners:
        """The sides that meet at the rows `vertices`."""
        half, inverse = self.halves[vertices], self.inverses[vertices]
        return Corners(
            half_i=half[:, :, None],
            half_k=half[:, None, :],
            inverse_i=inverse[:, :, None],
            inverse_k=inverse[:, None, :],
            half_squares=self.half_squares,
        )
