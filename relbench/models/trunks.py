"""The trunks by name; to build one as the settings of a network say; where pretrained weights come from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatch
from functools import cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from relbench.experiment import Net
from relbench.lookup import lookup
from relbench.models.cifar import CIFAR
from relbench.models.conv4 import CONV4
from relbench.models.conv4_maxpool import CONV4_MAXPOOL
from relbench.models.imagenet import IMAGENET
from relbench.models.normalization import Normalization
from relbench.models.refilled import REFILLED
from relbench.models.repdistiller import REPDISTILLER
from relbench.models.timm_trunks import timm_entry, timm_listed, timm_names
from relbench.models.torchvision_trunks import torchvision_entry, torchvision_listed, torchvision_names
from relbench.models.trunk import Listed, Trunk, TrunkEntry
from relbench.models.weight_files import content_of, load_file
from relbench.seeding import seeded
from relbench.settings import changed

TRUNKS = {**CONV4, **CONV4_MAXPOOL, **IMAGENET, **CIFAR, **REPDISTILLER, **REFILLED}
"""The house's own, which reproduce a published code, or stand in for one."""


@dataclass(frozen=True)
class Library:
    """Another library, each of whose models is a trunk.

    Attributes:
        names: of its models.
        entry: what is known of a model.
        listed: its models in a list.
    """

    names: Callable[[], list[str]]
    entry: Callable[[str], TrunkEntry]
    listed: Callable[[], Iterator[Listed]]


LIBRARIES: Mapping[str, Library] = {
    "torchvision": Library(torchvision_names, torchvision_entry, torchvision_listed),
    "timm": Library(timm_names, timm_entry, timm_listed),
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
    if library not in LIBRARIES:
        _refuse(name, model or library)
    return LIBRARIES[library].entry(model)


def _refuse(name: str, model: str) -> None:
    """Refuse an unknown name; models of that very name in a library are suggested first, then nearly equal names."""
    names = {library: each.names() for library, each in _installed().items()}
    there = [f"{library}:{model}" for library, known in names.items() if model in known]
    near = {library: get_close_matches(model, known, n=1, cutoff=0.8) for library, known in names.items()}
    known = [*TRUNKS, *(f"{library}:{each}" for library, found in near.items() for each in found)]
    lookup(name, known, "trunk", {name.lower(): " or ".join(there)} if there else {})


def _installed() -> Mapping[str, Library]:
    return {name: library for name, library in LIBRARIES.items() if find_spec(name)}


def listed_trunks(pattern: str) -> list[Listed]:
    """Trunks of the house and of the libraries that are installed, whose names match a pattern.

    Args:
        pattern: a part of a name, or with "*", "?" or "[" a pattern of whole names.
    """
    own = (Listed(name, bool(entry.weights), None, entry.summary) for name, entry in TRUNKS.items())
    every = chain(own, *(library.listed() for library in _installed().values()))
    whole = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return [each for each in every if fnmatch(each.name.lower(), whole.lower())]


def planned(net: Net) -> Net:
    """The settings of a network with what they leave open filled in: which weights are meant, and what a file holds.

    Raises:
        ValueError: there is no such trunk; the file of its weights can't be read.
    """
    name = find_trunk(net.trunk).planned_name or net.trunk
    content = net.weights_content or content_of(net) if net.weights_file else ""
    return changed(net, {"trunk": name, "weights_content": content})


def build_trunk(net: Net, channels: int, size: int | None = None) -> Trunk:
    """A new trunk, with random weights from torch's global generator, or others where the settings ask for them.

    Args:
        net: its settings.
        channels: of the images.
        size: side of the images in pixels; None for any.

    Raises:
        ValueError: pretrained weights are not on disk and can't be downloaded; the file of the weights can't be read,
            was changed, or is of another network; grey images are to be normalised by the constants of colours; the
            trunk is for images of one size, and none is said.
    """
    entry = find_trunk(net.trunk)
    trunk = entry.build(net.width, channels, size, net.weights == "imagenet")
    if net.weights_file:
        load_file(trunk, net, entry, size)
    normalization = net.normalization or entry.normalization
    if normalization and channels != 3 and not entry.any_channels:
        raise ValueError(
            f"normalization = {normalization} is for coloured images, but {net.trunk} is given grey ones: set it to "
            "null"
        )
    if normalization:
        trunk.normalize = Normalization(normalization)
    return trunk


def check_weights(net: Net, channels: int = 3, size: int | None = None) -> None:
    """Refuse a network whose pretrained weights are not available; they are read once per trunk and process.

    Args:
        net: its settings.
        channels: of the images.
        size: side of the images in pixels; None for any.

    Raises:
        ValueError: they are damaged, not on disk and can't be downloaded, or those of another network; one line that
            says where to put them.
    """
    if net.weights == "imagenet":
        _had(net.trunk)
    elif net.weights_file:
        _fitting(changed(net, {"dim": None}), channels, size)


@cache
def _had(trunk: str) -> None:
    find_trunk(trunk).build(None, 3, None, True)  # noqa: FBT003 - pretrained


@cache
def _fitting(net: Net, channels: int, size: int | None) -> None:
    with seeded(0):  # torch's global generator is left as it is
        build_trunk(net, channels, size)


def weights_of(net: Net) -> str:
    """Source of the trunk's initial weights; "" where they are random."""
    if net.weights_file:
        return f"{Path(net.weights_file).name} (sha256 {net.weights_content})"
    return find_trunk(net.trunk).weights if net.weights == "imagenet" else ""
