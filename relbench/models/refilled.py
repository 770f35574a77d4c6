"""The networks for CIFAR-100 of REFILLED's authors, which no library has (njulus/GKD@a37fc79)."""

from functools import partial

import torch
from torch import nn
from torch.nn.functional import pad

from relbench.models.trunk import ColourTrunk, TrunkEntry, fresh, stem_and_stages

DROPOUT = 0.3
LAST_MOMENTUM = 0.9


class WideBlock(nn.Module):
    """Two 3x3 convolutions, each after batch normalisation and ReLU, added to the block's raw input.

    Unlike the usual one, its convolutions have biases, the second has the stride, dropout lies between them, and the
    1x1 convolution of the shortcut is given what came in, before batch normalisation and ReLU.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.ReLU(inplace=True),
            nn.Conv2d(before, after, 3, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Dropout(DROPOUT),
            nn.Conv2d(after, after, 3, stride, padding=1),
        )
        same = (before, stride) == (after, 1)
        self.shortcut: nn.Module = nn.Identity() if same else nn.Conv2d(before, after, 1, stride)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps, shape (batch, before, height, width) -> (batch, after, height / stride, width / stride)."""
        found: torch.Tensor = self.layers(maps) + self.shortcut(maps)
        return found


class PaddedShortcut(nn.Module):
    """Every second pixel, and channels of zeros around those that there are: half of the new ones on each side."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.beside = (after - before) // 2

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps, shape (batch, before, height, width) -> (batch, after, height / 2, width / 2)."""
        return pad(maps[:, :, ::2, ::2], (0, 0, 0, 0, self.beside, self.beside))


class BlockA(nn.Module):
    """Two 3x3 convolutions, added to the input, or to a shortcut of it that has no parameters (option A)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut: nn.Module = nn.Identity() if stride == 1 else PaddedShortcut(before, after)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps, shape (batch, before, height, width) -> (batch, after, height / stride, width / stride)."""
        return torch.relu(self.layers(maps) + self.shortcut(maps))


def _stage(block: type[WideBlock | BlockA], before: int, after: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(block(before, after, stride), *(block(after, after, 1) for _ in range(blocks - 1)))


def _wide_resnet(depth: int, factor: int) -> ColourTrunk:
    """networks/wide_resnet.py: as torch draws the weights, since its own initialisation is never called."""
    blocks, last = (depth - 4) // 6, 64 * factor
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        _stage(WideBlock, 16, 16 * factor, blocks, 1),
        _stage(WideBlock, 16 * factor, 32 * factor, blocks, 2),
        _stage(WideBlock, 32 * factor, last, blocks, 2),
        nn.BatchNorm2d(last, momentum=LAST_MOMENTUM),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return ColourTrunk(network, last)


def _resnet110() -> ColourTrunk:
    """networks/resnet.py, as torch draws the weights."""
    blocks = (110 - 2) // 6
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)),
        _stage(BlockA, 16, 16, blocks, 1),
        _stage(BlockA, 16, 32, blocks, 2),
        _stage(BlockA, 32, 64, blocks, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return ColourTrunk(network, 64)


def _entry(depth: int, factor: int) -> TrunkEntry:
    words = f"wide ResNet {depth}-{factor} with biases and dropout"
    return TrunkEntry(words, fresh(partial(_wide_resnet, depth, factor)), LAYERS, smallest=8)


LAYERS = stem_and_stages("0", "1", "2", "3")

REFILLED = {
    **{
        f"wrn-{depth}-{factor}-refilled": _entry(depth, factor)
        for depth, factor in ((16, 1), (16, 2), (40, 1), (40, 2))
    },
    "resnet110-refilled": TrunkEntry(
        "ResNet-110 for CIFAR, shortcuts without parameters",
        fresh(_resnet110),
        LAYERS,
        smallest=8,
    ),
}
