"""Glyphs in colour on textured grounds: for networks of full size, trained from random weights without any download.

Classes, split, faces and distortion are those of Glyphs; what is added is made by `textures`. A picture keeps nothing
of its colours: training views draw them anew, test views take them from the picture's key.

The rendered glyphs are kept at the size of the view, not at twice of it: 1.3 GB for all classes at 224 px.
"""

import hashlib
from pathlib import Path

import torch

from relbench.data.glyphs import Glyphs, Progress, content_hash
from relbench.data.table import Shape
from relbench.data.textures import NUMBERS, VERSION, painted, tiles
from relbench.data.views import MOVES


def textured_content() -> str:
    """Names the data: the glyphs' manifest, and how they are painted."""
    return hashlib.sha256(f"{content_hash()} textured {VERSION}".encode()).hexdigest()


class TexturedGlyphs(Glyphs):
    """The data set as a source of images; arguments and errors are those of `Glyphs`."""

    oversize = 1

    def __init__(
        self,
        size: int,
        train_classes: int | None,
        test_classes: int | None,
        distortion: float,
        folder: Path,
        progress: Progress = iter,
        *,
        hold_out: bool = True,
    ) -> None:
        super().__init__(size, train_classes, test_classes, distortion, folder, progress, hold_out=hold_out)
        self.shape = Shape(channels=3, size=size)
        self.content = textured_content()
        self._tiles = tiles(size)
        painting = hashlib.sha256(self._tiles.tobytes()).hexdigest()
        self.data_hash = hashlib.sha256(f"{self.data_hash} {painting} {VERSION}".encode()).hexdigest()

    def train_batch(self, lines: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Randomly distorted and painted views, uint8, shape (len(lines), 3, size, size)."""
        return self._painted(lines, torch.rand(len(lines), MOVES + NUMBERS, generator=generator))

    def test_batch(self, lines: torch.Tensor) -> torch.Tensor:
        """Likewise, but for each picture always in the same way, whatever subset of classes is in use."""
        generators = (torch.Generator().manual_seed(int(key)) for key in self._keys[lines])
        return self._painted(lines, torch.stack([torch.rand(MOVES + NUMBERS, generator=each) for each in generators]))

    def _painted(self, lines: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        # A few at a time: at 224 px they stay in the cache, and a batch doesn't.
        pairs = zip(*(torch.split(whole, 8) for whole in (self._pictures_of(lines), numbers[:, :MOVES])), strict=True)
        masks = torch.cat([self._distortion.moved(*pair)[:, 0] for pair in pairs])
        return torch.from_numpy(painted(masks.numpy(), numbers[:, MOVES:], self._tiles))
