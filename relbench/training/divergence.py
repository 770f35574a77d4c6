"""A watch for losses that are not finite: on a GPU, for which a step must not wait, a few steps late."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

LOOK_EVERY = 32
"""Steps on a GPU between two looks at their losses, beside those before entries of the history and checkpoints."""


class DivergedError(RuntimeError):
    """A loss or a weight is no longer a finite number."""


@dataclass(frozen=True)
class Diverged:
    """A step whose objective is not finite.

    Attributes:
        step: counted from 1.
        terms: of the objective.
        words: what is not finite, in a sentence.
    """

    step: int
    terms: tuple[str, ...]
    words: str


class Watch:
    """Keeps the losses of the last steps where they were computed, until they are looked at.

    From the first step on whose objective is not finite, `frozen` is 1. torch's fused optimisers then leave the weights
    as they are (their `found_inf`), so that they are still those of that step when it is noticed.

    Args:
        device: of the losses. On the CPU each step is looked at.

    Attributes:
        frozen: 0 or 1, on the device; None where no step is made before the last was looked at.
    """

    def __init__(self, device: torch.device, every: int | None = None) -> None:
        self._every = every or (1 if device.type == "cpu" else LOOK_EVERY)
        self._noted: list[tuple[int, tuple[str, ...], Tensor]] = []
        self.frozen = None if self._every == 1 else torch.zeros((), device=device)

    @property
    def is_due(self) -> bool:
        """Whether so many steps were noted that they should be looked at."""
        return len(self._noted) >= self._every

    def note(self, step: int, values: Mapping[str, Tensor], total: Tensor) -> None:
        """Take down a step.

        Args:
            step: counted from 1.
            values: of the loss terms.
            total: their weighted sum.
        """
        self._noted.append((step, tuple(values), torch.stack([*values.values(), total]).detach()))
        if self.frozen is not None:
            self.frozen.copy_(torch.maximum(self.frozen, ~torch.isfinite(total.detach())))

    def look(self) -> Diverged | None:
        """The first step since the last look whose objective is not finite; this waits for a GPU."""
        noted, self._noted = self._noted, []
        found = torch.stack([seen for *_, seen in noted]).cpu() if noted else torch.empty(0, 1)
        bad = (~found[:, -1].isfinite()).nonzero().flatten().tolist()
        if not bad:
            return None
        step, terms, _ = noted[bad[0]]
        return Diverged(step, terms, _words(step, terms, found[bad[0]]))


def _words(step: int, terms: tuple[str, ...], values: Tensor) -> str:
    """The step, and the first term that is not finite."""
    first = next((place for place in range(len(terms)) if not values[place].isfinite()), None)
    named = (
        "the sum of the loss terms overflows"
        if first is None
        else f"the loss term {terms[first]!r} is {values[first].item()}"
    )
    return f"step {step}: {named}; try a lower learning rate, or a lower weight of that term"
