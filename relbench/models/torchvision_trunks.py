"""Trunks of torchvision: any of its classifiers, by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from relbench.models.imagenet import AUXILIARY, pretrained_network, random_network
from relbench.models.layouts import (
    CHANNELS_FIRST,
    STAGES,
    Layout,
    last_of_each_size,
    layout_of,
    named_stages,
    outputs_of,
    places_of_maps,
)
from relbench.models.tracing import can_be_traced
from relbench.models.trunk import ColourTrunk, Listed, TrunkEntry, check_model

SIZES = (32, 48, 64, 80, 96, 128, 224)  # pixels that are tried, for the smallest
USUAL = 224  # pixels: what all of these take
_WITHOUT_AUXILIARY = {"aux_logits": False, "init_weights": True}
RANDOM = {"googlenet": _WITHOUT_AUXILIARY, "inception_v3": _WITHOUT_AUXILIARY}
WEIGHTS = "IMAGENET1K_V1"


@dataclass(frozen=True)
class _Facts:
    """What is found by showing an image to a network without weights.

    Attributes:
        features: their number.
        layers: the layers whose maps can be compared, by name.
        layouts: of their outputs, where they are not channels first.
        smallest: side of the images that it can take, in pixels.
        any_size: whether it takes any that are not smaller.
        foldable: as in `TrunkEntry`.
    """

    features: int
    layers: Mapping[str, str]
    layouts: Mapping[str, Layout]
    smallest: int
    any_size: bool
    foldable: bool


def torchvision_names() -> list[str]:
    """Names of torchvision's classifiers of images."""
    from torchvision import models  # noqa: PLC0415 - takes seconds to load, and few runs need it

    return list(models.list_models(module=models))


def torchvision_listed() -> Iterator[Listed]:
    """All of them."""
    return (Listed(f"torchvision:{name}", bool(_file(name))) for name in torchvision_names())


def torchvision_entry(model: str) -> TrunkEntry:
    """A classifier of torchvision.

    Args:
        model: its name there.

    Raises:
        ValueError: there is none.
    """
    check_model("torchvision", model, torchvision_names())
    facts, file = _facts(model), _file(model)
    return TrunkEntry(
        f"{model} of torchvision",
        partial(_built, model),
        facts.layers,
        weights=f"torchvision {model} {WEIGHTS} ({file})" if file else "",
        smallest=facts.smallest,
        largest=None if facts.any_size else facts.smallest,
        any_size=facts.any_size,
        foldable=facts.foldable,
        refusal=partial(_refusal, model),
    )


def _file(model: str) -> str:
    """The file of its ImageNet weights; "" where there are none of its own paper's kind."""
    from torchvision import models  # noqa: PLC0415

    entries = models.get_model_weights(model).__members__
    return Path(entries[WEIGHTS].url).name if WEIGHTS in entries else ""


def _built(model: str, _width: int | None, _channels: int, _size: int | None, pretrained: bool) -> ColourTrunk:  # noqa: FBT001 - as it is called
    facts = _facts(model)
    network = pretrained_network(model) if pretrained else _random(model)
    head = _remove_head(network)
    return ColourTrunk(network, facts.features, facts.layouts, (head, *AUXILIARY))


def _random(model: str) -> nn.Module:
    options: dict[str, Any] = RANDOM.get(model, {})
    return random_network(model, **options)


def _remove_head(network: nn.Module) -> str:
    """Take off a classifier's last layer, and the dropout right before it; returns the layer's name.

    The last layer is a linear one, or in SqueezeNet a convolution, whatever it is called.
    """
    head = [name for name, part in network.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)][-1]
    network.set_submodule(head, nn.Identity())
    parent, _, place = head.rpartition(".")
    beside = network.get_submodule(parent)
    if isinstance(beside, nn.Sequential) and place.isdigit() and int(place) > 0:
        before = int(place) - 1
        beside[before] = nn.Identity() if isinstance(beside[before], nn.Dropout) else beside[before]
    return str(head)


@cache
def _facts(model: str) -> _Facts:
    """Found by showing images without content to the network without its weights."""
    with torch.device("meta"):
        network = _random(model).eval()
        _remove_head(network)
        outputs = outputs_of(network, places_of_maps(network), torch.zeros(1, 3, USUAL, USUAL))
    features = outputs[""]
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        raise ValueError(f"the trunk torchvision:{model} returns no vector for an image: choose another")
    layouts, sides = _tokens(outputs) if hasattr(network, "encoder") else last_of_each_size(outputs)
    smallest = next(size for size in SIZES if not _refusal(model, size))
    return _Facts(
        features.shape[1],
        named_stages(sides),
        {place: layout for place, layout in layouts.items() if layout != CHANNELS_FIRST},
        smallest,
        any_size=smallest < USUAL,
        foldable=can_be_traced(network),
    )


def _tokens(outputs: Mapping[str, object]) -> tuple[dict[str, Layout], dict[str, int]]:
    """A transformer's blocks, whose tokens follow that of the class."""
    names = [name for name in outputs if name.startswith("encoder.layers.") and name.count(".") == 2]
    layouts = {f"network.{name}": layout for name in names if (layout := layout_of(outputs[name], None, prefix=1))}
    assert len(layouts) >= STAGES
    return layouts, dict.fromkeys(layouts, 1)


@cache
def _refusal(model: str, size: int) -> str:
    """Why the network can't take images of a size: it is tried, without weights."""
    try:
        with torch.device("meta"), torch.no_grad():
            _random(model).eval()(torch.zeros(2, 3, size, size))
    except Exception as error:  # noqa: BLE001 - a network raises nearly anything at a size that it was not made for
        return str(error).partition("\n")[0] or type(error).__name__
    return ""
