"""Views of images for evaluation: in batches, and cached, as every validation uses them."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from relbench.data.table import ImageSource

EVALUATION_BATCH = 500  # images
KEPT_BYTES = 2**31  # of views that are made once and kept: all of CUB-200-2011 at 224 px take half


def evaluation_batches(source: ImageSource, indices: NDArray[np.int64]) -> Iterator[torch.Tensor]:
    """The views for evaluation of these images, as many at a time as memory has room for; none of none."""
    parts = torch.split(torch.from_numpy(indices), EVALUATION_BATCH) if len(indices) else ()
    return (source.test_batch(part) for part in parts)


class CachedViews:
    """A source of images that caches its views for evaluation, as every validation uses them.

    Args:
        source: makes them.
        room: bytes that may be kept; what comes after is made anew each time.
    """

    def __init__(self, source: ImageSource, room: int = KEPT_BYTES) -> None:
        self.source, self._room = source, room
        self.table, self.shape = source.table, source.shape
        self.content, self.data_hash = source.content, source.data_hash
        self.train_batch = source.train_batch
        self._kept: dict[bytes, torch.Tensor] = {}

    def test_batch(self, indices: torch.Tensor) -> torch.Tensor:
        """The views for evaluation; not to be written to."""
        name = indices.numpy().tobytes()
        if name in self._kept:
            return self._kept[name]
        views = self.source.test_batch(indices)
        if views.nbytes <= self._room:
            self._room -= views.nbytes
            self._kept[name] = views
        return views
