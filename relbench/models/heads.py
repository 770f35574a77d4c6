"""The linear classifier on embeddings that is trained along with a network, for losses that take logits."""

import torch
from torch import nn

from relbench.experiment import Net
from relbench.models.outlines import embedding_size
from relbench.models.trunks import find_trunk
from relbench.seeding import seeded


class Classifier(nn.Linear):
    """Linear layer from scaled embeddings to logits.

    Embeddings of unit length are first multiplied by the square root of their dimension, so that their coordinates are
    of order 1, like the features below most linear classifiers. Unscaled, logits would be so small that a short
    training leaves all classes nearly equally probable.

    Args:
        dim: of the embeddings.
        classes: number of classes.
        scale: factor of the embeddings.
    """

    def __init__(self, dim: int, classes: int, scale: float) -> None:
        super().__init__(dim, classes)
        self.scale = scale

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Embeddings, shape (batch, dim) -> logits, shape (batch, classes)."""
        return super().forward(self.scale * embeddings)


def build_classifier(net: Net, size: int, classes: int, seed: int) -> Classifier:
    """A new classifier for the embeddings of a network; its initial values follow from the seed.

    Right above a trunk, they are drawn as the code does that the trunk reproduces.

    Args:
        net: settings of the network.
        size: side of its images in pixels.
        classes: number of classes.
        seed: of the initial values.
    """
    dim = embedding_size(net, size)
    scale = dim**0.5 if net.unit_length else 1.0
    initialize = find_trunk(net.trunk).initialize_head if net.dim is None else None
    with seeded(seed):
        head = Classifier(dim, classes, scale)
        if initialize:
            initialize(head)
    return head
