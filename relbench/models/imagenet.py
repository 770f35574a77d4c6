"""Trunks for images of about 224 pixels: torchvision's and pytorchcv's networks, random or with ImageNet's weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from relbench.models.initialization import of_torch
from relbench.models.pretrained import Weights, load_weights
from relbench.models.trunk import Build, ColourTrunk, TrunkEntry, stages, stem_and_stages

# As torchvision itself builds networks with pretrained weights, so that later random draws stay the same.
_AS_PUBLISHED = {"aux_logits": True, "transform_input": True, "init_weights": False}
PRETRAINED = {"googlenet": _AS_PUBLISHED, "inception_v3": _AS_PUBLISHED}
AUXILIARY = ("aux1", "aux2", "AuxLogits")  # heads of GoogLeNet and Inception v3 that serve only training from scratch


def _torchvision(name: str, head: str, **options: Any) -> Build:
    """Builder of a torchvision network; `options`: those of random networks, which pretrained ones set themselves."""

    def build(width: int | None, channels: int, size: int | None, pretrained: bool) -> ColourTrunk:  # noqa: FBT001 - as it is called
        del width, channels, size
        return without_head(pretrained_network(name) if pretrained else random_network(name, **options), head)

    return build


def without_head(network: nn.Module, head: str) -> ColourTrunk:
    """A classifier whose linear layer, or the sequence that ends with it, is taken off."""
    last = network.get_submodule(head)
    linear = last[-1] if isinstance(last, nn.Sequential) else last
    network.set_submodule(head, nn.Identity())
    return ColourTrunk(network, int(linear.in_features), heads=(head, *AUXILIARY))  # type: ignore[arg-type]


def random_network(name: str, **options: Any) -> nn.Module:
    """A network of torchvision with its classifier."""
    from torchvision import models  # noqa: PLC0415 - takes seconds to load, and few runs need it

    network: nn.Module = models.get_model(name, weights=None, **options)
    return network


def pretrained_network(name: str) -> nn.Module:
    """The network with the ImageNet weights of the papers' time, not the newer ones."""
    from torchvision import models  # noqa: PLC0415

    network = random_network(name, **PRETRAINED.get(name, {}))
    url = models.get_model_weights(name)["IMAGENET1K_V1"].url
    file = Path(url)
    beginning = file.stem.rpartition("-")[2]  # of the SHA-256, by torchvision's convention
    load_weights(network, Weights(url, file.name, "sha256", beginning), name)
    return _without_auxiliary_heads(network)


def _without_auxiliary_heads(network: nn.Module) -> nn.Module:
    """The network as torchvision returns it pretrained."""
    if getattr(network, "aux_logits", False):
        network.aux_logits = False  # type: ignore[assignment]
        for name in AUXILIARY:
            if hasattr(network, name):
                setattr(network, name, None)
    return network


def _source(name: str, note: str) -> str:
    return f"torchvision {name} IMAGENET1K_V1 {note}"


def _resnet(depth: int, file: str) -> TrunkEntry:
    name = f"resnet{depth}"
    return TrunkEntry(
        f"ResNet-{depth} of torchvision (He et al. 2016)",
        _torchvision(name, "fc"),
        stages(("layer1", "layer2", "layer3", "layer4")),
        weights=_source(name, f"({file})"),
    )


def _mobilenet_v2(width: float) -> TrunkEntry:
    """Torchvision's (Sandler et al. 2018), which has weights for the width 1 alone."""
    pretrainable = width == 1
    return TrunkEntry(
        f"MobileNetV2 of torchvision, width {width}",
        _torchvision("mobilenet_v2", "classifier", width_mult=width),
        stem_and_stages("features.0", "features.3", "features.6", "features.13", "features.17"),
        weights=_source("mobilenet_v2", "(mobilenet_v2-b0353104.pth)") if pretrainable else "",
    )


MOBILENETS = {  # name in pytorchcv: release of its weights, error on ImageNet in 1/10,000, SHA-1 of the file
    "mobilenet_w1": ("v0.0.155", "0895", "7e1d739f0fd4b95c16eef077c5dc0a5bb1da8ad5"),
    "mobilenet_w3d4": ("v0.0.130", "1076", "d801bcaea83885b16a0306b8b77fe314bbc585c3"),
    "mobilenet_wd2": ("v0.0.156", "1355", "41a21242c95050407df876cfa44bb5d3676aa751"),
    "mobilenet_wd4": ("v0.0.62", "2249", "1ad5e8fe8674cdf7ffda8450095eb96d227397e0"),
}


def pytorchcv_weights(name: str) -> Weights:
    """Where pytorchcv publishes the ImageNet weights of a MobileNet: a zip archive of one file."""
    release, error, sha1 = MOBILENETS[name]
    file = f"{name}-{error}-{sha1[:8]}.pth"
    return Weights(f"https://github.com/osmr/imgclsmob/releases/download/{release}/{file}.zip", file, "sha1", sha1)


def _mobilenet(name: str, width: float) -> TrunkEntry:
    """Pytorchcv's (Howard et al. 2017), equal to networks/mobile_net.py of njulus/GKD@a37fc79, initial weights too."""

    def build(_width: int | None, _channels: int, _size: int | None, pretrained: bool) -> ColourTrunk:  # noqa: FBT001 - as it is called
        from pytorchcv.models import mobilenet  # noqa: PLC0415 - few runs need it

        make: Callable[[], nn.Module] = getattr(mobilenet, name)
        network = make()
        if pretrained:
            load_weights(network, pytorchcv_weights(name), name)
        else:
            of_torch(network)
        return pooled(network)

    return TrunkEntry(
        f"MobileNet of pytorchcv, width {width}",
        build,
        stem_and_stages("features.init_block", *(f"features.stage{stage}" for stage in range(2, 6))),
        weights=f"pytorchcv {pytorchcv_weights(name).file}",
    )


def pooled(network: nn.Module) -> ColourTrunk:
    """A network of pytorchcv without its linear layer, whose pooling of a fixed size takes the mean of any map."""
    network.set_submodule("features.final_pool", nn.AdaptiveAvgPool2d(1))
    return without_head(network, "output")


IMAGENET = {
    "resnet18": _resnet(18, "resnet18-f37072fd.pth"),
    "resnet50": _resnet(50, "resnet50-0676ba61.pth"),
    "resnet101": _resnet(101, "resnet101-63fe2227.pth"),
    "googlenet": TrunkEntry(
        "GoogLeNet of torchvision (Szegedy et al. 2015)",
        _torchvision("googlenet", "fc", aux_logits=False, init_weights=True),
        stages(("conv3", "inception3b", "inception4e", "inception5b")),
        weights=_source(
            "googlenet",
            "(googlenet-1378be20.pth), which come from TensorFlow's training: the papers' GoogLeNet had Caffe's",
        ),
    ),
    "mobilenet-0.25": _mobilenet("mobilenet_wd4", 0.25),
    "mobilenet-0.5": _mobilenet("mobilenet_wd2", 0.5),
    "mobilenet-0.75": _mobilenet("mobilenet_w3d4", 0.75),
    "mobilenet-1.0": _mobilenet("mobilenet_w1", 1.0),
    "mobilenetv2-0.35": _mobilenet_v2(0.35),
    "mobilenetv2-1.0": _mobilenet_v2(1.0),
    "mobilenetv2-1.4": _mobilenet_v2(1.4),
}
