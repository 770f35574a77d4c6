"""A linear classifier on embeddings: trained along with a network, for losses that take logits; answers no query."""

import torch
from torch import nn

from relbench.experiment import Net
from relbench.seeding import seeded


class Classifier(nn.Linear):
    """From embeddings to logits.

    Embeddings of unit length are first multiplied by the square root of their dimension: then their coordinates are of
    order 1, as the features are that linear classifiers usually stand on. With coordinates of unit vectors logits
    would be so small that a short training leaves all classes nearly equally probable.

    Args:
        dim: of the embeddings.
        classes: how many.
        scale: of the embeddings.
    """

    def __init__(self, dim: int, classes: int, scale: float) -> None:
        super().__init__(dim, classes)
        self.scale = scale

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Embeddings, shape (batch, dim) -> logits, shape (batch, classes)."""
        return super().forward(self.scale * embeddings)


def build_classifier(net: Net, classes: int, seed: int) -> Classifier:
    """A new classifier for the embeddings of a network; its first values follow from the seed."""
    scale = net.dim**0.5 if net.unit_length else 1.0
    with seeded(seed):
        return Classifier(net.dim, classes, scale)
