"""Random views of small images, made for a whole batch at once.

A view is a function of the image and of the numbers drawn for it; the functions that draw come first, each takes all
numbers of a batch together. Images are bytes, RGB or grey, shape (images, channels, side, side), and so are views.
What a view is follows torchvision's transforms of PIL's images, which published codes use: for the same numbers padded
crops, flips and rotations are equal to theirs to the last bit, crops resized to 32 or 64 px too (to others within two
levels), and changed colours within one level of 255.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relbench.data.images import on_device
from relbench.data.images.on_device import taps
from relbench.data.random_views import Numbers
from relbench.transforms import SmallTransform

ATTEMPTS = 10  # at a crop that fits into the image, before the image is taken whole
AREAS = 0.08, 1.0  # of a random crop, as shares of the image
ASPECTS = 3 / 4, 4 / 3  # of a random crop: width to height
GREY = 19595, 38470, 7471  # of 65,536: red, green and blue in a grey level, as PIL has them
FIXED = 16  # bits after the point of PIL's coordinates in a rotated image


@dataclass(frozen=True)
class SmallViews:
    """Views for training: cropped, mirrored, rotated, then changed in colour, as far as the settings ask for it.

    Attributes:
        transform: the settings; colours are changed of RGB images alone.
        side: of the images in pixels.
    """

    transform: SmallTransform
    side: int

    def draw(self, count: int, generator: torch.Generator) -> Numbers:
        """Crops, then flips, then rotations, then colours; what isn't asked for draws none.

        Args:
            count: of images.
            generator: all numbers are drawn from it, those of a batch together.
        """
        transform, drawn = self.transform, dict[str, Tensor]()
        if transform.crop == "pad" and transform.pad:
            drawn["places"] = torch.randint(2 * transform.pad + 1, (2, count), generator=generator).T
        elif transform.crop == "resized":
            drawn["boxes"] = random_boxes(count, self.side, generator).T
        if transform.flip:
            drawn["mirrored"] = torch.rand(count, generator=generator) < 0.5
        if transform.rotation:
            angles = transform.rotation * (2 * torch.rand(count, generator=generator) - 1)
            drawn["turns"] = turns(angles, self.side).T
        if transform.jitter:
            factors, drawn["orders"] = random_colours(count, transform.jitter, generator)
            drawn["factors"] = factors.T
        return drawn

    def make(self, images: Tensor, numbers: Numbers) -> Tensor:
        """Views by the numbers drawn for them; on all devices the same bytes, but for what `on_device` says.

        Args:
            images: uint8, shape (images, channels, side, side); they are not written to.
            numbers: of `draw`.

        Returns:
            uint8, of the same shape.
        """
        return self.made(images, numbers, ON_CPU if images.device.type == "cpu" else ON_DEVICE)

    def made(self, images: Tensor, numbers: Numbers, forms: "Forms") -> Tensor:
        """Likewise, by either form of crops and flips."""
        views = images
        if "places" in numbers:
            views = forms.padded_crops(views, numbers["places"].T, self.transform.pad, self.transform.padding)
        if "boxes" in numbers:
            views = forms.resized_crops(views, numbers["boxes"].T)
        if "mirrored" in numbers:
            views = forms.flipped(views if views is not images else images.clone(), numbers["mirrored"])
        if "turns" in numbers:
            views = turned(views, numbers["turns"].T)
        if "factors" in numbers:
            views = recoloured(views, numbers["factors"].T, numbers["orders"])
        return views


def random_boxes(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Crops of a random area and aspect.

    The area is uniform between 8 % and 100 % of the image's, the logarithm of the aspect between those of 3:4 and 4:3;
    of ten such crops the first that fits into the image is taken, or the whole image if none does. Its place is
    uniform.

    Args:
        count: of crops.
        side: of the images in pixels.
        generator: draws areas and aspects, (2, 10, count) numbers, then places, (2, count).

    Returns:
        Top, left, height and width in pixels, shape (4, count), int64.

    Source:
        torchvision's RandomResizedCrop, `get_params`.
    """
    areas, aspects = torch.rand(2, ATTEMPTS, count, generator=generator, dtype=torch.float64)
    places = torch.rand(2, count, generator=generator, dtype=torch.float64)
    areas = side**2 * (AREAS[0] + (AREAS[1] - AREAS[0]) * areas)
    low, high = map(math.log, ASPECTS)
    aspects = torch.exp(low + (high - low) * aspects)
    sizes = torch.stack([(areas / aspects).sqrt(), (areas * aspects).sqrt()]).round().long()  # heights, widths
    fits = ((sizes >= 1) & (sizes <= side)).all(dim=0)
    first = fits.to(torch.uint8).argmax(dim=0)
    chosen = torch.where(fits.any(dim=0), sizes[:, first, torch.arange(count)], side)
    return torch.cat([(places * (side - chosen + 1)).long(), chosen])


