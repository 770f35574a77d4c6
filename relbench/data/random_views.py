"""Random views in two steps: numbers are drawn for a whole batch; then views are made by them, of all images or a part.

What is drawn does not depend on who makes the views, of which images of the batch, or where.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

CPU = torch.device("cpu")

Numbers = Mapping[str, Tensor]
"""What was drawn, by name: the first dimension of each goes over the images of the batch."""


class RandomViews(Protocol):
    """A maker of random views; a value that can be pickled."""

    def draw(self, count: int, generator: torch.Generator) -> Numbers:
        """The numbers of a batch, on the CPU.

        Args:
            count: of the batch's images.
            generator: the source of all numbers.
        """
        ...

    def make(self, images: Tensor, numbers: Numbers) -> Tensor:
        """Views of images by the numbers drawn for them; the images are not written to.

        Args:
            images: as they are kept, uint8, shape (images, channels, height, width).
            numbers: of these images, on the same device.
        """
        ...


@dataclass(frozen=True)
class PendingViews:
    """Images of a batch and what was drawn for them, of which views are still to be made.

    They travel between processes and devices as bytes and numbers, and can be pickled.

    Attributes:
        images: as they are kept, uint8.
        numbers: drawn for them.
        make: from images and numbers, on the same device, to views.
    """

    images: Tensor
    numbers: Numbers
    make: Callable[[Tensor, Numbers], Tensor]

    def on(self, device: torch.device) -> Tensor:
        """The views, made on a device."""
        there = self.to(device)
        return self.make(there.images, there.numbers)

    def to(self, device: torch.device) -> "PendingViews":
        """The same on a device, to which pinned memory is copied without waiting."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "PendingViews":
        """The same in memory that a GPU copies from by itself; torch's `DataLoader` asks for it."""
        return self._each(Tensor.pin_memory)

    @property
    def nbytes(self) -> int:
        """Bytes of images and numbers."""
        return sum(tensor.nbytes for tensor in (self.images, *self.numbers.values()))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "PendingViews":
        numbers = {name: change(drawn) for name, drawn in self.numbers.items()}
        return PendingViews(change(self.images), numbers, self.make)


@runtime_checkable
class PendingSource(Protocol):
    """A source of images whose views can be made on a device; see `table.ImageSource`."""

    def pending_batch(self, indices: Tensor, generator: torch.Generator, only: Tensor | None = None) -> PendingViews:
        """What `train_batch` makes views of: these are its views, to the last bit where they are made on the CPU.

        Args:
            indices: of the batch's images.
            generator: the source of all random numbers, which are drawn for the whole batch.
            only: places in the batch of the images that are read; None for all.
        """
        ...


def pending_views(
    maker: RandomViews,
    read: Callable[[Tensor], Tensor],
    indices: Tensor,
    generator: torch.Generator,
    only: Tensor | None = None,
) -> PendingViews:
    """Draw for a whole batch, and read the images of it, or of a part.

    Args:
        maker: of the views.
        read: from indices to images as they are kept.
        indices: of the batch's images.
        generator: the source of all random numbers.
        only: places in the batch of the images whose views are wanted; None for all.
    """
    numbers = maker.draw(len(indices), generator)
    if only is not None:
        indices, numbers = indices[only], {name: drawn[only] for name, drawn in numbers.items()}
    return PendingViews(read(indices), numbers, maker.make)


class KeptImages(ABC):
    """A source of images that are kept in memory as bytes, whose training views a maker makes of them."""

    _views: RandomViews

    @abstractmethod
    def _images_of(self, indices: Tensor) -> Tensor:
        """Images as they are kept, which views are made of."""

    def train_batch(self, indices: Tensor, generator: torch.Generator, only: Tensor | None = None) -> Tensor:
        """Random views, shape (images, channels, size, size), or of a part; see `table.ImageSource`."""
        return self.pending_batch(indices, generator, only).on(CPU)

    def pending_batch(self, indices: Tensor, generator: torch.Generator, only: Tensor | None = None) -> PendingViews:
        """Images and numbers that training views are made of; see `PendingSource`."""
        return pending_views(self._views, self._images_of, indices, generator, only)


def random_views(maker: RandomViews, images: Tensor, generator: torch.Generator) -> Tensor:
    """Views of images that are there, by fresh random numbers."""
    return maker.make(images, maker.draw(len(images), generator))
