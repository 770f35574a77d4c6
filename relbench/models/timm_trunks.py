"""Trunks of timm: any of its models, by what timm itself says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from inspect import signature
from typing import Any

import torch
from torch import nn

from relbench.extras import needed
from relbench.lookup import lookup
from relbench.models.layouts import CHANNELS_FIRST, Layout, layout_of, named_stages, outputs_of
from relbench.models.trunk import ColourTrunk, TrunkEntry

SMALLEST = 32  # pixels: most of these networks halve their maps five times


@dataclass(frozen=True)
class _Facts:
    """What a model says of itself.

    Attributes:
        features: their number.
        layers: the layers whose maps can be compared, by name.
        layouts: of their outputs, where they are not channels first.
        takes_size: whether it is built for images of one size, which is to be said.
    """

    features: int
    layers: Mapping[str, str]
    layouts: Mapping[str, Layout]
    takes_size: bool


def timm_names() -> list[str]:
    """Names of all models of timm that can be built, without those of their weights."""
    import timm  # noqa: PLC0415 - takes seconds to load, and few runs need it

    return list(timm.list_models())


def timm_entry(model: str) -> TrunkEntry:
    """A model of timm.

    Args:
        model: its name in timm, with or without the tag of its weights, such as "resnet50.a1_in1k".

    Raises:
        ValueError: timm is not installed.
    """
    needed("timm", "timm", f"the trunk timm:{model}")
    facts, config = _facts(_known(model)), _config(model)
    side, fixed = config.input_size[-1], config.fixed_input_size and not facts.takes_size
    return TrunkEntry(
        f"{model} of timm",
        partial(_built, model),
        facts.layers,
        smallest=side if fixed else SMALLEST,
        largest=side if fixed else None,
        any_size=not config.fixed_input_size,
        normalization=(config.mean, config.std),
    )


def _known(model: str) -> str:
    """The model's name, where timm has it, and weights of its tag."""
    from timm.models import is_model, list_pretrained, split_model_name_tag  # noqa: PLC0415

    name, tag = split_model_name_tag(model)
    lookup(
        f"timm:{name}", (f"timm:{each}" for each in timm_names()) if not is_model(name) else [f"timm:{name}"], "trunk"
    )
    if tag:
        lookup(f"timm:{model}", [f"timm:{each}" for each in list_pretrained(name)], "trunk")
    return model


def _config(model: str) -> Any:
    from timm.models import get_pretrained_cfg  # noqa: PLC0415

    return get_pretrained_cfg(model)


def _built(model: str, _width: int | None, _channels: int, size: int | None, _pretrained: bool) -> ColourTrunk:  # noqa: FBT001 - as it is called
    facts = _facts(model)
    sized = {"img_size": size} if facts.takes_size and size else {}
    return ColourTrunk(_network(model, **sized), facts.features, facts.layouts)


def _network(model: str, **options: Any) -> nn.Module:
    import timm  # noqa: PLC0415

    network: nn.Module = timm.create_model(model, num_classes=0, **options)
    return network


@cache
def _facts(model: str) -> _Facts:
    """Found by showing an image without content to the model without its weights, in a tenth of a second."""
    with torch.device("meta"):
        network: Any = _network(model).eval()
        side = network.pretrained_cfg["input_size"][-1]
        told = {each["module"]: each["num_chs"] for each in network.feature_info}
        outputs = outputs_of(network, told, torch.zeros(1, 3, side, side))
    prefix = getattr(network, "num_prefix_tokens", 0)
    layouts = {place: layout_of(outputs.get(place), channels, prefix) for place, channels in told.items()}
    found = {f"network.{place}": layout for place, layout in layouts.items() if layout}
    features = outputs[""]
    return _Facts(
        features.shape[1] if isinstance(features, torch.Tensor) else 0,
        named_stages(found),
        {place: layout for place, layout in found.items() if layout != CHANNELS_FIRST},
        bool(network.pretrained_cfg["fixed_input_size"]) and "img_size" in signature(type(network)).parameters,
    )
