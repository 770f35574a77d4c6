"""The division of a batch: which images a rank shows to its networks, and which of them have batch statistics together.

All images of a batch are normalised by the same statistics, unless the settings divide it: support images and queries
of an episode apart, or a number of equal parts (`training.batch_norm_parts`), as data-parallel training has a part for
each GPU. What is divided so is so on one device and on several, whose ranks give equal numbers but for rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from relbench.episodes import Episode
from relbench.losses.placement import beside
from relbench.models.sharing import Shared
from relbench.ranks import ALONE, Ranks

FEWEST = 2  # images of a part


@dataclass(frozen=True)
class Pass:
    """Images that are shown at once.

    Attributes:
        places: this rank's, among all images of this rank.
        shared: how batch statistics and dropout of the images are shared with other ranks.
        group: number of the group of images that have statistics together.
    """

    places: Tensor
    shared: Shared
    group: int


@dataclass(frozen=True)
class Division:
    """The images of a batch by rank, and by pass.

    Attributes:
        own: this rank's images, as rising places in the batch.
        passes: the order in which they are shown.
        lengths: number of images of each rank.
        order: the place, among the images of all ranks one after the other, of each image of the batch.
        own_order: the place, among the images of the passes one after the other, of each of this rank's.
    """

    own: Tensor
    passes: tuple[Pass, ...]
    lengths: tuple[int, ...]
    order: Tensor
    own_order: Tensor

    def whole(self, rows: Tensor, ranks: Ranks) -> Tensor:
        """The rows of all images of the batch, in its order, from this rank's."""
        return rows if ranks.count == 1 else ranks.joined(rows, self.lengths)[beside(self.order, rows)]

    def in_own_order(self, shown: Sequence[Tensor]) -> Tensor:
        """This rank's rows, from those of its passes."""
        if len(shown) == 1:
            return shown[0]
        return torch.cat(list(shown))[beside(self.own_order, shown[0])]


@dataclass(frozen=True)
class Layout:
    """The layout of the batches of a training.

    Attributes:
        episode: of each batch, if it is an episode.
        parts: of a batch, each with statistics of its own; of a small batch fewer, of two images at least.
        ranks: that share a batch. Where the parts are a multiple of them, each rank shows whole parts.
    """

    episode: Episode | None = None
    parts: int = 1
    ranks: Ranks = ALONE

    def groups(self, images: int) -> list[Tensor]:
        """The images that have batch statistics together, as places in a batch of a number of images."""
        places = torch.arange(images)
        if self.episode and self.episode.apart:
            return [part.flatten().contiguous() for part in self.episode.parts(places)]
        return list(places.tensor_split(max(1, min(self.parts, images // FEWEST))))

    def own(self, images: int) -> Tensor | None:
        """This rank's images, as rising places in a batch of a number of images; None: all of them."""
        return self.division(images).own if self.ranks.count > 1 else None

    @lru_cache(maxsize=8)  # noqa: B019 - a layout is small, and lives as long as its training
    def division(self, images: int) -> Division:
        """The division of a batch of a number of images."""
        groups, ranks = self.groups(images), self.ranks
        whole = len(groups) > 1 and len(groups) % ranks.count == 0 and not (self.episode and self.episode.apart)
        by_rank = [_places(groups, ranks, rank, whole=whole) for rank in range(ranks.count)]
        rows = [torch.cat(places).sort().values for places in by_rank]
        own, numbers = rows[ranks.rank], range(len(groups))[ranks.rank :: ranks.count] if whole else range(len(groups))
        passes = tuple(
            Pass(torch.searchsorted(own, places), Shared(ranks, len(groups[number]), whole=whole), number)
            for number, places in zip(numbers, by_rank[ranks.rank], strict=True)
        )
        own_order = torch.cat([each.places for each in passes]).argsort()
        return Division(own, passes, tuple(map(len, rows)), torch.cat(rows).argsort(), own_order)


def _places(groups: Sequence[Tensor], ranks: Ranks, rank: int, *, whole: bool) -> list[Tensor]:
    """A rank's images: whole groups, or its share of each."""
    if whole:
        return list(groups[rank :: ranks.count])
    return [group[ranks.share(len(group), rank)] for group in groups]
