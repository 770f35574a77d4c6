"""Batches of several images of several classes, each drawn from the generator of its step."""

import math

import torch

from relbench.seeding import step_generator


class ClassBalancedSampler:
    """The batch of each step: `images_per_class` images of each of several classes.

    As in the authors' sampler (Park et al. 2019; lenscloth/RKD@0a6c3c0, `NPairs`): classes are drawn without
    replacement, images too where a class has enough of them; where batch size is no multiple of `images_per_class` the
    last class gets the rest. An "epoch" is a number of such batches, never a pass over the data.

    Args:
        labels: class number of each image, shape (images,).
        batch_size: images per batch.
        images_per_class: images of each class in a batch.
        seed: of the run.

    Raises:
        ValueError: there are fewer classes than a batch needs.
    """

    def __init__(self, labels: torch.Tensor, batch_size: int, images_per_class: int, seed: int) -> None:
        self._members = [torch.nonzero(labels == label)[:, 0] for label in torch.unique(labels)]
        self._classes = math.ceil(batch_size / images_per_class)
        if self._classes > len(self._members):
            raise ValueError(
                f"a batch of {batch_size} with {images_per_class} images per class needs {self._classes} classes, "
                f"but there are {len(self._members)} for training: lower batch_size or use more classes"
            )
        self._batch_size = batch_size
        self._images_per_class = images_per_class
        self._seed = seed

    def __call__(self, step: int) -> torch.Tensor:
        """Indices of images, shape (batch_size,), images of a class together."""
        generator = step_generator(self._seed, "batches", step)
        chosen = torch.randperm(len(self._members), generator=generator)[: self._classes]
        images = torch.cat([self._images(self._members[number], generator) for number in chosen.tolist()])
        return images[: self._batch_size]

    def _images(self, members: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Images of a class; of a class with too few of them some are drawn twice, but each at least once."""
        wanted = self._images_per_class
        rounds = math.ceil(wanted / len(members))
        orders = [torch.randperm(len(members), generator=generator) for _ in range(rounds)]
        return members[torch.cat(orders)[:wanted]]
