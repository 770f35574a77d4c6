"""Embedding networks: trunk, linear layer, optional unit length."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import normalize

from relbench.experiment import Net
from relbench.models.trunks import TRUNKS, Trunk
from relbench.seeding import seeded


class Embedder(nn.Module):
    """From images to embeddings.

    Args:
        trunk: gives `trunk.features` numbers an image.
        dim: length of an embedding.
        unit_length: whether embeddings are scaled to Euclidean length 1.
    """

    def __init__(self, trunk: Trunk, dim: int, *, unit_length: bool) -> None:
        super().__init__()
        self.trunk = trunk
        self.linear: nn.Module = nn.Linear(trunk.features, dim)
        self.unit_length = unit_length
        self._layout = torch.contiguous_format

    def with_channels_last(self) -> Self:
        """Keep weights and images in memory with their channels last; changes no number beyond rounding."""
        self._layout = torch.channels_last
        return self.to(memory_format=self._layout)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images, shape (batch, channels, size, size) -> embeddings, shape (batch, dim).

        Images are floats in [0, 1], or bytes, which are scaled to that here: on the device, where they came in a
        quarter of the size.
        """
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        embeddings: torch.Tensor = self.linear(self.trunk(scaled.contiguous(memory_format=self._layout)))
        return normalize(embeddings.float(), dim=1) if self.unit_length else embeddings


def build_embedder(net: Net, channels: int, seed: int) -> Embedder:
    """Make the network with random weights from a seed (or ImageNet's, where the settings say so).

    Raises:
        ValueError: pretrained weights are neither on disk nor to be fetched.
    """
    with seeded(seed):
        trunk = TRUNKS[net.trunk].build(net.width, channels, net.weights == "imagenet")
        return Embedder(trunk, net.dim, unit_length=net.unit_length)


def build_features(net: Net, channels: int, seed: int) -> Embedder:
    """Make the network without its last steps: its embeddings are the trunk's features as they are.

    For a network that is not trained: there, the linear layer's numbers would be random.

    Raises:
        ValueError: pretrained weights are neither on disk nor to be fetched.
    """
    network = build_embedder(net, channels, seed)
    network.linear, network.unit_length = nn.Identity(), False
    return network


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Run in evaluation mode without gradients, and go back to the mode before."""
    mode = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(mode)


def embed(network: nn.Module, batches: Iterator[torch.Tensor], device: torch.device) -> NDArray[np.float32]:
    """Embed batches of images in evaluation mode.

    Args:
        network: from images to embeddings.
        batches: of images as `Embedder` takes them, shape (batch, channels, size, size).
        device: where the network is.

    Returns:
        Embeddings, float32, shape (images, dim).
    """
    with evaluating(network):
        parts = [network(images.to(device)).float().cpu().numpy() for images in batches]
    return np.concatenate(parts)
