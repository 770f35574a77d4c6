"""A network that only answers, never learns, with each batch normalisation folded into the convolution before it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import cast

from torch import nn
from torch.fx import Node, symbolic_trace
from torch.nn.utils.fusion import fuse_conv_bn_eval

from relbench.experiment import EMBEDDING, Net
from relbench.lookup import lookup
from relbench.models.embedder import Embedder
from relbench.models.trunks import find_trunk

Pair = tuple[str, str]  # names of a convolution and of the batch normalisation of its output


def folded(network: Embedder, net: Net, layers: Iterable[str] = ()) -> Embedder:
    """A copy for evaluation, with batch normalisation folded into convolutions; its outputs differ by rounding.

    With running mean m and variance v, scale g and shift b, the normalisation of a convolution's output y is
    ``g (y - m) / sqrt(v + eps) + b``: the convolution with weights scaled by ``g / sqrt(v + eps)`` and another bias. So
    a pass over each of the trunk's maps is spared. A network that torch.fx can't follow stays as it is.

    Args:
        network: left as it is.
        net: its settings.
        layers: names from `layers_of` whose maps are compared. A convolution whose own output is such a map keeps its
            normalisation, so that all these maps are the network's.

    Returns:
        The copy, in evaluation mode and the same memory format. It must not be trained.

    Raises:
        ValueError: the network has no such layer.
    """
    entry = find_trunk(net.trunk)
    shown = {entry.layers[lookup(name, entry.layers, f"layer of {net.trunk}")] for name in layers if name != EMBEDDING}
    copy = deepcopy(network).eval()
    if not entry.foldable:
        return copy
    for convolution, normalisation in list(_pairs(copy.trunk)):
        if not any(_within(convolution, part) and not _within(normalisation, part) for part in shown):
            _fold(copy.trunk, convolution, normalisation)
    return copy


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _pairs(trunk: nn.Module) -> Iterator[Pair]:
    """Convolutions whose output goes to a batch normalisation alone, each module being used once."""
    calls = [node for node in symbolic_trace(trunk).graph.nodes if node.op == "call_module"]
    uses = Counter(_name(node) for node in calls)
    for node in calls:
        before, *others = node.all_input_nodes
        if others or before not in calls or len(before.users) > 1:
            continue
        pair = _name(before), _name(node)
        kinds = [type(trunk.get_submodule(name)) for name in pair]
        if kinds == [nn.Conv2d, nn.BatchNorm2d] and uses[pair[0]] == uses[pair[1]] == 1:
            yield pair


def _name(call: Node) -> str:
    return str(call.target)


def _fold(trunk: nn.Module, convolution: str, normalisation: str) -> None:
    before, after = trunk.get_submodule(convolution), trunk.get_submodule(normalisation)
    trunk.set_submodule(convolution, fuse_conv_bn_eval(cast("nn.Conv2d", before), cast("nn.BatchNorm2d", after)))
    trunk.set_submodule(normalisation, nn.Identity())
