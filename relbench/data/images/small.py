"""Small images, such as CIFAR's, as a source: all of them one array of bytes, views made for a whole batch at once."""

from collections.abc import Sequence

import pandas as pd
import torch

from relbench.data.images.augmentation import SmallViews
from relbench.data.images.decoded import DecodedImages
from relbench.data.random_views import KeptImages
from relbench.data.table import Shape, table_hash
from relbench.transforms import SmallTransform


class SmallImages(KeptImages):
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

    def test_batch(self, indices: torch.Tensor) -> torch.Tensor:
        """The images themselves, uint8."""
        return torch.from_numpy(self._pixels.images[self._places[indices.numpy()]])

    def _images_of(self, indices: torch.Tensor) -> torch.Tensor:
        return self.test_batch(indices)
