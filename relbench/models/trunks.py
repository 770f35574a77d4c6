"""The trunks by name; to build one as the settings of a network say; where pretrained weights come from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from relbench.experiment import Net
from relbench.lookup import lookup
from relbench.models.cifar import CIFAR
from relbench.models.conv4 import CONV4
from relbench.models.conv4_maxpool import CONV4_MAXPOOL
from relbench.models.imagenet import IMAGENET
from relbench.models.normalization import Normalization
from relbench.models.refilled import REFILLED
from relbench.models.repdistiller import REPDISTILLER
from relbench.models.timm_trunks import timm_entry, timm_names
from relbench.models.torchvision_trunks import torchvision_entry, torchvision_names
from relbench.models.trunk import Trunk, TrunkEntry

TRUNKS = {**CONV4, **CONV4_MAXPOOL, **IMAGENET, **CIFAR, **REPDISTILLER, **REFILLED}
"""The house's own, which reproduce a published code, or stand in for one."""


@dataclass(frozen=True)
class Library:
    """Another library, each of whose models is a trunk.

    Attributes:
        names: of its models.
        entry: what is known of a model.
    """

    names: Callable[[], list[str]]
    entry: Callable[[str], TrunkEntry]


LIBRARIES: Mapping[str, Library] = {
    "timm": Library(timm_names, timm_entry),
    "torchvision": Library(torchvision_names, torchvision_entry),
}
"""Libraries by the name that precedes a model's: "timm:resnet50d"."""


def find_trunk(name: str) -> TrunkEntry:
    """A trunk by its name: one of `TRUNKS`, or a model of a library, such as "timm:resnet50d".

    Raises:
        ValueError: there is none; one line with the nearest names.
    """
    return TRUNKS[name] if name in TRUNKS else _of_library(name)


@cache
def _of_library(name: str) -> TrunkEntry:
    library, _, model = name.partition(":")
    if not model or library not in LIBRARIES:
        lookup(name, TRUNKS, "trunk")
    return LIBRARIES[library].entry(model)


def build_trunk(net: Net, channels: int, size: int | None = None) -> Trunk:
    """A new trunk, with random weights from torch's global generator, or ImageNet's where the settings ask for them.

    Args:
        net: its settings.
        channels: of the images.
        size: side of the images in pixels; None for any.

    Raises:
        ValueError: pretrained weights are not on disk and can't be downloaded; grey images are to be normalised by
            the constants of colours; the trunk is for images of one size, and none is said.
    """
    entry = find_trunk(net.trunk)
    trunk = entry.build(net.width, channels, size, net.weights == "imagenet")
    name = net.normalization or entry.normalization
    if name and channels != 3 and not entry.any_channels:
        raise ValueError(
            f"normalization = {name} is for coloured images, but {net.trunk} is given grey ones: set it to null"
        )
    if name:
        trunk.normalize = Normalization(name)
    return trunk


def check_weights(net: Net) -> None:
    """Refuse a network whose pretrained weights are not available; they are read once per trunk and process.

    Raises:
        ValueError: they are damaged, or not on disk and can't be downloaded; one line that says where to put them.
    """
    if net.weights == "imagenet":
        _had(net.trunk)


@cache
def _had(trunk: str) -> None:
    find_trunk(trunk).build(None, 3, None, True)  # noqa: FBT003 - pretrained


def weights_of(net: Net) -> str:
    """Source of the trunk's initial weights; "" where they are random."""
    return find_trunk(net.trunk).weights if net.weights == "imagenet" else ""
