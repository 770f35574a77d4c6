"""Trunks of torchvision: any of its classifiers, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from relbench.lookup import lookup
from relbench.models.layouts import CHANNELS_FIRST, Layout, layout_of, named_stages, outputs_of
from relbench.models.trunk import ColourTrunk, TrunkEntry

SMALLEST = 32  # pixels


@dataclass(frozen=True)
class _Facts:
    """What is found by showing an image to a network without weights.

    Attributes:
        features: their number.
        layers: the last submodule of each size of a map, by name.
        layouts: of their outputs, where they are not channels first.
    """

    features: int
    layers: Mapping[str, str]
    layouts: Mapping[str, Layout]


def torchvision_names() -> list[str]:
    """Names of torchvision's classifiers of images."""
    from torchvision import models  # noqa: PLC0415 - takes seconds to load, and few runs need it

    return list(models.list_models(module=models))


def torchvision_entry(model: str) -> TrunkEntry:
    """A classifier of torchvision.

    Args:
        model: its name there.
    """
    lookup(f"torchvision:{model}", [f"torchvision:{each}" for each in torchvision_names()], "trunk")
    facts = _facts(model)
    return TrunkEntry(f"{model} of torchvision", partial(_built, model), facts.layers)


def _built(model: str, _width: int | None, _channels: int, _size: int | None, _pretrained: bool) -> ColourTrunk:  # noqa: FBT001 - as it is called
    facts = _facts(model)
    return ColourTrunk(_without_head(_network(model)), facts.features, facts.layouts)


def _network(model: str) -> nn.Module:
    from torchvision import models  # noqa: PLC0415

    options: dict[str, Any] = {"googlenet": {"aux_logits": False}, "inception_v3": {"aux_logits": False}}.get(model, {})
    if options:
        options["init_weights"] = True
    network: nn.Module = models.get_model(model, weights=None, **options)
    return network


def _without_head(network: nn.Module) -> nn.Module:
    """A classifier without its last layer, and without the dropout right before that."""
    name = [name for name, part in network.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)][-1]
    parent, _, last = name.rpartition(".")
    network.set_submodule(name, nn.Identity())
    beside = network.get_submodule(parent)
    before = f"{int(last) - 1}" if isinstance(beside, nn.Sequential) and last != "0" else ""
    if before and isinstance(beside.get_submodule(before), nn.Dropout):
        beside.set_submodule(before, nn.Identity())
    return network


@cache
def _facts(model: str) -> _Facts:
    with torch.device("meta"):
        network = _without_head(_network(model)).eval()
        outputs = outputs_of(
            network, [name for name, _ in network.named_modules() if name], torch.zeros(1, 3, 224, 224)
        )
    last: dict[int, tuple[str, Layout]] = {}
    for place, output in outputs.items():
        layout = layout_of(output, None) if isinstance(output, torch.Tensor) and output.ndim == 4 else None
        if layout:
            last[layout.as_map(output).shape[-1]] = (f"network.{place}", layout)  # type: ignore[arg-type]
    found = dict(last[side] for side in sorted(last, reverse=True) if side > 1)
    features = outputs[""]
    return _Facts(
        features.shape[1] if isinstance(features, torch.Tensor) else 0,
        named_stages(found),
        {place: layout for place, layout in found.items() if layout != CHANNELS_FIRST},
    )
