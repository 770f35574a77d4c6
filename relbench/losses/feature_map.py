"""Losses between maps of features, inside the networks, before global pooling.

Maps are ``(batch, channels, height, width)``. Student and teacher may differ in channels and in size; where a loss
needs equal sizes, the larger map is averaged down to the smaller.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import adaptive_avg_pool2d, mse_loss

from relbench.geometry import safe_scale
from relbench.losses.check_inputs import MAPS, ROWS_OR_MAPS, check_equal, check_inputs, unit_rows
from relbench.seeding import seeded

FITNET_RANGE = 0.005
"""First values of the authors' projection are uniform in plus or minus this."""


def fitnet(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """FitNet's hint: the mean squared difference of two maps with the same channels.

    Args:
        student_map: ``(batch, channels, height, width)`` or ``(batch, channels)``, floating, already projected to the
            teacher's channels (see `FitNet`). Gets the gradient.
        teacher_map: likewise, with as many channels; its size may differ: the larger map is averaged down to the
            smaller, each axis by itself. A constant.

    Returns:
        Scalar, at least 0, the mean over images, channels and pixels; in squared units of a feature. float64 if either
        input is, else float32 (half precision is widened first).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: the inputs are not both floating maps, or both floating matrices; batch sizes or channels differ.

    Source:
        A. Romero et al., ICLR 2015, arXiv:1412.6550, equation 3; lenscloth/RKD@0a6c3c0 `FitNet`. The mean, where the
        paper has half the sum, follows the code. Departure: the code has no pooling, and fails where sizes differ.
    """
    student, teacher = check_inputs(student_map, teacher_map, dimensions=ROWS_OR_MAPS)
    check_equal("dimensions", student.ndim, teacher.ndim, "compare maps with maps, or embeddings with embeddings")
    check_equal("channels", student.shape[1], teacher.shape[1], "project the student first, as the module FitNet does")
    return mse_loss(*_same_size(student, teacher))


class FitNet(nn.Module):
    """`fitnet` after a linear map of the student's channels to the teacher's, the same at every pixel.

    It is a 1x1 convolution without bias. Its weight, ``(teacher_channels, student_channels)``, starts uniform in
    [-0.005, 0.005], and is trained along with the student: it is a parameter of this module. With ``trained=False`` it
    stays as drawn and is no parameter, but a buffer. That is what the code of the RKD paper does, whose optimiser is
    never given the projection; it explains the number printed for FitNet there.

    Args:
        student_channels: of the student's map, or the dimension of its embeddings.
        teacher_channels: of the teacher's.
        trained: whether the projection is trained.
        seed: of the projection's first values.

    Raises:
        ValueError: a number of channels is not positive.

    Source:
        arXiv:1412.6550; lenscloth/RKD@0a6c3c0 `FitNet`, `run_distill_fitnet.py`. Range of first values and absence of
        a bias follow the code. For classification the RKD paper compares stages 2 to 4 (table 4; no code of it is
        known), RepDistiller stage 2 by a regressor of its own: `FitNetRegressor`.
    """

    weight: Tensor

    def __init__(self, *, student_channels: int, teacher_channels: int, trained: bool = True, seed: int = 0) -> None:
        super().__init__()
        if min(student_channels, teacher_channels) < 1:
            raise ValueError(f"channels must be positive numbers, not {student_channels} and {teacher_channels}")
        weight = torch.empty(teacher_channels, student_channels)
        weight.uniform_(-FITNET_RANGE, FITNET_RANGE, generator=torch.Generator().manual_seed(seed))
        if trained:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)

    def forward(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            student_map: ``(batch, student_channels, height, width)`` or ``(batch, student_channels)``, floating. Gets
                the gradient, and so does the projection if it is trained.
            teacher_map: likewise, with `teacher_channels`. A constant.

        Returns:
            Scalar; see `fitnet`. The projection is computed in the same type, under autocast too.

        Raises:
            TypeError: an input is not a torch tensor.
            ValueError: as `fitnet`, and where the channels are not those the module was made for.
        """
        student, teacher = check_inputs(student_map, teacher_map, dimensions=ROWS_OR_MAPS)
        expected, found = self.weight.shape[::-1], (student.shape[1], teacher.shape[1])
        if found != expected:
            raise ValueError(
                f"FitNet was made for {expected[0]} and {expected[1]} channels, but got {found[0]} and {found[1]}"
            )
        with torch.autocast(student.device.type, enabled=False):
            projected = (student.movedim(1, -1) @ self.weight.to(student.dtype).T).movedim(-1, 1)
        return fitnet(projected, teacher)


class FitNetRegressor(nn.Module):
    """FitNet's hint as in RepDistiller: the student's map after a convolution, batch normalisation and ReLU.

    ``mean((relu(normalised(convolution(student_map))) - teacher_map)^2)``, over images, channels and pixels. The
    convolution brings the student's map to the teacher's channels and size: 1x1 where the sizes are equal; 3x3 with
    stride 2 and padding 1 where the student's side is twice the teacher's; transposed, 4x4 with stride 2 and padding 1,
    where it is half. Normalisation is over the batch at hand; no running statistics are kept, as the regressor is of
    no use after the training. Convolution and normalisation are trained along. The result is never negative, even where
    the teacher's map is, as maps before a ReLU are.

    Args:
        student_channels: of the student's map.
        teacher_channels: of the teacher's.
        student_map_size: side of the student's map, in pixels.
        teacher_map_size: side of the teacher's: equal, half or twice.
        seed: of the convolution's first values, which are drawn as torch does by default; gain starts at 1, shift at 0.

    Raises:
        ValueError: a number of channels or a side is not positive, or the sides are in another ratio.

    Source:
        arXiv:1412.6550; HobbitLong/RepDistiller@b84f547 `ConvReg`, `HintLoss`, with weight 100 on the second stage.
        Departures: the convolution has no bias, which the normalisation would take away again; where the student's
        side is larger in another ratio, the code takes a kernel as large as the difference, and here such maps are
        refused.
    """

    def __init__(
        self,
        *,
        student_channels: int,
        teacher_channels: int,
        student_map_size: int,
        teacher_map_size: int,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(student_channels, teacher_channels, student_map_size, teacher_map_size) < 1:
            raise ValueError(
                f"channels and sides must be positive numbers, not {student_channels} and {teacher_channels}, "
                f"{student_map_size} and {teacher_map_size}"
            )
        self.shapes = (student_channels, student_map_size), (teacher_channels, teacher_map_size)
        with seeded(seed):
            convolution = _convolution(student_channels, teacher_channels, student_map_size, teacher_map_size)
        normalisation = nn.BatchNorm2d(teacher_channels, track_running_stats=False)
        self.regressor = nn.Sequential(convolution, normalisation, nn.ReLU())

    def forward(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            student_map: ``(batch, student_channels, side, side)``, floating, two images or more. Gets the gradient,
                and so does the regressor.
            teacher_map: ``(batch, teacher_channels, side, side)``. A constant.

        Returns:
            Scalar, at least 0, in squared units of a feature; float64 if either input is, else float32 (half precision
            is widened first, under autocast too).

        Raises:
            TypeError: an input is not a torch tensor.
            ValueError: an input is not a floating map of the channels and the size that the module was made for, the
                batch sizes differ, or there is a single image.
        """
        student, teacher = check_inputs(student_map, teacher_map, dimensions=MAPS, least=2)
        for features, (channels, side) in zip((student, teacher), self.shapes, strict=True):
            if features.shape[1:] != (channels, side, side):
                raise ValueError(
                    f"FitNetRegressor was made for maps of the shape {(channels, side, side)}, but got "
                    f"{tuple(features.shape[1:])}"
                )
        parameters = {name: parameter.to(student.dtype) for name, parameter in self.regressor.named_parameters()}
        with torch.autocast(student.device.type, enabled=False):
            return mse_loss(functional_call(self.regressor, parameters, (student,)), teacher)


def _convolution(
    student_channels: int, teacher_channels: int, side: int, target: int
) -> nn.Conv2d | nn.ConvTranspose2d:
    """From the student's side to the target, the teacher's."""
    if side == target:
        return nn.Conv2d(student_channels, teacher_channels, 1, bias=False)
    if side == 2 * target:
        return nn.Conv2d(student_channels, teacher_channels, 3, stride=2, padding=1, bias=False)
    if 2 * side == target:
        return nn.ConvTranspose2d(student_channels, teacher_channels, 4, stride=2, padding=1, bias=False)
    raise ValueError(
        f"the student's map has {side} pixels a side and the teacher's {target}, but must have as many, twice or half: "
        "choose another layer, or the loss fitnet, which averages the larger map"
    )


def attention_transfer(student_map: Tensor, teacher_map: Tensor, *, pool: bool = True) -> Tensor:
    """Attention transfer: match where in the image the features are strong.

    The attention of a map is the mean over channels of its squares, all pixels of an image scaled to Euclidean length
    1. The loss is the mean over images and pixels of the squared difference of student's and teacher's.

    Args:
        student_map: ``(batch, channels, height, width)``, floating. Gets the gradient; an image all of whose features
            are 0 gets none.
        teacher_map: likewise, with any number of channels. A constant.
        pool: average the larger map down to the smaller, before squaring, where sizes differ; if false, such maps
            are refused.

    Returns:
        Scalar without unit, from 0 to ``2 / (height width)`` (0 for maps of one pixel); float64 if either input is,
        else float32 (half precision is widened first).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating map, the batch sizes differ, or the sizes do and `pool` is false.

    Source:
        S. Zagoruyko, N. Komodakis, ICLR 2017, arXiv:1612.03928; lenscloth/RKD@0a6c3c0 `AttentionTransfer` (`pool`
        false), HobbitLong/RepDistiller@b84f547 `Attention` with p = 2 (`pool` true); the two agree where the sizes do.
        Both sum over the layers, as a term here does: weight 50 on stages 2 to 4 in the RKD paper, 1000 on all stages
        in RepDistiller and in the authors' code of attention transfer.
        The mean follows both. Departures: each axis is pooled by itself, where RepDistiller assumes square maps; an
        image of zeros has exactly no gradient, whatever the type.
    """
    student, teacher = check_inputs(student_map, teacher_map, dimensions=MAPS)
    if not pool and student.shape[2:] != teacher.shape[2:]:
        sizes = f"{tuple(student.shape[2:])} and {tuple(teacher.shape[2:])}"
        raise ValueError(f"student and teacher maps have the sizes {sizes}: allow pooling with pool=True")
    own, target = (_attention(features) for features in _same_size(student, teacher))
    return mse_loss(own, target).to(student.dtype)


def _attention(features: Tensor) -> Tensor:
    """From maps to ``(batch, pixels)``, rows at unit length; float64."""
    features = features * safe_scale(features)
    return unit_rows(features.square().mean(dim=1).flatten(1).double())


def neuron_selectivity(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Neuron selectivity transfer: match the distribution of the channels' patterns over the image.

    A channel's pattern in an image is its map, flattened, at Euclidean length 1. With the kernel ``k(a, b) = <a, b>^2``
    the loss is the squared maximum mean discrepancy between the student's patterns and the teacher's,

        mean k(s, s') + mean k(t, t') - 2 mean k(s, t),

    means over all pairs of channels, a channel with itself included, then over the images.

    Args:
        student_map: ``(batch, channels, height, width)``, floating. Gets the gradient; a channel that is 0 all over an
            image gets none there.
        teacher_map: likewise, with any number of channels. A constant. Where sizes differ, the larger map is averaged
            down to the smaller, each axis by itself.

    Returns:
        Scalar without unit, from 0 to 2 (0 for maps of one pixel with no channel 0 there), never below 0 by more than
        1e-14; float64 if either input is, else float32 (half precision is widened first, under autocast too).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating map, or the batch sizes differ.

    Cost:
        Memory, per image, the smaller of ``channels^2`` and ``pixels^2`` numbers: the sum over pairs of channels of
        ``<a, b>^2`` is the inner product of the two sides' matrices of second moments over pixels.

    Source:
        Z. Huang, N. Wang, arXiv:1707.01219, equation 6 with the polynomial kernel (d = 2, c = 0);
        HobbitLong/RepDistiller@b84f547 `NSTLoss`, over all stages with weight 50 next to cross-entropy. The teacher's
        own term, a constant, is part of the value, as in the code. Departures: each axis is pooled by itself, where the
        code assumes square maps; a channel of zeros has no gradient, where the code divides it by 1e-12.
    """
    student, teacher = check_inputs(student_map, teacher_map, dimensions=MAPS)
    own, target = (unit_rows(features.flatten(2).double()) for features in _same_size(student, teacher))
    discrepancy = _mean_kernel(own, own) + _mean_kernel(target, target) - 2 * _mean_kernel(own, target)
    return discrepancy.mean().to(student.dtype)


def _mean_kernel(first: Tensor, second: Tensor) -> Tensor:
    """Mean over pairs of rows of the squared inner product, ``(batch,)``; rows are ``(batch, rows, columns)``."""
    rows, columns = first.shape[1] * second.shape[1], first.shape[2]
    if columns**2 < rows:
        return ((first.mT @ first) * (second.mT @ second)).sum(dim=(1, 2)) / rows
    return (first @ second.mT).square().sum(dim=(1, 2)) / rows


def _same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both at the smaller height and the smaller width; matrices unchanged."""
    if student.shape[2:] == teacher.shape[2:]:
        return student, teacher
    size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    return adaptive_avg_pool2d(student, size), adaptive_avg_pool2d(teacher, size)
