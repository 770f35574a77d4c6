"""A trunk: the network from images to feature vectors below the embedding, and what is known of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn

from relbench.experiment import Normalization as NormalizationName
from relbench.models.layouts import CHANNELS_FIRST, Layout
from relbench.models.normalization import Constants

Build = Callable[[int | None, int, int | None, bool], "Trunk"]
"""A trunk from its width (null where it has none to choose), the images' channels, their side in pixels (null for any,
where the trunk takes any), and whether it is pretrained."""

NO_LAYOUTS: Mapping[str, Layout] = MappingProxyType({})


class Trunk(nn.Module):
    """A network whose last step makes a vector of its feature map: it averages over places, or lists all of them.

    It takes images in [0, 1], shape (batch, channels, size, size), to features, shape (batch, features).

    Attributes:
        features: the length of the vector.
        normalize: the first step; images stay as they are unless `build_trunk` puts another module here.
        layouts: of the outputs of submodules, by name, where they are not channels first.
    """

    features: int
    layouts: Mapping[str, Layout]

    def __init__(self) -> None:
        super().__init__()
        self.normalize: nn.Module = nn.Identity()
        self.layouts = {}

    def layout_of(self, place: str) -> Layout:
        """The layout of a submodule's output."""
        return self.layouts.get(place, CHANNELS_FIRST)


class ColourTrunk(Trunk):
    """A network for images of three channels, which takes grey ones, too: all three channels are then the same.

    Args:
        network: returns feature vectors.
        features: their length.
        layouts: as in `Trunk`.
    """

    def __init__(self, network: nn.Module, features: int, layouts: Mapping[str, Layout] = NO_LAYOUTS) -> None:
        super().__init__()
        self.features = features
        self.network = network
        self.layouts = dict(layouts)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1], shape (batch, 1 or 3, size, size) -> features after the last pooling."""
        coloured = images.expand(-1, 3, -1, -1)
        features: torch.Tensor = self.network(self.normalize(coloured))
        return features


@dataclass(frozen=True)
class TrunkEntry:
    """What is known of a trunk before it is built: an entry of `TRUNKS`, or what another library says of its own.

    `build` makes the trunk; `layers`: the submodules whose maps can be compared with those of another trunk, "stem" and
    then by stage, each at most as large as the last; `scalable`: it has a width; `any_channels`: it takes both grey and
    coloured images; `weights`: source of the pretrained weights, "" where there are none; `smallest` and `largest`:
    input sides in pixels that it can take; `any_size`: once built, it takes images of all these sizes;
    `normalization`: its usual one, by name or by its constants, null for none; `initialize_head`: draws the weights of
    a linear classifier right above it, where the code that is reproduced does not leave that to torch.
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
    normalization: NormalizationName | Constants | None = "imagenet"
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
