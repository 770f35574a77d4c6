"""The network of prototypical networks, a trunk of four blocks: its features are its last map as it is."""

from itertools import pairwise

import torch
from torch import fx, nn

from relbench.models.initialization import uniform_gains
from relbench.models.trunk import Build, Trunk, TrunkEntry, stages

WIDTH = 64  # Snell et al.'s
REDUCTION = 16  # four times by two


class Conv4MaxPool(Trunk):
    """Four blocks of 3x3 convolution with bias, batch normalisation, ReLU and 2x2 max-pooling; the last map, flattened.

    After Snell et al. (2017; protonets/models/few_shot.py of jakesnell/prototypical-networks@c9bb4d2), where `width` is
    64. Max-pooling leaves out the last row and column of a map of odd sides: images of 84 pixels become maps of 42, 21,
    10 and 5. Neither a mean over places nor a linear layer follows, so the number of features depends on the size.

    Weights are drawn as torch does it now, or, by the trunk `conv4-maxpool-uniform`, as until torch 1.2, when Snell et
    al.'s numbers were made: with the gains of batch normalisation uniform in [0, 1], not 1. The code of miniImageNet
    that is most in use, yinboc/prototypical-network-pytorch@36ecfe6, still draws them so.

    Args:
        width: channels of every block.
        channels: of the images.
        size: their side in pixels.
    """

    def __init__(self, width: int, channels: int, size: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_block(before, after) for before, after in pairwise([channels, *[width] * 4])))
        self.size = size
        self.features = width * (size // REDUCTION) ** 2

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1], shape (batch, channels, size, size) -> features, shape (batch, width * (size // 16)^2).

        Raises:
            ValueError: the images are of another size.
        """
        refuse_other_size(images, self.size)
        maps: torch.Tensor = self.blocks(self.normalize(images))
        return maps.flatten(start_dim=1)


@fx.wrap  # folding traces the trunk, and a comparison can't be traced
def refuse_other_size(images: torch.Tensor, size: int) -> None:
    """Refuse images of another size, whose features would mean other places.

    Raises:
        ValueError: one line with both sizes.
    """
    if images.shape[-2:] != (size, size):
        height, width = images.shape[-2:]
        raise ValueError(
            f"this network was built for images of {size} x {size} pixels, not of {height} x {width}: its "
            "features are places of the image; show it images of its own size"
        )


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


def _build(width: int | None, channels: int, size: int | None, pretrained: bool) -> Trunk:  # noqa: FBT001 - as it is called
    del pretrained  # refused earlier: there are no weights
    if size is None:
        raise ValueError("the trunk conv4-maxpool is built for images of one size: say which")
    return Conv4MaxPool(width or WIDTH, channels, size)


def _build_uniform(width: int | None, channels: int, size: int | None, pretrained: bool) -> Trunk:  # noqa: FBT001 - likewise
    trunk = _build(width, channels, size, pretrained)
    uniform_gains(trunk)
    return trunk


def _entry(summary: str, build: Build) -> TrunkEntry:
    return TrunkEntry(
        summary,
        build,
        stages("0123", prefix="blocks"),
        scalable=True,
        any_channels=False,
        smallest=REDUCTION,
        any_size=False,
        normalization=None,
    )


CONV4_MAXPOOL = {
    "conv4-maxpool": _entry(
        "four convolution blocks of `width` channels with max-pooling, features by place (Snell et al. 2017)", _build
    ),
    "conv4-maxpool-uniform": _entry(
        "the same; gains of batch normalisation begin uniform in [0, 1], as torch drew them until 1.2", _build_uniform
    ),
}
