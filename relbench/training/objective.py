"""What is minimised: the weighted sum of loss terms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Outputs = tuple[torch.Tensor, Mapping[str, torch.Tensor]]  # embeddings; maps by layer


class DivergedError(RuntimeError):
    """A loss or a weight is no longer a finite number."""


@dataclass(frozen=True)
class WeightedLoss:
    """One summand of the loss; a term that compares several layers has one for each.

    Attributes:
        term: what its value is reported under, together with the other parts of the term.
        weight: of the value.
        loss: gives a scalar.
        takes: what it is called with, in order: see `relbench.losses.INPUTS`.
        layer: whose maps are `student_map` and `teacher_map`.
    """

    term: str
    weight: float
    loss: Callable[..., torch.Tensor]
    takes: tuple[str, ...]
    layer: str | None = None

    @property
    def key(self) -> str:
        """Names its parameters in a checkpoint."""
        return f"{self.term}@{self.layer}" if self.layer else self.term


@dataclass(frozen=True)
class Teacher:
    """What a student is compared with; none of it is trained.

    Attributes:
        network: from images to what is seen of them.
        classifier: from embeddings to logits; None where none was trained along.
        centres: of the classes, ``(classes, dim)``; None where no loss takes them.
    """

    network: nn.Module
    classifier: nn.Module | None = None
    centres: torch.Tensor | None = None


class Objective(nn.Module):
    """The terms of the training loss, what is trained along with the network, and the teacher.

    Args:
        parts: the summands. Losses that are modules contribute their parameters.
        classifier: from the student's embeddings to logits, trained along; None where no loss takes them.
        teacher: always in evaluation mode. None where no term needs one.
    """

    def __init__(self, parts: Sequence[WeightedLoss], classifier: nn.Module | None, teacher: Teacher | None) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.trainable = nn.ModuleDict({part.key: part.loss for part in parts if isinstance(part.loss, nn.Module)})
        self.classifier = classifier
        self._teacher = [teacher] if teacher else []  # in a list: not ours to save or train
        for module in (teacher.network, teacher.classifier) if teacher else ():
            if module:
                module.eval().requires_grad_(requires_grad=False)

    def forward(
        self, seen: Outputs, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Each term's value for a batch, not yet weighted.

        Args:
            seen: the student's embeddings, shape (batch, dim), and maps by layer; gradients flow to them.
            images: what was seen, for the teacher.
            labels: class numbers, shape (batch,).
            generator: for losses that draw samples.
        """
        embeddings, maps = seen
        inputs = {"student": embeddings, "embeddings": embeddings, "labels": labels, "generator": generator}
        inputs |= self._own_logits(embeddings)
        taught, teacher_maps = self._taught(images)
        values: dict[str, torch.Tensor] = {}
        for part in self.parts:
            layer = {"student_map": maps[part.layer], "teacher_map": teacher_maps[part.layer]} if part.layer else {}
            given: dict[str, Any] = inputs | taught | layer
            value = part.loss(*(given[name] for name in part.takes))
            values[part.term] = values[part.term] + value if part.term in values else value
        return values

    def _own_logits(self, embeddings: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.classifier is None:
            return {}
        given = {"student_logits": embeddings, "detached_logits": embeddings.detach()}
        taken = {name for part in self.parts for name in part.takes}
        return {name: self.classifier(rows) for name, rows in given.items() if name in taken}

    @torch.no_grad()
    def _taught(self, images: torch.Tensor) -> tuple[dict[str, torch.Tensor | None], Mapping[str, torch.Tensor]]:
        if not self._teacher:
            return {}, {}
        teacher = self._teacher[0]
        embeddings, maps = teacher.network(images)
        logits = teacher.classifier(embeddings) if teacher.classifier else None
        return {"teacher": embeddings, "teacher_logits": logits, "centres": teacher.centres}, maps

    def total(self, values: Mapping[str, torch.Tensor], step: int) -> torch.Tensor:
        """The weighted sum.

        Raises:
            DivergedError: it is not finite; names the step and the first term that is not.
        """
        weights = {part.term: part.weight for part in self.parts}
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        if not torch.isfinite(total):
            bad = [name for name, value in values.items() if not torch.isfinite(value)]
            named = (
                f"the loss term {bad[0]!r} is {values[bad[0]].item()}" if bad else "the sum of the loss terms overflows"
            )
            raise DivergedError(f"step {step}: {named}; try a lower learning rate, or a lower weight of that term")
        return total
