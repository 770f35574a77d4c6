"""Embedding networks: trunk, linear layer, optional unit length."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import normalize

from relbench.experiment import Experiment, Net
from relbench.models.trunk import Trunk
from relbench.models.trunks import build_trunk
from relbench.seeding import seeded
from relbench.settings import changed


class Embedder(nn.Module):
    """Network from images to embeddings.

    Args:
        trunk: returns `trunk.features` numbers per image.
        dim: length of an embedding; None for the trunk's features, without a linear layer.
        unit_length: whether embeddings are scaled to Euclidean length 1.
    """

    def __init__(self, trunk: Trunk, dim: int | None, *, unit_length: bool) -> None:
        super().__init__()
        self.trunk = trunk
        self.linear: nn.Module = nn.Identity() if dim is None else nn.Linear(trunk.features, dim)
        self.unit_length = unit_length
        self._layout = torch.contiguous_format

    def with_channels_last(self) -> Self:
        """The network with weights and images laid out channels last, which changes numbers only by rounding."""
        self._layout = torch.channels_last
        return self.to(memory_format=self._layout)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images, shape (batch, channels, size, size) -> embeddings, shape (batch, dim).

        Images are floats in [0, 1], or bytes, which are scaled here, on the device: they are transferred in a quarter
        of the size.
        """
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        embeddings: torch.Tensor = self.linear(self.trunk(scaled.contiguous(memory_format=self._layout)))
        return normalize(at_least_float32(embeddings), dim=1) if self.unit_length else embeddings


def at_least_float32(numbers: torch.Tensor) -> torch.Tensor:
    """The numbers in float32, where their type is a smaller one."""
    return numbers if numbers.dtype == torch.float64 else numbers.float()


def build_embedder(net: Net, channels: int, seed: int, size: int | None = None) -> Embedder:
    """A new network, with random weights from a seed, or ImageNet's where the settings ask for them.

    Args:
        net: its settings.
        channels: of the images.
        seed: of the weights.
        size: side of the images in pixels; None for any, which not every trunk takes.

    Raises:
        ValueError: pretrained weights are not on disk and can't be downloaded; the trunk needs a size.
    """
    with seeded(seed):
        return Embedder(build_trunk(net, channels, size), net.dim, unit_length=net.unit_length)


def initial_network(experiment: Experiment, channels: int) -> Embedder:
    """A run's network before its first step.

    Args:
        experiment: the run.
        channels: of its images.

    Raises:
        ValueError: pretrained weights are not on disk and can't be downloaded.
    """
    return build_embedder(experiment.net, channels, experiment.seed, experiment.data.size)


def blank_network(experiment: Experiment, channels: int) -> Embedder:
    """A run's network, for weights that were trained: a file that it began with is not read again.

    Arguments and errors: as `initial_network`.
    """
    net = experiment.net
    began = changed(net, {"weights": "random", "weights_content": ""}) if net.weights_file else net
    return build_embedder(began, channels, experiment.seed, experiment.data.size)


def build_features(net: Net, channels: int, seed: int, size: int | None = None) -> Embedder:
    """A new network without its last layer: its embeddings are the trunk's features.

    For networks that are not trained, whose linear layer would be random. Arguments and errors: as `build_embedder`.
    """
    network = build_embedder(net, channels, seed, size)
    network.linear, network.unit_length = nn.Identity(), False
    return network


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients inside a `with`; the earlier mode is restored after it."""
    mode = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(mode)


def embed(network: nn.Module, batches: Iterator[torch.Tensor], device: torch.device) -> NDArray[np.float32]:
    """Embeddings of batches of images, in evaluation mode.

    Args:
        network: from images to embeddings.
        batches: images as `Embedder` takes them, shape (batch, channels, size, size).
        device: of the network.

    Returns:
        Embeddings, float32, shape (images, dim).
    """
    with evaluating(network):
        parts = [network(images.to(device)).float().cpu().numpy() for images in batches]
    return np.concatenate(parts)
