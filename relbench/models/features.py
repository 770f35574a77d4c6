"""Features of a network: its embeddings, and the maps of some of its layers."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import nn

from relbench.experiment import EMBEDDING, Net
from relbench.lookup import lookup
from relbench.models.embedder import Embedder, evaluating
from relbench.models.layouts import Layout
from relbench.models.trunks import find_trunk

RECOMPILE_LIMIT = 256
"""Networks, sizes and modes that a process may compile: beyond 8, torch would go back to uncompiled ones."""

Outputs = tuple[torch.Tensor, dict[str, torch.Tensor]]  # embeddings; maps by layer, the embeddings among them


def layers_of(net: Net) -> list[str]:
    """Names of the layers whose output can be compared."""
    return [*find_trunk(net.trunk).layers, EMBEDDING]


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
        places = find_trunk(net.trunk).layers
        self._places = {name: places[name] for name in names if name != EMBEDDING}

    def forward(self, images: torch.Tensor) -> Outputs:
        """Images, as `Embedder` takes them -> embeddings, and maps ``(batch, channels, height, width)`` by layer."""
        maps: dict[str, torch.Tensor] = {}
        handles = [
            part.register_forward_hook(partial(_keep, maps, name, self.layout(name)))
            for name, part in self.parts().items()
        ]
        try:
            embeddings = self.network(images)
        finally:
            for handle in handles:
                handle.remove()
        return embeddings, {**maps, EMBEDDING: embeddings}

    def parts(self) -> dict[str, nn.Module]:
        """The layers other than the embedding, by name."""
        return {name: self.network.trunk.get_submodule(place) for name, place in self._places.items()}

    def layout(self, name: str) -> Layout:
        """How the output of a layer other than the embedding holds its map."""
        return self.network.trunk.layout_of(self._places[name])

    def shapes(self, channels: int, size: int) -> dict[str, torch.Size]:
        """Shape of each layer's map of an image of `channels` x `size` x `size`, without the batch."""
        device = next(self.network.parameters()).device
        with evaluating(self.network):
            _, maps = self(torch.zeros(1, channels, size, size, device=device))
        return {name: features.shape[1:] for name, features in maps.items()}


class CompiledFeatures(nn.Module):
    """A feature extractor whose network `torch.compile` has compiled: the same outputs, to rounding.

    The first batch loads the compiler, and takes seconds to minutes; so does the first of another size, as sizes are
    built in. The network itself stays as it is: called by others, as in a validation, it computes uncompiled, and its
    weights keep their names.

    Args:
        features: whose network is compiled.
    """

    def __init__(self, features: FeatureExtractor) -> None:
        super().__init__()
        self.network = features.network
        self._maps: dict[str, torch.Tensor] = {}
        self._is_asked = False
        for name, part in features.parts().items():  # once for all: hooks that come and go would not be compiled
            part.register_forward_hook(partial(self._keep, name, features.layout(name)))
        self._embed = torch.compile(self._embeddings, dynamic=False)

    def forward(self, images: torch.Tensor) -> Outputs:
        """As `FeatureExtractor`."""
        self._is_asked = True
        try:
            with torch._dynamo.config.patch(recompile_limit=RECOMPILE_LIMIT):  # noqa: SLF001 - torch's name for switches
                embeddings = self._embed(images)
            return embeddings, {**self._maps, EMBEDDING: embeddings}
        finally:  # what is compiled begins with none; and one that has failed keeps no memory
            self._is_asked = False
            self._maps.clear()

    def _embeddings(self, images: torch.Tensor) -> torch.Tensor:
        embeddings: torch.Tensor = self.network(images)
        return embeddings

    def _keep(self, name: str, layout: Layout, _part: nn.Module, _given: object, output: torch.Tensor) -> None:
        if self._is_asked:
            self._maps[name] = layout.as_map(output)


def _keep(
    maps: dict[str, torch.Tensor], name: str, layout: Layout, _part: nn.Module, _given: object, output: torch.Tensor
) -> None:
    maps[name] = layout.as_map(output)
