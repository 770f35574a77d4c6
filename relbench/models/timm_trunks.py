"""Trunks of timm: any of its models, by what timm itself says of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import nn

from relbench.extras import needed
from relbench.models.layouts import (
    CHANNELS_FIRST,
    Layout,
    last_of_each_size,
    layout_of,
    named_stages,
    outputs_of,
    places_of_maps,
)
from relbench.models.timm_weights import pretrained_file
from relbench.models.tracing import can_be_traced
from relbench.models.trunk import ColourTrunk, Listed, State, TrunkEntry, check_model
from relbench.models.weight_files import read_state

SMALLEST = 32  # pixels, where a model does not say: most halve their maps five times
LONGEST = 200  # characters of a library's message
NOT_HERE = {"hf_hub_id": None, "url": None, "label_offset": None}
"""What timm is told instead of where it would read weights, since it reads none itself."""


@dataclass(frozen=True)
class _Facts:
    """What a model says of itself, and what it shows when it is built without its weights.

    Attributes:
        features: their number.
        layers: the layers whose maps can be compared, by name.
        layouts: of their outputs, where they are not channels first.
        names: of its weights.
        takes_size: whether it is built for images of one size, which is to be said.
        foldable: as in `TrunkEntry`.
    """

    features: int
    layers: Mapping[str, str]
    layouts: Mapping[str, Layout]
    names: frozenset[str]
    takes_size: bool
    foldable: bool


def timm_names() -> list[str]:
    """Names of all models of timm that can be built, without those of their weights."""
    import timm  # noqa: PLC0415 - takes seconds to load, and few runs need it

    return list(timm.list_models())


def timm_listed() -> Iterator[Listed]:
    """All models of timm; those with pretrained weights once for each."""
    import timm  # noqa: PLC0415

    tagged = timm.list_pretrained()
    without = set(timm.list_models()) - {name.partition(".")[0] for name in tagged}
    for name in sorted([*tagged, *without]):
        yield Listed(f"timm:{name}", name not in without, _config(name).input_size[-1])


def timm_entry(model: str) -> TrunkEntry:
    """A model of timm.

    Args:
        model: its name in timm, with or without the tag of its weights, such as "resnet50.a1_in1k".

    Raises:
        ValueError: timm is not installed; it has no such model, or no such weights of it; the model returns no vector.
    """
    needed("timm", "timm", f"the trunk timm:{model}")
    _check_name(model)
    config, facts = _config(model), _facts(model)
    side, fixed = config.input_size[-1], config.fixed_input_size and not facts.takes_size
    smallest = side if fixed else (config.min_input_size or (3, SMALLEST, SMALLEST))[-1]
    return TrunkEntry(
        f"{model} of timm",
        partial(_built, model),
        facts.layers,
        weights=_source(config),
        smallest=smallest,
        largest=side if fixed else None,
        any_size=not config.fixed_input_size,
        foldable=facts.foldable,
        normalization=(config.mean, config.std),
        planned_name=f"timm:{config.architecture}.{config.tag}"
        if config.tag and config.has_weights
        else f"timm:{model}",
        refusal=partial(_refusal, model),
        adapted=partial(_adapted, model),
        licence=config.license or "",
    )


def _check_name(model: str) -> None:
    from timm.models import is_model, list_pretrained, split_model_name_tag  # noqa: PLC0415

    name, tag = split_model_name_tag(model)
    if not is_model(name):
        check_model("timm", model, timm_names())
    if tag:
        check_model("timm", model, list_pretrained(f"{name}.*"))


def _config(model: str) -> Any:
    """What timm says of a model's weights: their source, and how images are shown to it."""
    from timm.models import get_pretrained_cfg  # noqa: PLC0415

    return get_pretrained_cfg(model)


def _source(config: Any) -> str:
    place = config.hf_hub_id or config.url
    return f"timm {config.architecture}.{config.tag} ({place})" if place else ""


def _built(model: str, _width: int | None, _channels: int, size: int | None, pretrained: bool) -> ColourTrunk:  # noqa: FBT001 - as it is called
    facts = _facts(model)
    trunk = ColourTrunk(_network(model, size), facts.features, facts.layouts, _classifiers(model))
    if pretrained:
        trunk.network.load_state_dict(_pretrained(model, size))
    return trunk


