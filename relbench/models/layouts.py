"""Maps of layers in one layout, whatever a library's: channels first, channels last, or tokens."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Literal

import torch
from torch import nn

STAGES = 4
GROWTH = 1.5  # of the side of a map from a stage to the one before it, at least; usually 2

Kind = Literal["channels first", "channels last", "tokens"]


@dataclass(frozen=True)
class Layout:
    """How a layer's output holds a map.

    `prefix`: tokens before those of the places, such as a class token; the others are the places of a square, row by
    row.
    """

    kind: Kind
    prefix: int = 0

    def as_map(self, output: torch.Tensor) -> torch.Tensor:
        """A layer's output -> the same numbers as a map, shape (batch, channels, height, width)."""
        if self.kind == "channels last":
            return output.permute(0, 3, 1, 2)
        if self.kind == "tokens":
            places = output[:, self.prefix :].transpose(1, 2)
            side = isqrt(places.shape[2])
            return places.reshape(*places.shape[:2], side, side)
        return output


CHANNELS_FIRST = Layout("channels first")


def layout_of(output: object, channels: int | None, prefix: int = 0) -> Layout | None:
    """The layout of a layer's output for a square image; None where it is no map.

    Args:
        output: of the layer.
        channels: of its map; None where they are not known.
        prefix: tokens before those of the places, where the output is a sequence of tokens.

    Example:
        >>> layout_of(torch.zeros(1, 7, 7, 96), 96)
        Layout(kind='channels last', prefix=0)
        >>> layout_of(torch.zeros(1, 5, 96), 96, prefix=1)
        Layout(kind='tokens', prefix=1)
    """
    if not isinstance(output, torch.Tensor):
        return None
    if output.ndim == 4:
        return _layout_of_map(output.shape, channels)
    places = output.shape[1] - prefix if output.ndim == 3 else 0
    fits = places > 0 and isqrt(places) ** 2 == places and channels in (None, output.shape[-1])
    return Layout("tokens", prefix) if fits else None


def _layout_of_map(shape: torch.Size, channels: int | None) -> Layout | None:
    _, first, second, third = shape
    if second == third and channels in (None, first):
        return CHANNELS_FIRST
    return Layout("channels last") if first == second and channels in (None, third) else None


def outputs_of(network: nn.Module, places: Iterable[str], images: torch.Tensor) -> Mapping[str, object]:
    """What submodules return when a network is shown images, by name; only those that are called once.

    Args:
        network: in evaluation mode.
        places: names of submodules.
        images: as the network takes them.

    Returns:
        Outputs in the order in which the submodules returned them, "" being the network's own.
    """
    found: dict[str, object] = {}
    calls: dict[str, int] = {}

    def keep(place: str, output: object) -> None:
        calls[place] = calls.get(place, 0) + 1
        found[place] = output

    modules = {place: network.get_submodule(place) for place in places}
    handles = [
        module.register_forward_hook(lambda _module, _given, output, place=place: keep(place, output))
        for place, module in modules.items()
    ]
    try:
        with torch.no_grad():
            found[""] = network(images)
    finally:
        for handle in handles:
            handle.remove()
    return {place: output for place, output in found.items() if calls.get(place, 1) == 1}


def places_of_maps(network: nn.Module) -> list[str]:
    """Names of the submodules whose outputs may be maps; a pooling to a fixed size is none, as it may enlarge them."""
    return [name for name, part in network.named_modules() if name and not isinstance(part, nn.AdaptiveAvgPool2d)]


def last_of_each_size(outputs: Mapping[str, object]) -> tuple[dict[str, Layout], dict[str, int]]:
    """Of the outputs that are maps of a size, the last of the outermost.

    Args:
        outputs: of a network's submodules, by name, in their order.

    Returns:
        Layouts, and sides of the maps, by the submodules' names within a trunk.
    """
    found: dict[int, tuple[str, Layout]] = {}
    for place, output in outputs.items():
        layout = layout_of(output, None) if isinstance(output, torch.Tensor) and output.ndim == 4 else None
        if not place or not layout or not isinstance(output, torch.Tensor) or len(output) > 1:  # windows are no batch
            continue
        side = layout.as_map(output).shape[-1]
        if side not in found or place.count(".") <= found[side][0].count("."):
            found[side] = place, layout
    kept = {f"network.{found[side][0]}": (found[side][1], side) for side in reversed(_halved(found))}
    return {name: layout for name, (layout, _) in kept.items()}, {name: side for name, (_, side) in kept.items()}


def _halved(sides: Iterable[int]) -> list[int]:
    """Sides of maps, rising, without those that are hardly larger than the one before: borders that were cut off."""
    found: list[int] = []
    for side in sorted(side for side in sides if side > 1):
        if not found or side >= GROWTH * found[-1]:
            found.append(side)
    return found


def named_stages(sides: Mapping[str, int]) -> dict[str, str]:
    """Names of layers from the image up: the last four are the stages, and the one before them is the stem.

    Where many layers have maps of the same size, as a transformer's, the stages end at its quarters instead.

    Args:
        sides: of the layers' maps, in pixels, by place, in the order in which images go through them.

    Example:
        >>> named_stages({"conv1": 112, "layer1": 56, "layer2": 28, "layer3": 14, "layer4": 7})["stem"]
        'conv1'
        >>> named_stages({f"blocks.{number}": 14 for number in range(12)})
        {'stage1': 'blocks.2', 'stage2': 'blocks.5', 'stage3': 'blocks.8', 'stage4': 'blocks.11'}
    """
    places = list(sides)
    if len(places) > STAGES and len(set(sides.values())) < len(places):
        places = [places[len(places) * quarter // STAGES - 1] for quarter in range(1, STAGES + 1)]
    stem = {"stem": places[-STAGES - 1]} if len(places) > STAGES else {}
    return stem | {f"stage{number}": place for number, place in enumerate(places[-STAGES:], start=1)}
