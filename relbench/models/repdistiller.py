"""Two networks of RepDistiller's CIFAR-100 benchmark that no library has (HobbitLong/RepDistiller@b84f547)."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, relu

from relbench.models.initialization import kaiming_normal, small_normal
from relbench.models.trunk import ColourTrunk, TrunkEntry, fresh, stem_and_stages


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise convolution, linear 1x1 convolution; added to the input if of its shape.

    Unlike torchvision's, it has the expansion even where that changes no width, and ReLU in place of ReLU6.
    """

    def __init__(self, before: int, after: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.adds = stride == 1 and before == after
        self.conv = nn.Sequential(
            *_convolution(before, inner, 1),
            *_convolution(inner, inner, 3, stride=stride, groups=inner),
            nn.Conv2d(inner, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps, shape (batch, before, height, width) -> (batch, after, height / stride, width / stride)."""
        found: torch.Tensor = self.conv(maps)
        return maps + found if self.adds else found


def _convolution(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


STAGES = (  # expansion, channels at width 1, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LAST = 1280


def _mobilenet_v2() -> ColourTrunk:
    """models/mobilenetv2.py at width 0.5: channels are not rounded to multiples of 8 (Sandler et al. 2018)."""
    network = nn.Sequential(
        nn.Sequential(*_convolution(3, 16, 3, stride=2)),
        *_inverted_residuals(16),
        nn.Sequential(*_convolution(160, LAST, 1)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    kaiming_normal(network)
    return ColourTrunk(network, LAST)


def _inverted_residuals(before: int) -> Iterator[nn.Sequential]:
    for expansion, channels, blocks, stride in STAGES:
        widths = [before, *[channels // 2] * blocks]
        strides = [stride, *[1] * (blocks - 1)]
        steps = zip(widths, widths[1:], strides, strict=False)
        yield nn.Sequential(*(InvertedResidual(given, after, by, expansion) for given, after, by in steps))
        before = widths[-1]


class ShuffleUnit(nn.Module):
    """1x1 grouped convolution, shuffle, 3x3 depthwise and 1x1 grouped convolution, added to the input.

    With stride 2 they are concatenated with the averaged input instead. The inner width is a quarter of the channels
    that the convolutions add, not of all that leave the unit, as in pytorchcv.

    Args:
        before: channels that come in.
        after: channels that go out.
        stride: 1, or 2.
        groups: of both 1x1 convolutions; the first of the network, with 24 channels, has one.
    """

    def __init__(self, before: int, after: int, stride: int, groups: int) -> None:
        super().__init__()
        self.stride = stride
        added = after - before if stride == 2 else after
        inner, first = added // 4, 1 if before == STEM else groups
        self.conv1 = nn.Conv2d(before, inner, 1, groups=first, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.shuffle = nn.ChannelShuffle(first)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, added, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(added)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps, shape (batch, before, height, width) -> (batch, after, height / stride, width / stride)."""
        found = self.shuffle(relu(self.bn1(self.conv1(maps))))
        found = relu(self.bn2(self.conv2(found)))
        found = self.bn3(self.conv3(found))
        if self.stride == 2:
            return relu(torch.cat([found, avg_pool2d(maps, 3, stride=2, padding=1)], dim=1))
        return relu(found + maps)


STEM = 24


def _shufflenet_v1() -> ColourTrunk:
    """models/ShuffleNetv1.py, three groups (Zhang et al. 2018); the weights stay as torch draws them."""
    stem = nn.Sequential(*_convolution(3, STEM, 1))
    widths, blocks = (STEM, 240, 480, 960), (4, 8, 4)
    stages = (_shuffle_stage(*sizes) for sizes in zip(widths, widths[1:], blocks, strict=False))
    return ColourTrunk(nn.Sequential(stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten()), widths[-1])


def _shuffle_stage(before: int, after: int, blocks: int) -> nn.Sequential:
    first = ShuffleUnit(before, after, 2, groups=3)
    return nn.Sequential(first, *(ShuffleUnit(after, after, 1, groups=3) for _ in range(blocks - 1)))


REPDISTILLER = {
    "mobilenetv2-0.5-repdistiller": TrunkEntry(
        "MobileNetV2 for CIFAR, width 0.5 not rounded",
        fresh(_mobilenet_v2),
        stem_and_stages("0", "2", "3", "5", "7"),
        smallest=16,
        initialize_head=small_normal,
    ),
    "shufflenetv1-repdistiller": TrunkEntry(
        "ShuffleNet for CIFAR, three groups",
        fresh(_shufflenet_v1),
        stem_and_stages("0", "1", "2", "3"),
        smallest=8,
    ),
}
