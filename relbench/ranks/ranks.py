"""Ranks: what the processes that share a run exchange, with gradients.

Each rank shows its part of a batch to its copy of the networks. The outputs are gathered, so that every rank computes
the same losses of the whole batch, and has the same gradient of it; its network's backward pass takes the rank's own
rows of that gradient, and the gradients of the weights are then summed over the ranks: they are those of one process.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """This process among those that share a run; all of them make the same calls, in the same order.

    Attributes:
        rank: its number, from 0; the first writes the run's files.
        count: of the processes. With one, nothing is exchanged.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it writes the run's files."""
        return self.rank == 0

    def share(self, length: int, rank: int | None = None) -> slice:
        """The rows of this rank, or of another, among a number of rows: equal parts, the first ones longer by a row.

        Args:
            length: number of rows.
            rank: of whom; None: of this process.
        """
        number = self.rank if rank is None else rank
        each, rest = divmod(length, self.count)
        start = number * each + min(number, rest)
        return slice(start, start + each + (number < rest))

    def joined(self, rows: Tensor, lengths: Sequence[int]) -> Tensor:
        """The rows of all ranks, one rank's after the other's; the gradient of its own rows comes back to each.

        All ranks must go on with the same computation: the gradient of the other rows is taken to be known there.

        Args:
            rows: of this rank, shape (rows, ...).
            lengths: number of rows of each rank.
        """
        if self.count == 1:
            return rows
        joined: Tensor = _Joined.apply(rows, self, tuple(lengths))
        return joined

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over the ranks, without a gradient."""
        if self.count > 1:
            tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
            dist.all_reduce(tensor)
        return tensor

    def copied(self, tensor: Tensor) -> Tensor:
        """What is the same on all ranks, for a computation of which each does a part; its gradients are summed.

        A loss whose work is shared takes its inputs, and its parameters, through this, computes with the rows of
        `share`, and returns what `added` makes of its parts.
        """
        if self.count == 1:
            return tensor
        copied: Tensor = _Copied.apply(tensor, self)
        return copied

    def added(self, part: Tensor) -> Tensor:
        """The sum over the ranks, each of which has computed a part; the gradient comes to all of them."""
        if self.count == 1:
            return part
        added: Tensor = _Added.apply(part, self)
        return added

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Put the sum over the ranks in place of each gradient, all of them in one exchange for each type of number.

        Args:
            parameters: that have gradients on all ranks, or on none.
        """
        if self.count == 1:
            return
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for parameter in parameters:
            if parameter.grad is not None:
                by_type.setdefault(parameter.grad.dtype, []).append(parameter.grad)
        for gradients in by_type.values():
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            dist.all_reduce(flat)
            _put(flat, gradients)

    def align_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Put the first rank's in place of gradients that are equal but for the order in which a GPU has added up."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.count == 1 or not gradients:
            return
        for gradient in gradients:
            dist.broadcast(gradient, 0)

    def objects(self, value: Value) -> list[Value]:
        """The values of all ranks: of anything that can be pickled."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Wait until all ranks are here."""
        if self.count > 1:
            self.objects(None)


ALONE = Ranks()
"""A process that makes its run by itself."""


def _put(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Fill tensors with consecutive numbers."""
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for part, tensor in zip(parts, tensors, strict=True):
        tensor.copy_(part.view_as(tensor))


class _Joined(torch.autograd.Function):
    """`Ranks.joined`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, ranks: Ranks, lengths: tuple[int, ...]) -> Tensor:
        """Exchange rows padded to equal numbers, as not all libraries below exchange unequal ones."""
        first = sum(lengths[: ranks.rank])
        ctx.own = slice(first, first + lengths[ranks.rank])
        padded = rows.new_zeros(max(lengths), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(parts, padded)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The own rows of it."""
        return gradient[ctx.own], None, None


class _Copied(torch.autograd.Function):
    """`Ranks.copied`."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, ranks: Ranks) -> Tensor:
        """The same numbers."""
        ctx.ranks = ranks
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The sum over the ranks."""
        return ctx.ranks.summed(gradient), None


class _Added(torch.autograd.Function):
    """`Ranks.added`."""

    @staticmethod
    def forward(_ctx: Any, part: Tensor, ranks: Ranks) -> Tensor:
        """The sum over the ranks."""
        return ranks.summed(part)

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The same gradient."""
        return gradient, None