def random_colours(count: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Changes of brightness, contrast and saturation.

    Args:
        count: of images.
        share: the largest change.
        generator: draws the factors, (3, count) numbers, then the orders, (count, 3).

    Returns:
        Factors, uniform between 1 - share and 1 + share, shape (3, count), float32; and the orders in which the three
        are changed, each of the six as likely as any other, shape (count, 3).

    Source:
        torchvision's ColorJitter.
    """
    factors = 1 + share * (2 * torch.rand(3, count, generator=generator) - 1)
    return factors, torch.rand(count, 3, generator=generator).argsort(dim=1)


def padded_crops(images: Tensor, places: Tensor, pad: int, padding: str) -> Tensor:
    """Crops, as large as the images, of images with a margin.

    Args:
        images: uint8, shape (images, channels, side, side).
        places: top and left of each crop in the padded image, 0 to 2 pad, shape (2, images).
        pad: pixels on each side.
        padding: "zero" for black, "reflect" for the image reflected at its edge, which is not repeated.

    Raises:
        ValueError: a crop begins elsewhere.

    Source:
        torchvision's RandomCrop(side, padding=pad, padding_mode="constant" or "reflect").
    """
    if not len(images):
        return images
    if places.min() < 0 or places.max() > 2 * pad:  # else other memory would be read
        raise ValueError(f"crops of images padded by {pad} px begin at 0 to {2 * pad}")
    padded, (tops, lefts) = _padded(images.numpy(), pad, padding), places.numpy()
    of_image, _, of_row, _ = padded.strides
    starts = of_image * np.arange(len(images)) + of_row * tops + lefts  # bytes
    shape = starts[-1] + 1, *images.shape[1:]  # a window that begins at each byte, up to the last that is taken
    windows = np.lib.stride_tricks.as_strided(padded, shape, (1, *padded.strides[1:]), writeable=False)
    return torch.from_numpy(windows[starts])


def _padded(images: NDArray[np.uint8], pad: int, padding: str) -> NDArray[np.uint8]:
    if padding == "reflect":
        return np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)), "reflect")
    count, colours, *sides = images.shape
    padded = np.zeros((count, colours, *(side + 2 * pad for side in sides)), np.uint8)  # np.pad takes twice as long
    padded[:, :, pad : pad + sides[0], pad : pad + sides[1]] = images
    return padded


def resized_crops(images: Tensor, boxes: Tensor) -> Tensor:
    """Crops, each resized to the image's size: bilinear, along rows and then along columns.

    A crop is never larger than the view, so that nothing shrinks and there is nothing for an antialiasing filter to do.

    Args:
        images: uint8, shape (images, channels, side, side).
        boxes: top, left, height and width, shape (4, images).

    Source:
        torchvision's `resized_crop` of PIL's images. Weights are multiples of 1 / (2 side), so that sums in float32 are
        exact where the side is a power of two.
    """
    _, channels, _, side = images.shape
    tops, lefts, heights, widths = boxes
    along_rows = _bilinear(lefts, widths, side).transpose(1, 2)
    rows = _to_nearest(torch.bmm(images.to(torch.float32).view(-1, channels * side, side), along_rows))
    views = torch.matmul(_bilinear(tops, heights, side)[:, None], rows.view(-1, channels, side, side))
    return _to_nearest(views).to(torch.uint8)


def _bilinear(starts: Tensor, lengths: Tensor, side: int) -> Tensor:
    """Weights by which pixels become those of the resized part of a line, shape (lines, side, side), rows sum to 1."""
    near, far, share = taps(starts, lengths, side)
    weights = torch.zeros(len(starts), side, side)
    weights.scatter_add_(2, near[..., None], (1 - share)[..., None])
    return weights.scatter_add_(2, far[..., None], share[..., None])


def _to_nearest(levels: Tensor) -> Tensor:
    """Whole levels; a half counts up, as in PIL."""
    return levels.add_(0.5).floor_()


def flipped(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen images, shape (images,), in place, and return all: left is right."""
    views, numbers = images.numpy(), np.flatnonzero(chosen.numpy())  # numpy reverses bytes faster than torch
    if images.shape[-1] % 8 == 0 and images.is_contiguous():
        words = views.view(np.uint64)  # reversed in turn, and the eight bytes of each: faster still
        words[numbers] = words[numbers][..., ::-1].byteswap()
    else:
        views[numbers] = views[numbers][..., ::-1]
    return images


def turns(angles: Tensor, side: int) -> Tensor:
    """Rotations in PIL's coordinates, with 16 bits after the point.

    Args:
        angles: in degrees, counter-clockwise, shape (images,).
        side: of the images in pixels.

    Returns:
        Column and row of what comes first, cosine and sine, shape (4, images), int64.
    """
    radians = -torch.deg2rad(angles.double())
    cos, sin, centre = radians.cos(), radians.sin(), side / 2
    first_column = centre + (cos + sin) * (0.5 - centre)
    first_row = centre + (cos - sin) * (0.5 - centre)
    return torch.floor(torch.stack([first_column, first_row, cos, sin]) * 2**FIXED + 0.5).long()


def turned(images: Tensor, rotations: Tensor) -> Tensor:
    """Images rotated about their centres; the nearest pixel counts, and what comes from outside is black.

    Args:
        images: uint8, shape (images, channels, side, side).
        rotations: of `turns`.

    Source:
        torchvision's RandomRotation, PIL's `Image.rotate`: coordinates are rounded to 16 bits after the point.
    """
    _, channels, _, side = images.shape
    first_column, first_row, cos, sin = rotations[:, :, None, None].unbind()
    across = torch.arange(side, device=images.device)
    down = across[:, None]
    columns = (first_column + across * cos + down * sin) >> FIXED
    rows = (first_row - across * sin + down * cos) >> FIXED
    inside = (columns >= 0) & (columns < side) & (rows >= 0) & (rows < side)
    sources = torch.where(inside, rows * side + columns, 0).view(-1, 1, side**2).expand(-1, channels, -1)
    views = images.reshape(-1, channels, side**2).gather(2, sources).view_as(images)
    return views * inside[:, None]


def recoloured(images: Tensor, factors: Tensor, orders: Tensor) -> Tensor:
    """Images with another brightness, contrast and saturation.

    Each is a step away from a plain image (1 is the image itself): from black, from the image's mean grey level, from
    the image in grey.

    Args:
        images: uint8, shape (images, 3, side, side).
        factors: of brightness, contrast and saturation, shape (3, images).
        orders: of the three, by number, shape (images, 3).

    Source:
        torchvision's ColorJitter, PIL's `ImageEnhance`: levels are cut off to whole ones after each change.
    """
    views = images.to(torch.float32)
    for turn in orders.T:
        number, grey = turn[:, None, None, None], _grey(views)
        plain = torch.where(number == 2, grey, torch.where(number == 1, _mean_level(grey), 0))
        factor = factors.T.gather(1, turn[:, None])[:, :, None, None]
        views.sub_(plain).mul_(factor).add_(plain).clamp_(0, 255).floor_()
    return views.to(torch.uint8)


def _mean_level(grey: Tensor) -> Tensor:
    """To the nearest level, a half up: in whole numbers."""
    count, total = grey.shape[2] * grey.shape[3], grey.sum(dim=(2, 3), keepdim=True, dtype=torch.float64).long()
    return (2 * total + count).div(2 * count, rounding_mode="floor").float()


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.int().unbind(dim=1)
    levels = (red * GREY[0] + green * GREY[1] + blue * GREY[2] + 2**15) >> 16
    return levels[:, None].to(torch.float32)


class Forms(NamedTuple):
    """Crops and flips, on the CPU or on any device."""

    padded_crops: Callable[[Tensor, Tensor, int, str], Tensor]
    resized_crops: Callable[[Tensor, Tensor], Tensor]
    flipped: Callable[[Tensor, Tensor], Tensor]


ON_CPU = Forms(padded_crops, resized_crops, flipped)
ON_DEVICE = Forms(on_device.padded_crops, on_device.resized_crops, on_device.flipped)
