"""Small images, such as CIFAR's, as a source: all of them one array of bytes, views made for a whole batch at once."""

from collections.abc import Sequence

import pandas as pd
import torch

from relbench.data.images.augmentation import SmallViews
from relbench.data.images.decoded import DecodedImages
from relbench.data.random_views import CPU, PendingViews, pending_views
from relbench.data.table import Shape, table_hash
from relbench.transforms import SmallTransform


class SmallImages:
    """Images that are kept at the size that networks see, as a source.

    The array is a file that is mapped into memory, which all processes share; a copy of the source for another process
    holds the file's path, not the images.

    Args:
        table: checked; some or all of the images.
        pixels: (at least) the table's images; their side is that of the views.
        size: side of the network's input in pixels.
        transform: of the training views.
        content: hash of what defines the data set.
        parts: what else than names, labels, split and pixels the data are made of, for their hash.

    Raises:
        ValueError: the network's input is not of the images' size, or an image is not what was written to the file.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        pixels: DecodedImages,
        size: int,
        transform: SmallTransform,
        content: str,
        parts: Sequence[bytes] = (),
    ) -> None:
        if size != pixels.side:
            raise ValueError(f"data.size = {size}, but the images have {pixels.side} px: set data.size={pixels.side}")
        self.table, self.content = table, content
        self.shape = Shape(channels=pixels.channels, size=size)
        names = table["name"].tolist()
        self.data_hash = table_hash(table, [*pixels.hashes(names), *parts])
        self._pixels, self._places, self._views = pixels, pixels.places(names), SmallViews(transform, size)

    def train_batch(
        self, indices: torch.Tensor, generator: torch.Generator, only: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Random views, uint8, shape (len(indices), channels, size, size), or of a part; see `SmallViews`."""
        return self.pending_batch(indices, generator, only).on(CPU)

    def pending_batch(
        self, indices: torch.Tensor, generator: torch.Generator, only: torch.Tensor | None = None
    ) -> PendingViews:
        """Images and numbers that training views are made of; see `PendingSource`."""
        return pending_views(self._views, self.test_batch, indices, generator, only)

    def test_batch(self, indices: torch.Tensor) -> torch.Tensor:
        """The images themselves, uint8."""
        return torch.from_numpy(self._pixels.images[self._places[indices.numpy()]])
