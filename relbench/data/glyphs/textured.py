"""Glyphs in colour on textured grounds: for networks of full size, trained from random weights without any download.

Classes, split, faces and distortion are those of Glyphs; what is added is made by `textures`. A picture keeps nothing
of its colours: training views draw them anew, test views take them from the picture's key.

The rendered glyphs are kept at the size of the view, not at twice of it: 1.3 GB for all classes at 224 px.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch

from relbench.data.glyphs.glyphs import Glyphs, content_hash
from relbench.data.glyphs.textures import NUMBERS, VERSION, painted, painted_on_device, tiles
from relbench.data.glyphs.views import MOVES, Distortion, Views
from relbench.data.random_views import Numbers


def textured_content() -> str:
    """Names the data: the glyphs' manifest, and how they are painted."""
    return hashlib.sha256(f"{content_hash()} textured {VERSION}".encode()).hexdigest()


@dataclass(frozen=True)
class Painting:
    """Distorts pictures of glyphs and paints them.

    Args:
        size: side of the view in pixels.
        strength: multiplies every amount of distortion.
    """

    size: int
    strength: float
    channels: ClassVar = 3

    def draw(self, count: int, generator: torch.Generator) -> Numbers:
        """Moves, maps of shape (count, 2, 3), and paints, of shape (count, NUMBERS)."""
        return self._numbers(torch.rand(count, MOVES + NUMBERS, generator=generator))

    def make(self, images: torch.Tensor, numbers: Numbers) -> torch.Tensor:
        """Distorted and painted views of grey pictures, uint8, shape (batch, 3, size, size).

        On a GPU, whose sums and products may be rounded otherwise, a level may differ by one from that of the CPU.
        """
        if images.device.type != "cpu":
            masks = self._distortion.moved(images, numbers["maps"])[:, 0]
            return painted_on_device(masks, numbers["paints"], _tiles_on(self.size, images.device))
        # A few at a time: at 224 px they stay in the cache, and a batch doesn't.
        pairs = zip(torch.split(images, 8), torch.split(numbers["maps"], 8), strict=True)
        masks = torch.cat([self._distortion.moved(*pair)[:, 0] for pair in pairs])
        return torch.from_numpy(painted(masks.numpy(), numbers["paints"], tiles(self.size)))

    def fixed(self, pictures: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Likewise, by random numbers that depend on each picture's key alone."""
        generators = (torch.Generator().manual_seed(int(key)) for key in keys)
        numbers = torch.stack([torch.rand(MOVES + NUMBERS, generator=each) for each in generators])
        return self.make(pictures, self._numbers(numbers))

    @property
    def _distortion(self) -> Distortion:
        return Distortion(self.size, self.strength)

    def _numbers(self, drawn: torch.Tensor) -> Numbers:
        return {"maps": self._distortion.maps(drawn[:, :MOVES]), "paints": drawn[:, MOVES:]}


@cache
def _tiles_on(size: int, device: torch.device) -> torch.Tensor:
    return torch.tensor(tiles(size), device=device)


class TexturedGlyphs(Glyphs):
    """The data set as a source of images, bytes in three channels; arguments and errors are those of `Glyphs`."""

    oversize = 1
    views: type[Views] = Painting

    def _content(self) -> str:
        return textured_content()

    def _hashed(self, glyphs: str) -> str:
        painting = hashlib.sha256(tiles(self.shape.size).tobytes()).hexdigest()
        return hashlib.sha256(f"{glyphs} {painting} {VERSION}".encode()).hexdigest()
