"""Trunks for images of 32 or 64 pixels: pytorchcv's and torchvision's networks, with the stems of CIFAR."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn

from relbench.models.imagenet import pooled, without_head
from relbench.models.initialization import kaiming_normal, of_torch, small_normal, without_bias
from relbench.models.trunk import ColourTrunk, TrunkEntry, fresh, stages, stem_and_stages

Initialize = Callable[[nn.Module], None]

THREE_STAGES = stem_and_stages("features.init_block", "features.stage1", "features.stage2", "features.stage3")


def _resnet_6n_2(depth: int, widths: Sequence[int]) -> ColourTrunk:
    """RepDistiller's models/resnet.py (He et al. 2016); `widths`: of the stem and the three stages."""
    from pytorchcv.models.resnet_cifar import CIFARResNet  # noqa: PLC0415 - few runs need it

    stem, *others = widths
    blocks = (depth - 2) // 6
    network = CIFARResNet([[width] * blocks for width in others], stem, bottleneck=False)
    kaiming_normal(network)
    return pooled(network)


def _wide_resnet(depth: int, factor: int) -> ColourTrunk:
    """RepDistiller's models/wrn.py (Zagoruyko and Komodakis 2016); stages end before BN and ReLU."""
    from pytorchcv.models.wrn_cifar import get_wrn_cifar  # noqa: PLC0415

    network = get_wrn_cifar(num_classes=1, blocks=depth, width_factor=factor)
    kaiming_normal(network)
    return pooled(network)


def _resnet_small_stem(depth: int, initialize: Initialize) -> ColourTrunk:
    """ResNet of torchvision with a 3x3 convolution of stride 1 in place of the 7x7 one and the pooling after it.

    So are RepDistiller's models/resnetv2.py and RKD's classification/resnet.py (lenscloth/RKD@1927142), which differ in
    their initial weights alone.
    """
    from torchvision import models  # noqa: PLC0415 - takes seconds to load

    network = models.get_model(f"resnet{depth}", weights=None)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    initialize(network)
    return without_head(network, "fc")


def _shufflenet_v2(widths: Sequence[int], kernel: int) -> ColourTrunk:
    """ShuffleNetV2 of torchvision with a stem of stride 1, no pooling after it, and weights as torch draws them."""
    from torchvision.models import ShuffleNetV2  # noqa: PLC0415 - takes seconds to load

    network = ShuffleNetV2([4, 8, 4], [*widths])
    network.conv1[0] = nn.Conv2d(3, widths[0], kernel, padding=kernel // 2, bias=False)
    network.maxpool = nn.Identity()
    return without_head(network, "fc")


def _vgg(plan: str, initialize: Initialize) -> ColourTrunk:
    """Convolutions of torchvision's VGG with batch normalisation, then the mean over the pixels that are left.

    Args:
        plan: channels of the convolutions, "M" for a pooling. RKD's classification/vgg.py (lenscloth/RKD@1927142) has
            five, so that at 32 px a single pixel is left.
        initialize: draws the weights.
    """
    from torchvision.models.vgg import make_layers  # noqa: PLC0415 - takes seconds to load

    steps: list[Any] = [step if step == "M" else int(step) for step in plan.split()]
    features = make_layers(steps, batch_norm=True)
    initialize(features)
    pooling = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return ColourTrunk(pooling, max(step for step in steps if step != "M"))


def _entry_6n_2(depth: int, widths: Sequence[int] = (16, 16, 32, 64)) -> TrunkEntry:
    words = f"ResNet-{depth} for CIFAR, channels {', '.join(map(str, widths[1:]))}"
    return TrunkEntry(words, fresh(partial(_resnet_6n_2, depth, widths)), THREE_STAGES, smallest=8)


def _entry_wide(depth: int, factor: int) -> TrunkEntry:
    return TrunkEntry(
        f"wide ResNet {depth}-{factor}",
        fresh(partial(_wide_resnet, depth, factor)),
        THREE_STAGES,
        smallest=8,
        initialize_head=without_bias,
    )


def _entry_resnet(depth: int, initialize: Initialize, words: str = "") -> TrunkEntry:
    return TrunkEntry(
        f"ResNet-{depth} with CIFAR's stem{words}",
        fresh(partial(_resnet_small_stem, depth, initialize)),
        stem_and_stages("maxpool", "layer1", "layer2", "layer3", "layer4"),
        smallest=8,
    )


def _entry_shufflenet_v2(widths: Sequence[int], kernel: int, words: str) -> TrunkEntry:
    return TrunkEntry(
        f"ShuffleNetV2 of torchvision, {kernel}x{kernel} stem, {words}",
        fresh(partial(_shufflenet_v2, widths, kernel)),
        stem_and_stages("maxpool", "stage2", "stage3", "stage4"),
        smallest=8,
    )


def _entry_vgg(depth: int, plan: str, activations: Sequence[int]) -> TrunkEntry:
    """RepDistiller's models/vgg.py at 32 px; at 64 px that pools once more, and is another network.

    `activations`: the last ReLU of each of its five blocks, before the pooling.
    """
    return TrunkEntry(
        f"VGG-{depth} with batch normalisation, as RepDistiller's",
        fresh(partial(_vgg, plan, kaiming_normal)),
        stem_and_stages(*(f"0.{layer}" for layer in activations)),
        smallest=8,
        largest=63,
        initialize_head=small_normal,
    )


CIFAR = {
    **{f"resnet{depth}": _entry_6n_2(depth) for depth in (8, 20, 32, 56, 110)},
    "resnet8x4": _entry_6n_2(8, (32, 64, 128, 256)),
    "resnet32x4": _entry_6n_2(32, (32, 64, 128, 256)),
    **{
        f"wrn-{depth}-{factor}": _entry_wide(depth, factor)
        for depth, factor in ((16, 1), (16, 2), (16, 8), (40, 1), (40, 2))
    },
    "resnet18-cifar": _entry_resnet(18, kaiming_normal),
    "resnet50-cifar": _entry_resnet(50, kaiming_normal),
    "resnet101-cifar": _entry_resnet(101, kaiming_normal),
    "resnet50-rkd": _entry_resnet(50, of_torch, ", initial weights as RKD's"),
    "vgg8": _entry_vgg(8, "64 M 128 M 256 M 512 512", (2, 6, 10, 14, 17)),
    "vgg13": _entry_vgg(13, "64 64 M 128 128 M 256 256 M 512 512 512 512", (5, 12, 19, 26, 32)),
    "vgg11-rkd": TrunkEntry(
        "VGG-11 with batch normalisation, as RKD's",
        fresh(partial(_vgg, "64 M 128 M 256 256 M 512 512 M 512 512 M", of_torch)),
        stages([f"0.{layer}" for layer in (2, 6, 13, 20, 27)]),
        largest=63,
    ),
    "shufflenetv2-repdistiller": _entry_shufflenet_v2((24, 116, 232, 464, 1024), 1, "width 1.0"),
    "shufflenetv2-0.5-cifar": _entry_shufflenet_v2((24, 48, 96, 192, 1024), 3, "width 0.5"),
    "shufflenetv2-1.0-cifar": _entry_shufflenet_v2((24, 116, 232, 464, 1024), 3, "width 1.0"),
    "shufflenetv2-2.0-cifar": _entry_shufflenet_v2((24, 244, 488, 976, 2048), 3, "width 2.0"),
}
