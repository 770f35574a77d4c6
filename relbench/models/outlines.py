"""Outlines of networks: the shapes of their parameters and maps, for plans of runs that are not made yet.

Weights of any origin have the same shapes, so those of pretrained networks are not read. A network is built in memory
and its weights are dropped, since torch loads its compiler, which takes a second and 110 MB, before it initialises a
weight on its device for shapes alone ("meta"). (torchvision loads the compiler in any case.)
"""

from collections.abc import Mapping
from functools import cache

import torch

from relbench.experiment import EMBEDDING, Net
from relbench.models.embedder import Embedder, build_embedder
from relbench.models.features import FeatureExtractor
from relbench.seeding import seeded
from relbench.settings import changed


@cache
def outline(net: Net, channels: int, size: int) -> Embedder:
    """The network for images of `channels` x `size` x `size` without its weights: it can be counted, not compute."""
    trunk = _outlined(_of_one_dimension(net), channels, size).trunk
    with seeded(0):  # torch's global generator is left as it is
        return Embedder(trunk, net.dim, unit_length=net.unit_length).to("meta")


def shapes_of_maps(net: Net, layers: tuple[str, ...], channels: int, size: int) -> Mapping[str, torch.Size]:
    """Shape of each layer's map of an image of `channels` x `size` x `size`, without the batch; of the embedding, too.

    Raises:
        ValueError: the network has no such layer.
    """
    inner = tuple(layer for layer in layers if layer != EMBEDDING)
    maps = _shapes_inside(_of_one_dimension(net), inner, channels, size) if inner else {}
    return {**maps, EMBEDDING: torch.Size([embedding_size(net, size)])}


def embedding_size(net: Net, size: int) -> int:
    """Dimensions of the embedding: of the linear layer's output, or of the trunk's features where there is none.

    Args:
        net: settings of the network.
        size: side of its images in pixels.
    """
    return net.dim or _outlined(_of_one_dimension(net), 3, size).trunk.features  # the same for any channels


def _of_one_dimension(net: Net) -> Net:
    """Tables have many networks that differ in the dimension of the embedding alone."""
    return changed(net, {"weights": "random", "weights_content": "", "dim": 1})


@cache
def _outlined(net: Net, channels: int, size: int) -> Embedder:
    return build_embedder(net, channels, 0, size).to("meta")


@cache
def _shapes_inside(net: Net, layers: tuple[str, ...], channels: int, size: int) -> dict[str, torch.Size]:
    """Found by showing one image to the network."""
    return FeatureExtractor(build_embedder(net, channels, 0, size), net, layers).shapes(channels, size)
