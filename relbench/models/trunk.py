"""A trunk: the network from images to feature vectors below the embedding, and what is known of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

import torch
from torch import nn

from relbench.experiment import Normalization as NormalizationName
from relbench.models.layouts import CHANNELS_FIRST, Layout
from relbench.models.normalization import Constants

Build = Callable[[int | None, int, int | None, bool], "Trunk"]
"""A trunk from its width (null where it has none to choose), the images' channels, their side in pixels (null for any,
where the trunk takes any), and whether it is pretrained."""

State = Mapping[str, torch.Tensor]
"""Weights and buffers of a network, by name."""

NO_LAYOUTS: Mapping[str, Layout] = MappingProxyType({})


class Trunk(nn.Module):
    """A network whose last step makes a vector of its feature map: it averages over places, or lists all of them.

    It takes images in [0, 1], shape (batch, channels, size, size), to features, shape (batch, features).

    Attributes:
        features: the length of the vector.
        normalize: the first step; images stay as they are unless `build_trunk` puts another module here.
        layouts: of the outputs of submodules, by name, where they are not channels first.
        heads: names of what was taken off the library's network, whose weights files of such networks also hold.
    """

    features: int
    layouts: Mapping[str, Layout]
    heads: Sequence[str]

    def __init__(self) -> None:
        super().__init__()
        self.normalize: nn.Module = nn.Identity()
        self.layouts, self.heads = {}, ()

    def layout_of(self, place: str) -> Layout:
        """The layout of a submodule's output."""
        return self.layouts.get(place, CHANNELS_FIRST)


class ColourTrunk(Trunk):
    """A network for images of three channels, which takes grey ones, too: all three channels are then the same.

    Args:
        network: returns feature vectors.
        features: their length.
        layouts: as in `Trunk`.
        heads: as in `Trunk`.
    """

    def __init__(
        self,
        network: nn.Module,
        features: int,
        layouts: Mapping[str, Layout] = NO_LAYOUTS,
        heads: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.features = features
        self.network = network
        self.layouts, self.heads = dict(layouts), tuple(heads)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1], shape (batch, 1 or 3, size, size) -> features after the last pooling."""
        coloured = images.expand(-1, 3, -1, -1)
        features: torch.Tensor = self.network(self.normalize(coloured))
        return features


def _none(_size: int) -> str:
    return ""


def _as_they_are(state: State, _size: int | None) -> State:
    return state


@dataclass(frozen=True)
class TrunkEntry:
    """What is known of a trunk before it is built: an entry of `TRUNKS`, or what another library says of its own.

    `build` makes the trunk; `layers`: the submodules whose maps can be compared with those of another trunk, "stem" and
    then by stage, each at most as large as the last; `scalable`: it has a width; `any_channels`: it takes both grey and
    coloured images; `weights`: source of the pretrained weights, "" where there are none; `smallest` and `largest`:
    input sides in pixels that it can take; `any_size`: once built, it takes images of all these sizes;
    `normalization`: its usual one, by name or by its constants, null for none; `initialize_head`: draws the weights of
    a linear classifier right above it, where the code that is reproduced does not leave that to torch; `foldable`:
    batch normalisations can be folded into its convolutions; `planned_name`:
    its name in plans, where the usual one leaves open which weights are meant; `refusal`: why it can't take images of a
    side in pixels, "" where it can; `adapted`: weights of the library's network, as a file has them, to those of the
    trunk's network for images of a side; `licence`: of its pretrained weights, "" where the library does not say.
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
    foldable: bool = True
    planned_name: str = ""
    refusal: Callable[[int], str] = _none
    adapted: Callable[[State, int | None], State] = _as_they_are
    licence: str = ""


def fresh(make: Callable[[], Trunk]) -> Build:
    """A trunk of a single width without pretrained weights, for images of any channels."""
    return lambda _width, _channels, _size, _pretrained: make()


def check_model(library: str, model: str, names: Sequence[str]) -> None:
    """Refuse a name that a library does not know.

    Args:
        library: as trunks name it.
        model: of the library.
        names: of all its models.

    Raises:
        ValueError: one line with the nearest names.
    """
    if model not in names:
        near = [f"{library}:{name}" for name in get_close_matches(model, names, n=3)]
        hint = f"did you mean {' or '.join(near)}?" if near else f"relbench list --trunks {library}: lists all"
        raise ValueError(f"unknown trunk {f'{library}:{model}'!r}: {hint}")


def stages(layers: Sequence[str], prefix: str = "network") -> dict[str, str]:
    """Names of the layers: "stage1" and so on."""
    return {f"stage{number}": f"{prefix}.{layer}" for number, layer in enumerate(layers, start=1)}


def stem_and_stages(stem: str, *layers: str) -> dict[str, str]:
    """Names of the layers: "stem", then "stage1" and so on."""
    return {"stem": f"network.{stem}", **stages(layers)}


@dataclass(frozen=True)
class Listed:
    """A trunk in a list of names, which is not built for it.

    Attributes:
        name: as settings name it.
        pretrained: whether there are weights for it.
        size: side in pixels of the images that it was made for; None where that is not said.
        summary: what it is, "" where the name says that.
    """

    name: str
    pretrained: bool
    size: int | None = None
    summary: str = ""
