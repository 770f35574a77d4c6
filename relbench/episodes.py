"""Episodes of few-shot learning: a few classes, a few support images and queries of each.

An episode is drawn without replacement, classes and images: the support images of a class are none of its queries. It
follows from a generator, and so from a seed and the episode's number (`relbench.seeding.step_generator`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Episode:
    """The layout of an episode's images: class by class, of each class its support images before its queries.

    Attributes:
        way: classes.
        shot: support images of each class.
        queries: of each class.
        apart: whether a network is shown support images and queries one after the other, rather than in one batch.
    """

    way: int
    shot: int
    queries: int
    apart: bool = False

    @property
    def of_a_class(self) -> int:
        """Images of each class."""
        return self.shot + self.queries

    def parts(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Support and query rows, (way, shot, ...) and (way, queries, ...), of rows (way * of_a_class, ...).

        Raises:
            ValueError: there are more or fewer rows than an episode has images.
        """
        if len(rows) != self.way * self.of_a_class:
            raise ValueError(f"an episode has {self.way} x {self.of_a_class} images, but there are {len(rows)} rows")
        by_class = rows.reshape(self.way, self.of_a_class, *rows.shape[1:])
        return by_class[:, : self.shot], by_class[:, self.shot :]

    def joined(self, support: Tensor, query: Tensor) -> Tensor:
        """The rows of which these are the `parts`."""
        rows = torch.cat([support, query], dim=1)
        return rows.reshape(len(rows) * self.of_a_class, *rows.shape[2:])


class ClassMembers:
    """The images of each class, to draw episodes from.

    Args:
        labels: class of each image, (images,): integers.

    Attributes:
        sizes: images of each class, (classes,), by rising label.
    """

    def __init__(self, labels: Tensor) -> None:
        _, code, self.sizes = torch.unique(labels, return_inverse=True, return_counts=True)
        self._by_class = torch.argsort(code, stable=True)
        self._first = torch.cumsum(self.sizes, 0) - self.sizes  # place of a class's first image in these
        self._places = torch.arange(int(self.sizes.max()) if len(self.sizes) else 0)
        self._unequal = bool((self.sizes < len(self._places)).any())

    def refuse_too_few(self, way: int, images: int, what: str) -> None:
        """Refuse episodes that there are too few classes or images for.

        Args:
            way: classes of an episode.
            images: of each class.
            what: the images, in the words of a message, such as "training".

        Raises:
            ValueError: one line that says what to do.
        """
        if way > len(self.sizes):
            raise ValueError(
                f"a {what} episode has {way} classes, but there are {len(self.sizes)}: ask for fewer, or use more"
            )
        if len(self.sizes) and int(self.sizes.min()) < images:
            raise ValueError(
                f"a {what} episode has {images} images of each class, support and queries, but there is a class of "
                f"{int(self.sizes.min())}: ask for fewer queries or support images, or leave that class out"
            )

    def draw(self, way: int, images: int, generator: torch.Generator) -> Tensor:
        """Images of an episode, (way, images): places in the labels, classes and images in random order.

        Classes are the first of a random permutation. A class's images are those of the smallest of as many uniform
        random numbers as the largest class has images: any are as likely as any others, in any order.

        Args:
            way: classes.
            images: of each class; no more than the smallest class has.
            generator: of all random numbers.
        """
        chosen = torch.randperm(len(self.sizes), generator=generator)[:way]
        keys = torch.rand(way, len(self._places), generator=generator, dtype=torch.float64)
        if self._unequal:
            keys.masked_fill_(self._places >= self.sizes[chosen, None], torch.inf)
        order = keys.argsort(dim=1, stable=True)[:, :images]
        return self._by_class[order.add_(self._first[chosen, None])]