def _network(model: str, size: int | None, **options: Any) -> nn.Module:
    """The model for coloured images, without its classifier unless the options say otherwise."""
    import timm  # noqa: PLC0415

    sized = {"img_size": size} if size and _facts(model).takes_size else {}
    network: nn.Module = timm.create_model(model, **{"num_classes": 0, "in_chans": 3} | sized | options)
    return network


def _classifiers(model: str) -> tuple[str, ...]:
    """Names of the classifier in the weights of the whole model."""
    named = _config(model).classifier or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _pretrained(model: str, size: int | None) -> State:
    config = _config(model)
    path = pretrained_file(model, config)
    try:
        return _of_jax(model, path, size) if path.suffix == ".npz" else _adapted(model, read_state(path), size)
    except Exception as error:  # noqa: BLE001 - a file of another model or version; timm raises nearly anything
        reason = " ".join(str(error).split())[:LONGEST] or type(error).__name__
        raise ValueError(
            f"the weights of timm:{model} could not be loaded ({reason}): delete {path}, or choose weights = random"
        ) from None


def _adapted(model: str, state: State, size: int | None) -> State:
    """Weights of the whole model, or of one without classifier, to those of a trunk, as timm itself adapts them.

    They are put into the whole model, strictly: without its classifier, timm would not mind what is missing.
    """
    classes = next((len(state[f"{name}.weight"]) for name in _classifiers(model) if f"{name}.weight" in state), 0)
    told = NOT_HERE | {"state_dict": dict(state), "num_classes": classes, "custom_load": False}
    return _whole(model, size, classes, told)


def _of_jax(model: str, path: Path, size: int | None) -> State:
    """Weights that were trained in JAX: arrays by name, which numpy reads without unpickling."""
    told = NOT_HERE | {"file": str(path), "custom_load": True}
    return _whole(model, size, _config(model).num_classes, told)


def _whole(model: str, size: int | None, classes: int, told: Mapping[str, Any]) -> State:
    whole = _network(model, size, num_classes=classes, pretrained=True, pretrained_cfg_overlay=dict(told))
    return {name: value for name, value in whole.state_dict().items() if name in _facts(model).names}


@cache
def _facts(model: str) -> _Facts:
    """Found by showing an image without content to the model without its weights, in a tenth of a second."""
    import timm  # noqa: PLC0415

    with torch.device("meta"):
        network: Any = timm.create_model(model, num_classes=0, in_chans=3).eval()
        side = network.pretrained_cfg["input_size"][-1]
        told = _told(network)
        outputs = outputs_of(network, told or places_of_maps(network), torch.zeros(1, 3, side, side))
    features = outputs[""]
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        raise ValueError(f"the trunk timm:{model} returns no vector for an image: choose another")
    prefix = getattr(network, "num_prefix_tokens", 0)
    layouts, sides = _maps(outputs, told, prefix) if told else last_of_each_size(outputs)
    return _Facts(
        features.shape[1],
        named_stages(sides),
        {place: layout for place, layout in layouts.items() if layout != CHANNELS_FIRST},
        frozenset(network.state_dict()),
        bool(network.pretrained_cfg["fixed_input_size"]) and "img_size" in signature(type(network)).parameters,
        can_be_traced(network),
    )


def _told(network: Any) -> dict[str, int]:
    """Channels of the maps that timm lists, by submodule; none where some are no outputs of submodules."""
    told = {each["module"]: each["num_chs"] for each in getattr(network, "feature_info", ())}
    return told if told.keys() <= dict(network.named_modules()).keys() else {}


def _maps(
    outputs: Mapping[str, object], told: Mapping[str, int], prefix: int
) -> tuple[dict[str, Layout], dict[str, int]]:
    """Layouts of those outputs that are maps, and the sides of these maps."""
    layouts, sides = dict[str, Layout](), dict[str, int]()
    for place, channels in told.items():
        output = outputs.get(place)
        layout = layout_of(output, channels, prefix) or layout_of(output, channels)  # a class token may come last
        if layout and isinstance(output, torch.Tensor):
            layouts[f"network.{place}"] = layout
            sides[f"network.{place}"] = layout.as_map(output).shape[-1]
    return layouts, sides


@cache
def _refusal(model: str, size: int) -> str:
    """Why the model can't take images of a size: it is tried, without weights."""
    try:
        with torch.device("meta"), torch.no_grad():
            _network(model, size).eval()(torch.zeros(2, 3, size, size))
    except Exception as error:  # noqa: BLE001 - a model raises nearly anything at a size that it was not made for
        return str(error).partition("\n")[0] or type(error).__name__
    return ""
