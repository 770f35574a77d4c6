"""A trunk: the network from images to feature vectors below the embedding, and what its entry in `TRUNKS` says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from relbench.experiment import Normalization as NormalizationName

Build = Callable[[int | None, int, int | None, bool], "Trunk"]
"""A trunk from its width (null where it has none to choose), the images' channels, their side in pixels (null for any,
where the trunk takes any), and whether it is pretrained."""


class Trunk(nn.Module):
    """A network whose last step makes a vector of its feature map: it averages over places, or lists all of them.

    It takes images in [0, 1], shape (batch, channels, size, size), to features, shape (batch, features).

    Attributes:
        features: the length of the vector.
        normalize: the first step; images stay as they are unless `build_trunk` puts another module here.
    """

    features: int

    def __init__(self) -> None:
        super().__init__()
        self.normalize: nn.Module = nn.Identity()


class ColourTrunk(Trunk):
    """A network for images of three channels, which takes grey ones, too: all three channels are then the same.

    Args:
        network: returns feature vectors.
        features: their length.
    """

    def __init__(self, network: nn.Module, features: int) -> None:
        super().__init__()
        self.features = features
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1], shape (batch, 1 or 3, size, size) -> features after the last pooling."""
        coloured = images.expand(-1, 3, -1, -1)
        features: torch.Tensor = self.network(self.normalize(coloured))
        return features


@dataclass(frozen=True)
class TrunkEntry:
    """An entry of `TRUNKS`.

    `build` makes the trunk; `layers`: the submodules whose maps can be compared with those of another trunk, "stem" and
    then by stage, each at most as large as the last; `scalable`: it has a width; `any_channels`: it takes both grey and
    coloured images; `weights`: source of the pretrained weights, "" where there are none; `smallest` and `largest`:
    input sides in pixels that it can take; `any_size`: once built, it takes images of all these sizes;
    `normalization`: its usual one, null for none; `initialize_head`: draws the weights of a linear classifier right
    above it, where the code that is reproduced does not leave that to torch.
    """

    summary: str
    build: Build
    layers: Mapping[str, str]
    scalable: bool = False
    any_channels: bool = True
    weights: str = ""
    smallest: int = 32
    largest: int | None = None
    any_size: bool = True
    normalization: NormalizationName | None = "imagenet"
    initialize_head: Callable[[nn.Linear], None] | None = None


def fresh(make: Callable[[], Trunk]) -> Build:
    """A trunk of a single width without pretrained weights, for images of any channels."""
    return lambda _width, _channels, _size, _pretrained: make()


def stages(layers: Sequence[str], prefix: str = "network") -> dict[str, str]:
    """Names of the layers: "stage1" and so on."""
    return {f"stage{number}": f"{prefix}.{layer}" for number, layer in enumerate(layers, start=1)}


def stem_and_stages(stem: str, *layers: str) -> dict[str, str]:
    """Names of the layers: "stem", then "stage1" and so on."""
    return {"stem": f"network.{stem}", **stages(layers)}
