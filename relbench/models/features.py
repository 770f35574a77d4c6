"""Features of a network: its embeddings, and the maps of some of its layers."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import nn

from relbench.experiment import EMBEDDING, Net
from relbench.lookup import lookup
from relbench.models.embedder import Embedder, evaluating
from relbench.models.trunks import TRUNKS

Outputs = tuple[torch.Tensor, dict[str, torch.Tensor]]  # embeddings; maps by layer, the embeddings among them


def layers_of(net: Net) -> list[str]:
    """Names of the layers whose output can be compared."""
    return [*TRUNKS[net.trunk].layers, EMBEDDING]


class FeatureExtractor(nn.Module):
    """A network that returns its embeddings and the maps of some of its layers.

    Args:
        network: the network; this module's only submodule.
        net: its settings.
        layers: names from `layers_of`.

    Raises:
        ValueError: the network has no such layer.
    """

    def __init__(self, network: Embedder, net: Net, layers: Iterable[str]) -> None:
        super().__init__()
        self.network = network
        names = dict.fromkeys(lookup(layer, layers_of(net), f"layer of {net.trunk}") for layer in layers)
        self._places = {name: TRUNKS[net.trunk].layers[name] for name in names if name != EMBEDDING}

    def forward(self, images: torch.Tensor) -> Outputs:
        """Images, as `Embedder` takes them -> embeddings, and maps ``(batch, channels, height, width)`` by layer."""
        maps: dict[str, torch.Tensor] = {}
        parts = {name: self.network.trunk.get_submodule(place) for name, place in self._places.items()}
        handles = [part.register_forward_hook(partial(_keep, maps, name)) for name, part in parts.items()]
        try:
            embeddings = self.network(images)
        finally:
            for handle in handles:
                handle.remove()
        return embeddings, {**maps, EMBEDDING: embeddings}

    def shapes(self, channels: int, size: int) -> dict[str, torch.Size]:
        """Shape of each layer's map of an image of `channels` x `size` x `size`, without the batch."""
        device = next(self.network.parameters()).device
        with evaluating(self.network):
            _, maps = self(torch.zeros(1, channels, size, size, device=device))
        return {name: features.shape[1:] for name, features in maps.items()}


def _keep(maps: dict[str, torch.Tensor], name: str, _part: nn.Module, _given: object, output: torch.Tensor) -> None:
    maps[name] = output
