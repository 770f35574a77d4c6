"""Random views of pictures: rotation, scale, shear, shift and noise, a whole batch at a time."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch.nn.functional import affine_grid, grid_sample

from relbench.data.random_views import Numbers, RandomViews

ROTATION = 0.4  # radians (23 degrees); each of these is the largest at strength 1, drawn uniformly
SCALE = 0.3  # natural logarithm
SHEAR = 0.3
SHIFT = 0.15  # of half the picture's side
NOISE = 0.15  # standard deviation, grey levels being in [0, 1]
MOVES = 6  # random numbers that a view takes, beside noise


class Views(RandomViews, Protocol):
    """Makes views of pictures; see `Distortion`."""

    channels: ClassVar[int]  # of the views

    def __init__(self, size: int, strength: float) -> None: ...

    def fixed(self, pictures: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Views that depend on each picture's key alone."""
        ...


@dataclass(frozen=True)
class Distortion:
    """Distorts grey pictures; at strength 0 it only resizes them.

    Args:
        size: side of the view in pixels.
        strength: multiplies every amount of distortion.
    """

    size: int
    strength: float
    channels: ClassVar = 1

    def draw(self, count: int, generator: torch.Generator) -> Numbers:
        """Moves, then noise.

        Args:
            count: of pictures.
            generator: the source of all random numbers.

        Returns:
            Maps, shape (count, 2, 3); and noise, standard normal, shape (count, 1, size, size).
        """
        numbers = torch.rand(count, MOVES, generator=generator)
        noise = torch.randn(count, 1, self.size, self.size, generator=generator)
        return {"maps": self.maps(numbers), "noise": noise}

    def make(self, images: torch.Tensor, numbers: Numbers) -> torch.Tensor:
        """Distort each picture by the numbers drawn for it.

        On a GPU, whose sums may be rounded otherwise, views are equal to those of the CPU to rounding.

        Args:
            images: uint8, shape (batch, channels, height, width).
            numbers: of `draw`.

        Returns:
            Views, float32 in [0, 1], shape (batch, channels, size, size).
        """
        return (self.moved(images, numbers["maps"]) + NOISE * self.strength * numbers["noise"]).clamp_(0, 1)

    def fixed(self, pictures: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Distort each picture by random numbers that depend on its key alone.

        Args:
            pictures: uint8, shape (batch, channels, height, width).
            keys: integers, shape (batch,).

        Returns:
            Views, float32 in [0, 1], shape (batch, channels, size, size).
        """
        shape = (pictures.shape[1], self.size, self.size)
        generators = [torch.Generator().manual_seed(int(key)) for key in keys]
        numbers = torch.stack([torch.rand(MOVES, generator=generator) for generator in generators])
        noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
        return self.make(pictures, {"maps": self.maps(numbers), "noise": noise})

    def maps(self, numbers: torch.Tensor) -> torch.Tensor:
        """Maps from places in the view to places in the picture, shape (batch, 2, 3).

        Args:
            numbers: in [0, 1), shape (batch, MOVES), in the order of `affine_maps`.
        """
        return affine_maps((2 * numbers - 1) * self.strength)

    def moved(self, pictures: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Rotate, scale, shear and shift each picture; add no noise.

        Args:
            pictures: uint8, shape (batch, channels, height, width).
            maps: of `maps`.

        Returns:
            Views, float32 in [0, 1], shape (batch, channels, size, size).
        """
        count, channels = pictures.shape[:2]
        if not count:  # torch makes no empty grid
            return torch.empty(0, channels, self.size, self.size, device=pictures.device)
        if maps.device.type == "cpu":
            grid = affine_grid(maps, [count, 1, self.size, self.size], align_corners=False)
        else:
            grid = places(maps, self.size)
        return grid_sample(pictures.float() / 255, grid, align_corners=False)


def places(maps: torch.Tensor, size: int) -> torch.Tensor:
    """The places in a picture of the pixels of a view, shape (batch, size, size, 2).

    As torch's `affine_grid`, which multiplies matrices, and on a GPU perhaps in TF32: too coarse for places.

    Args:
        maps: of shape (batch, 2, 3), on coordinates in [-1, 1].
        size: side of the view in pixels.
    """
    along = torch.linspace(-1, 1, size, device=maps.device) * (size - 1) / size
    of_x, of_y, shift = maps[:, None, None].unbind(-1)
    return along[None, None, :, None] * of_x + along[None, :, None, None] * of_y + shift


def affine_maps(numbers: torch.Tensor) -> torch.Tensor:
    """Maps from places in the view to places in the picture.

    Args:
        numbers: in [-1, 1] times strength, shape (batch, 6): rotation, scale, two shears, two shifts.

    Returns:
        Matrices of shape (batch, 2, 3) on coordinates in [-1, 1].
    """
    angle, scale = ROTATION * numbers[:, 0], torch.exp(SCALE * numbers[:, 1])
    across, down = SHEAR * numbers[:, 2], SHEAR * numbers[:, 3]
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [cos - sin * down, cos * across - sin, sin + cos * down, sin * across + cos]
    linear = torch.stack(rows, dim=1).view(-1, 2, 2)
    return torch.cat([linear, SHIFT * numbers[:, 4:, None]], dim=2)
