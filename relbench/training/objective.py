"""What is minimised: the weighted sum of loss terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

SupervisedLoss = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]
RelationalLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class DivergedError(RuntimeError):
    """A loss or a weight is no longer a finite number."""


@dataclass(frozen=True)
class Part:
    """One summand: exactly one of the two losses is given."""

    weight: float
    supervised: SupervisedLoss | None = None  # (embeddings, labels, generator)
    relational: RelationalLoss | None = None  # (student, teacher)


class Objective(nn.Module):
    """The terms of the training loss, and the teacher whose embeddings some of them need.

    Args:
        parts: name -> summand. Losses that are modules contribute their parameters.
        teacher: from images to embeddings; never trained, always in evaluation mode. None where no term needs it.
    """

    def __init__(self, parts: Mapping[str, Part], teacher: nn.Module | None) -> None:
        super().__init__()
        self.parts = dict(parts)
        losses = {name: part.supervised or part.relational for name, part in parts.items()}
        self.trainable = nn.ModuleDict({name: loss for name, loss in losses.items() if isinstance(loss, nn.Module)})
        self._teacher = (
            [teacher.eval().requires_grad_(requires_grad=False)] if teacher else []
        )  # in a list: not ours to save or train

    def forward(
        self, embeddings: torch.Tensor, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Each term's value for a batch, not yet weighted.

        Args:
            embeddings: the student's, shape (batch, dim); gradients flow to them.
            images: what they are embeddings of, for the teacher.
            labels: class numbers, shape (batch,).
            generator: for losses that draw samples.
        """
        with torch.no_grad():
            teacher = self._teacher[0](images) if self._teacher else None
        return {name: self._value(part, embeddings, teacher, labels, generator) for name, part in self.parts.items()}

    @staticmethod
    def _value(
        part: Part,
        embeddings: torch.Tensor,
        teacher: torch.Tensor | None,
        labels: torch.Tensor,
        generator: torch.Generator,
    ) -> torch.Tensor:
        if part.supervised:
            return part.supervised(embeddings, labels, generator)
        if part.relational is None or teacher is None:
            raise ValueError("a relational loss needs a teacher")
        return part.relational(embeddings, teacher)

    def total(self, values: Mapping[str, torch.Tensor], step: int) -> torch.Tensor:
        """The weighted sum.

        Raises:
            DivergedError: it is not finite; names the step and the first term that is not.
        """
        total = torch.stack([self.parts[name].weight * value for name, value in values.items()]).sum()
        if not torch.isfinite(total):
            bad = [name for name, value in values.items() if not torch.isfinite(value)]
            named = (
                f"the loss term {bad[0]!r} is {values[bad[0]].item()}" if bad else "the sum of the loss terms overflows"
            )
            raise DivergedError(f"step {step}: {named}; try a lower learning rate, or a lower weight of that term")
        return total
