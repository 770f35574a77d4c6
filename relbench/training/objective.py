"""The objective: the weighted sum of loss terms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from relbench.losses.inputs import INPUTS, Batch, Requirement, TeacherOutputs

Outputs = tuple[torch.Tensor, Mapping[str, torch.Tensor]]  # embeddings; maps by layer


@dataclass(frozen=True)
class WeightedLoss:
    """One summand of the loss; a term that compares several layers has one for each.

    Attributes:
        term: what its value is reported under, together with the other parts of the term.
        weight: of the value.
        loss: returns a scalar.
        takes: what it is called with, in order: names of `relbench.losses.INPUTS`.
        layer: whose maps are `student_map` and `teacher_map`; "" for losses of embeddings.
    """

    term: str
    weight: float
    loss: Callable[..., torch.Tensor]
    takes: tuple[str, ...]
    layer: str = ""

    @property
    def key(self) -> str:
        """Names its parameters in a checkpoint."""
        return f"{self.term}@{self.layer}" if self.layer else self.term


@dataclass(frozen=True)
class Teacher:
    """A network that a student is compared with; none of it is trained, and it stays in evaluation mode.

    Attributes:
        network: from images to embeddings and maps.
        classifier: from embeddings to logits; None where none was trained with it.
        constants: of its embeddings of the training images: see `relbench.losses.inputs.FROM_TEACHER`.
    """

    network: nn.Module
    classifier: nn.Module | None = None
    constants: Mapping[Requirement, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold it as it is."""
        for module in (self.network, self.classifier):
            if module:
                module.eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def outputs(self, images: torch.Tensor) -> TeacherOutputs:
        """The teacher's view of a batch: computed once, for however many losses and students."""
        embeddings, maps = self.network(images)
        logits = self.classifier(embeddings) if self.classifier else None
        return TeacherOutputs(embeddings, maps, logits, self.constants)


class Objective(nn.Module):
    """The terms of the training loss, and what is trained along with the network.

    Args:
        parts: the summands. Losses that are modules contribute their parameters.
        classifier: from the student's embeddings to logits, trained along; None where no loss takes them.
    """

    def __init__(self, parts: Sequence[WeightedLoss], classifier: nn.Module | None) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.trainable = nn.ModuleDict({part.key: part.loss for part in parts if isinstance(part.loss, nn.Module)})
        self.classifier = classifier
        taken = {name for part in parts for name in part.takes}
        self._shared = [name for name in INPUTS if name in taken and "layers" not in INPUTS[name].requires]

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Each term's value for a batch, not yet weighted.

        Args:
            batch: as student and teacher see it; gradients flow to the student's embeddings and maps.
        """
        known = replace(batch, classifier=self.classifier)
        shared = {name: INPUTS[name].of(known, "") for name in self._shared}  # once, whoever takes it
        values: dict[str, torch.Tensor] = {}
        for part in self.parts:
            value = part.loss(
                *(shared[name] if name in shared else INPUTS[name].of(known, part.layer) for name in part.takes)
            )
            values[part.term] = values[part.term] + value if part.term in values else value
        return values

    def total(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum."""
        weights = {part.term: part.weight for part in self.parts}
        return torch.stack([weights[name] * value for name, value in values.items()]).sum()
