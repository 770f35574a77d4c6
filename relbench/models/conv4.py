"""Conv4, a trunk of four blocks: quick on a CPU, of any width."""

from itertools import pairwise

import torch
from torch import nn

from relbench.models.trunk import Trunk, TrunkEntry, stages


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
        pooled: torch.Tensor = self.blocks(self.normalize(images)).mean(dim=(2, 3))
        return pooled


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _conv4(width: int | None, channels: int, size: int | None, pretrained: bool) -> Trunk:  # noqa: FBT001 - as it is called
    del size, pretrained  # it takes any; refused earlier: there are no weights
    return Conv4(width or 16, channels)


CONV4 = {
    "conv4": TrunkEntry(
        "four convolution blocks; `width` channels in the first, doubling",
        _conv4,
        stages("0123", prefix="blocks"),
        scalable=True,
        any_channels=False,
        smallest=8,
        normalization=None,
    )
}
