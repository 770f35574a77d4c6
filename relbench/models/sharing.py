"""Layers that see the whole batch though each rank shows them a part of it: batch normalisation and dropout."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from relbench.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Shared:
    """How ranks share a group of images that has batch statistics together.

    Attributes:
        ranks: that share it.
        images: of the whole group.
        whole: whether each rank shows a whole group of its own; else each shows its share of the same group.
    """

    ranks: Ranks = ALONE
    images: int = 0
    whole: bool = True


class Sharing:
    """What layers are told of the images that they are about to see.

    Attributes:
        shared: of these images.
    """

    def __init__(self) -> None:
        self.shared = Shared()

    @contextmanager
    def of(self, shared: Shared) -> Iterator[None]:
        """Show images of a group inside a `with`."""
        self.shared = shared
        try:
            yield
        finally:
            self.shared = Shared()


def share_layers(network: nn.Module, sharing: Sharing) -> None:
    """Put layers that see the whole batch in place of those that depend on other images, or draw random numbers.

    Their weights are the same, and have the same names.

    Args:
        network: is changed.
        sharing: is told what is shown.

    Raises:
        ValueError: the network has such a layer of a kind that is not known here.
    """
    for name, module in list(network.named_modules()):
        shared = _shared_layer(module, sharing)
        if shared:
            network.set_submodule(name, shared)


def _shared_layer(module: nn.Module, sharing: Sharing) -> nn.Module | None:
    kind = type(module).__name__
    if kind == "BatchNormAct2d":  # timm's
        return SharedBatchNormAct(module, sharing)
    if type(module) in BATCH_NORMS:
        return SharedBatchNorm(cast("_BatchNorm", module), sharing)
    if isinstance(module, _BatchNorm) or kind in OTHERS:
        raise ValueError(f"several devices can't share the layer {kind} of this trunk: choose --devices 1")
    return SharedDropout(module, sharing) if isinstance(module, _DropoutNd) or kind in DROPPED_PATHS else None


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
OTHERS = ("EvoNorm2dB0", "EvoNorm2dB1", "EvoNorm2dB2")  # timm's, of batch statistics, too
DROPPED_PATHS = ("DropPath", "StochasticDepth")  # timm's and torchvision's: a branch is dropped for whole images


class SharedBatchNorm(nn.Module):
    """Batch normalisation by the statistics of a group of images, of which each rank shows a part.

    ``y = weight (x - mean) / sqrt(variance + eps) + bias``, with mean and variance over the images and pixels of all
    ranks. In evaluation it is torch's, by the running statistics.

    Args:
        layer: torch's, whose weights and running statistics are taken over.
        sharing: is told what is shown.

    Source:
        S. Ioffe, C. Szegedy, arXiv:1502.03167, algorithm 1; where each rank shows a group of its own, running
        statistics are updated group by group, as in E. Hoffer, I. Hubara, D. Soudry, arXiv:1705.08741, algorithm 1.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, layer: _BatchNorm, sharing: Sharing) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(layer, name))
        self.eps, self.momentum = layer.eps, cast("float", layer.momentum)
        self._sharing = sharing
        self.train(layer.training)

    def forward(self, images: Tensor) -> Tensor:
        """Maps, shape (batch, channels, ...) -> the same shape.

        Raises:
            ValueError: there is a single number of each channel.
        """
        if not self.training and self.running_mean is not None:
            return batch_norm(images, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        shared = self._sharing.shared
        ranks, count = (ALONE, len(images)) if shared.whole else (shared.ranks, shared.images)
        count *= images[0:1, 0:1].numel() if len(images) else images.shape[2:].numel()
        if count == 1:
            raise ValueError("a batch of one image can't be normalised by its own statistics: use larger batches")
        shown, mean, variance = _Normalised.apply(images, self.weight, self.bias, self.eps, (ranks, count))
        self._keep(mean, variance * (count / (count - 1)), shared)
        return cast("Tensor", shown)

    def _keep(self, mean: Tensor, variance: Tensor, shared: Shared) -> None:
        """Update the running statistics, by each group where each rank has shown a group of its own."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return
        own = torch.stack([mean, variance])[None]
        for found_mean, found_variance in shared.ranks.joined(own, [1] * shared.ranks.count) if shared.whole else own:
            cast("Tensor", self.num_batches_tracked).add_(1)
            self.running_mean.lerp_(found_mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(found_variance.to(self.running_var.dtype), self.momentum)


class _Normalised(torch.autograd.Function):
    """Images normalised by the statistics of all ranks that share them, and these statistics."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, eps: float, among: tuple[Ranks, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The mean first, then squared distances from it: their sum has no cancellation."""
        ranks, count = among
        exact = images if images.dtype == torch.float64 else images.float()
        over, shape = [0, *range(2, images.ndim)], (1, -1, *[1] * (images.ndim - 2))
        mean = ranks.summed(exact.sum(over)) / count
        centred = exact - mean.view(shape)
        variance = ranks.summed((centred * centred).sum(over)) / count
        scale = (variance + eps).rsqrt()
        normalised = centred * scale.view(shape)
        ctx.save_for_backward(normalised, scale, weight)
        ctx.ranks, ctx.count, ctx.over, ctx.shape = ranks, count, over, shape
        ctx.mark_non_differentiable(mean, variance)
        return (normalised * weight.view(shape) + bias.view(shape)).to(images.dtype), mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """``dx = weight scale (g - mean(g) - n mean(g n))``, n the normalised images, with means over all ranks."""
        normalised, scale, weight = ctx.saved_tensors
        exact = gradient.to(normalised.dtype)
        sums = torch.stack([exact.sum(ctx.over), (exact * normalised).sum(ctx.over)])
        means = (ctx.ranks.summed(sums) / ctx.count).view(2, *ctx.shape)
        back = (exact - means[0] - normalised * means[1]) * (scale * weight).view(ctx.shape)
        return back.to(gradient.dtype), sums[1], sums[0], None, None


class SharedBatchNormAct(SharedBatchNorm):
    """timm's batch normalisation with its activation, by the statistics of a group of images.

    Args:
        layer: timm's, whose weights and running statistics are taken over.
        sharing: is told what is shown.
    """

    def __init__(self, layer: nn.Module, sharing: Sharing) -> None:
        super().__init__(cast("_BatchNorm", layer), sharing)
        self.drop, self.act = cast("nn.Module", layer.drop), cast("nn.Module", layer.act)

    def forward(self, images: Tensor) -> Tensor:
        """Maps, shape (batch, channels, height, width) -> the same shape."""
        return cast("Tensor", self.act(self.drop(super().forward(images))))


class SharedDropout(nn.Module):
    """Dropout, of numbers or of whole images, whose mask is drawn for all images of a group, as one process would.

    Args:
        layer: multiplies what it is shown by a random mask.
        sharing: is told what is shown.
    """

    def __init__(self, layer: nn.Module, sharing: Sharing) -> None:
        super().__init__()
        self.layer, self._sharing = layer, sharing
        self.p = getattr(layer, "p", 0.0)
        self.train(layer.training)

    def forward(self, images: Tensor) -> Tensor:
        """Maps, shape (batch, ...) -> the same shape."""
        shared = self._sharing.shared
        if not self.training or shared.whole:
            return cast("Tensor", self.layer(images))
        ones = images.new_ones(shared.images, *images.shape[1:])
        if images.ndim == 4 and not images.is_contiguous():
            ones = ones.contiguous(memory_format=torch.channels_last)  # numbers are drawn in the order of the memory
        return images * cast("Tensor", self.layer(ones))[shared.ranks.share(shared.images)]
