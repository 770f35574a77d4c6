"""The angle loss in closed form: products of N x N matrices instead of N^3 cosines.

It is corrected where Huber's loss is no square. It shares nothing with the kernels, and is more accurate than they are.

With squared distances S, reciprocal distances R (0 where a side has no length), M = 1 where it has one, W = R * R for
the student, T, P, MT, V likewise for the teacher, and U = R * P, the cosine at j between i and k is
1/2 R_ij R_kj (S_ij + S_kj - S_ik), so each sum over k of a product of two cosines is a sum of products of matrices.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Side(NamedTuple):
    """Of one embedding: squared distances, reciprocal distances, and 1 where there is a distance."""

    squares: Tensor
    inverses: Tensor
    there: Tensor


def side_of(rows: Tensor) -> Side:
    squares = (rows[:, None] - rows[None]).square().sum(dim=2)
    there = (squares > 0).double()
    return Side(squares, torch.where(squares > 0, squares.rsqrt(), 0.0), there)


def cosines_at(side: Side, vertex: int) -> Tensor:
    """At `[i, k]` the cosine of the angle at a vertex between i and k."""
    sides, reciprocals = side.squares[vertex], side.inverses[vertex]
    return 0.5 * reciprocals[:, None] * reciprocals * (sides[:, None] + sides - side.squares)


def products_of(one: Side, other: Side) -> Tensor:
    """At `[i, j]` the sum over k of the products of two sides' cosines at j between i and k."""
    s, t = one.squares, other.squares
    u = one.inverses * other.inverses
    total = s * t * u.sum(0) + s * (u * t).sum(0) + t * (u * s).sum(0) + (u * s * t).sum(0)
    total = total - s * (t @ u) - t * (s @ u) - t @ (u * s) - s @ (u * t) + (s * t) @ u
    return u * total / 4


def adjacent_of(one: Side, other: Side) -> Tensor:
    """At `[i, j]` the sum over k of `other`'s cosine at j between i and k, times 1 / d_ij d_kj of `one`."""
    u, t = one.inverses * other.inverses, other.squares
    return u / 2 * (t * u.sum(0) + (u * t).sum(0) - t @ u)


def opposite_of(one: Side, other: Side) -> Tensor:
    """At `[i, k]` the sum over j of `other`'s cosine at j between i and k, times 1 / d_ij d_kj of `one`."""
    u, t = one.inverses * other.inverses, other.squares
    crossed = (u * t) @ u.T
    return (crossed + crossed.T - t * (u @ u.T)) / 2


def angle_loss_in_closed_form(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient with respect to the student's rows; float64."""
    rows = student.detach().double() - student.detach().double().mean(dim=0)
    mine, target = side_of(rows), side_of(teacher.double())
    alpha, chi, beta = products_of(mine, mine), products_of(mine, target), products_of(target, target)
    value = (alpha.sum() - 2 * chi.sum() + beta.sum()) / 2
    pulled = alpha - chi
    adjacent = adjacent_of(mine, mine) - adjacent_of(mine, target)
    opposite = opposite_of(mine, mine) - opposite_of(mine, target)
    for vertex in range(len(rows)):
        cosines = cosines_at(mine, vertex)
        difference = cosines - cosines_at(target, vertex)
        excess = difference - difference.clamp(-1, 1)
        reciprocals = mine.inverses[vertex]
        weights = excess * reciprocals[:, None] * reciprocals
        value = value - excess.square().sum() / 2
        pulled[:, vertex] -= (excess * cosines).sum(dim=1)
        adjacent[:, vertex] -= weights.sum(dim=1)
        opposite -= weights
    entry = 2 * (adjacent - mine.inverses.square() * pulled) - opposite
    pull = (entry + entry.T).fill_diagonal_(0.0) * mine.there
    return value / len(rows) ** 3, (pull.sum(dim=1, keepdim=True) * rows - pull @ rows) / len(rows) ** 3
