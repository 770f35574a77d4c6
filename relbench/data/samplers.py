"""Batches of training images, each a function of its step: several images of several classes, epochs, or episodes."""

import math

import torch

from relbench.episodes import ClassMembers, Episode
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
        ValueError: a batch would hold a single class, or there are fewer classes than it needs.
    """

    def __init__(self, labels: torch.Tensor, batch_size: int, images_per_class: int, seed: int) -> None:
        self._members = [torch.nonzero(labels == label)[:, 0] for label in torch.unique(labels)]
        self._classes = math.ceil(batch_size / images_per_class)
        if self._classes > len(self._members):
            raise ValueError(
                f"a batch of {batch_size} with {images_per_class} images per class needs {self._classes} classes, "
                f"but there are {len(self._members)} for training: lower batch_size or use more classes"
            )
        if self._classes < 2:
            raise ValueError(
                f"a batch of {batch_size} with {images_per_class} images per class holds one class: raise batch_size "
                "or lower images_per_class"
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


class EpochSampler:
    """The batch of each step: all images once in random order, then all of them in another order.

    The order of an epoch is drawn from the generator of the epoch's number, which follows from the step.

    Args:
        images: number of them.
        batch_size: images per batch.
        seed: of the run.
        drop_last: whether an epoch leaves out the images that do not fill its last batch; else that batch is smaller.

    Raises:
        ValueError: there are too few images for a batch, or the last batch would be a single image.
    """

    def __init__(self, images: int, batch_size: int, seed: int, *, drop_last: bool) -> None:
        self.batches = batches_of_epoch(images, batch_size, drop_last=drop_last)
        self._images, self._batch_size, self._seed = images, batch_size, seed
        self._shuffled: tuple[int, torch.Tensor] | None = None  # the epoch that was asked for last

    def __call__(self, step: int) -> torch.Tensor:
        """Indices of images, shape (batch,)."""
        epoch, batch = divmod(step, self.batches)
        return self._order(epoch)[batch * self._batch_size : (batch + 1) * self._batch_size]

    def _order(self, epoch: int) -> torch.Tensor:
        if not self._shuffled or self._shuffled[0] != epoch:
            generator = step_generator(self._seed, "batches", epoch)
            self._shuffled = epoch, torch.randperm(self._images, generator=generator)
        return self._shuffled[1]


def batches_of_epoch(images: int, batch_size: int, *, drop_last: bool) -> int:
    """The number of batches in an epoch.

    Raises:
        ValueError: there are too few images for a batch, or the last batch would be a single image, which batch
            normalisation can't be trained on.
    """
    if images < batch_size:
        raise ValueError(f"there are {images} training images, which fill no batch of {batch_size}: lower batch_size")
    if drop_last:
        return images // batch_size
    if images % batch_size == 1:
        raise ValueError(
            f"the last batch of an epoch would be a single image ({images} images, {batch_size} a batch): "
            "choose another batch_size, or last_batch = drop"
        )
    return math.ceil(images / batch_size)


class EpisodeSampler:
    """The batch of each step: an episode of few-shot learning.

    Args:
        labels: class number of each image, shape (images,).
        episode: its layout.
        seed: of the run.

    Raises:
        ValueError: there are fewer classes, or images of some class, than an episode has.
    """

    def __init__(self, labels: torch.Tensor, episode: Episode, seed: int) -> None:
        self._members, self._episode, self._seed = ClassMembers(labels), episode, seed
        self._members.refuse_too_few(episode.way, episode.of_a_class, "training")

    def __call__(self, step: int) -> torch.Tensor:
        """Indices of images, shape (way * of_a_class,): class by class, support images first."""
        generator = step_generator(self._seed, "batches", step)
        return self._members.draw(self._episode.way, self._episode.of_a_class, generator).reshape(-1)
