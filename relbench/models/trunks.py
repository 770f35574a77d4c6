"""Trunks: networks from images to feature vectors, below the embedding layer."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from relbench.experiment import Net
from relbench.files import open_regular
from relbench.tensors import read_tensors

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
# As torchvision itself builds networks with pretrained weights, so that later random draws stay the same.
PRETRAINED = {"googlenet": {"aux_logits": True, "transform_input": True, "init_weights": False}}


class Trunk(nn.Module):
    """A network whose last step pools its feature map into a vector.

    It takes images in [0, 1], shape (batch, channels, size, size), to features, shape (batch, features).

    Attributes:
        features: the length of the vector.
    """

    features: int


@dataclass(frozen=True)
class TrunkEntry:
    """An entry of `TRUNKS`.

    `build(width, channels, pretrained)` returns the trunk; `any_channels`: it takes both grey and coloured images;
    `weights`: source of the pretrained weights, "" where there are none; `smallest`: the least input side in pixels;
    `layers`: the submodules whose maps can be compared with those of another trunk, by stage, each half as large as the
    last.
    """

    summary: str
    build: Callable[[int | None, int, bool], Trunk]
    scalable: bool
    any_channels: bool
    weights: str
    smallest: int
    layers: Mapping[str, str]


class Conv4(Trunk):
    """Four blocks of 3x3 convolution with stride 2, batch normalisation and ReLU, then the mean over pixels.

    The first block has `width` channels, each further block twice as many, as in residual networks. Strides instead of
    max-pooling keep a step cheap on a CPU.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        widths = [channels, width, 2 * width, 4 * width, 8 * width]
        self.blocks = nn.Sequential(*(_block(before, after) for before, after in pairwise(widths)))
        self.features = widths[-1]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1], shape (batch, channels, size, size) -> features, shape (batch, 8 * width)."""
        pooled: torch.Tensor = self.blocks(images).mean(dim=(2, 3))
        return pooled


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class TorchvisionTrunk(Trunk):
    """A torchvision classifier without its last layer; takes grey and coloured images."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.features = int(network.fc.in_features)  # type: ignore[union-attr, arg-type]
        network.fc = nn.Identity()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1], shape (batch, 1 or 3, size, size) -> features after the last pooling."""
        coloured = images.expand(-1, 3, -1, -1)
        features: torch.Tensor = self.network((coloured - self.mean) / self.deviation)
        return features


def _conv4(width: int | None, channels: int, pretrained: bool) -> Trunk:  # noqa: FBT001 - as `TrunkEntry.build` is called
    del pretrained  # refused earlier: there are no weights
    return Conv4(width or 16, channels)


def _torchvision(name: str, **fresh: Any) -> Callable[[int | None, int, bool], Trunk]:
    """Builder of a torchvision network; `fresh`: options of random networks, which pretrained ones set themselves."""

    def build(width: int | None, channels: int, pretrained: bool) -> Trunk:  # noqa: FBT001
        del width, channels
        return TorchvisionTrunk(_pretrained(name) if pretrained else _random(name, **fresh))

    return build


def _random(name: str, **options: Any) -> nn.Module:
    from torchvision import models  # noqa: PLC0415 - takes seconds to load, and few runs need it

    network: nn.Module = models.get_model(name, weights=None, **options)
    return network


def _pretrained(name: str) -> nn.Module:
    """The network with the ImageNet weights of the papers' time, not the newer ones."""
    from torchvision import models  # noqa: PLC0415

    network = _random(name, **PRETRAINED.get(name, {}))
    url = models.get_model_weights(name)["IMAGENET1K_V1"].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    try:
        network.load_state_dict(_read_weights(path, url))
    except Exception as error:  # noqa: BLE001 - no connection, or a damaged file, which raises nearly anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"the ImageNet weights of {name} could not be loaded ({reason}; from {url}): "
            f"put that file into {path.parent}, or choose weights = random"
        ) from None
    return _without_auxiliary_heads(network)


def _read_weights(path: Path, url: str) -> Any:
    """Weights from the file, downloaded if missing, checked against the hash in its name, without executing anything.

    torchvision itself would unpickle whatever the file holds, and so execute it.
    """
    beginning = path.stem.rpartition("-")[2]  # of the SHA-256, by torchvision's convention
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=beginning)
    found = _sha256(path)
    if not found.startswith(beginning):
        raise ValueError(f"the sha256 of {path} begins with {found[:8]}, not with {beginning}")
    return read_tensors(path)


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without_auxiliary_heads(network: nn.Module) -> nn.Module:
    """The network as torchvision returns it pretrained: auxiliary heads serve only training from scratch."""
    if getattr(network, "aux_logits", False):
        network.aux_logits, network.aux1, network.aux2 = False, None, None  # type: ignore[assignment]
    return network


def check_weights(net: Net) -> None:
    """Refuse a network whose pretrained weights are not available; they are read once per trunk and process.

    Raises:
        ValueError: they are damaged, or not on disk and can't be downloaded; one line that says where to put them.
    """
    if net.weights == "imagenet":
        _had(net.trunk)


@cache
def _had(trunk: str) -> None:
    _pretrained(trunk)


def _from_torchvision(name: str, summary: str, weights: str, layers: Sequence[str], **fresh: Any) -> TrunkEntry:
    build, words = _torchvision(name, **fresh), f"torchvision {name} IMAGENET1K_V1 {weights}"
    stages = _stages("network", layers)
    return TrunkEntry(summary, build, scalable=False, any_channels=True, weights=words, smallest=32, layers=stages)


def _stages(prefix: str, layers: Sequence[str]) -> dict[str, str]:
    return {f"stage{number}": f"{prefix}.{layer}" for number, layer in enumerate(layers, start=1)}


RESNET_LAYERS = ("layer1", "layer2", "layer3", "layer4")


TRUNKS = {
    "conv4": TrunkEntry(
        "four convolution blocks; `width` channels in the first, doubling",
        _conv4,
        scalable=True,
        any_channels=False,
        weights="",
        smallest=8,
        layers=_stages("blocks", "0123"),
    ),
    "resnet18": _from_torchvision(
        "resnet18", "ResNet-18 of torchvision (He et al. 2016)", "(resnet18-f37072fd.pth)", RESNET_LAYERS
    ),
    "resnet50": _from_torchvision(
        "resnet50", "ResNet-50 of torchvision (He et al. 2016)", "(resnet50-0676ba61.pth)", RESNET_LAYERS
    ),
    "googlenet": _from_torchvision(
        "googlenet",
        "GoogLeNet of torchvision (Szegedy et al. 2015)",
        "(googlenet-1378be20.pth), which come from TensorFlow's training: the papers' GoogLeNet had Caffe's",
        ("conv3", "inception3b", "inception4e", "inception5b"),
        aux_logits=False,
        init_weights=True,
    ),
}


def weights_of(net: Net) -> str:
    """Source of the trunk's initial weights; "" where they are random."""
    return TRUNKS[net.trunk].weights if net.weights == "imagenet" else ""
