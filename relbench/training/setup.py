"""The objects of a training, and what a step shows to its students."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from relbench.episodes import Episode
from relbench.losses.inputs import Batch, TeacherOutputs
from relbench.training.objective import Objective, Outputs, Teacher, WeightedLoss
from relbench.training.stream import TrainingData

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Shown:
    """What a step shows: computed once, for however many students.

    Attributes:
        indices: of the images.
        labels: class numbers.
        images: as they are trained on.
        taught: the teacher's view; None without one.
    """

    indices: torch.Tensor
    labels: torch.Tensor
    images: torch.Tensor
    taught: TeacherOutputs | None


@dataclass(frozen=True)
class TrainingSetup:
    """The objects of a training: all that the loop does not make itself.

    Attributes:
        network: from images to embeddings.
        features: the same, from images to embeddings and maps.
        losses: the summands of the objective.
        classifier: trained along, for losses that take logits.
        teacher: what the network is compared with; the same object for all students of a cohort.
        data: images; likewise.
        primary: the metric that the best step is chosen by.
    """

    network: nn.Module
    features: nn.Module
    losses: Sequence[WeightedLoss]
    classifier: nn.Module | None
    teacher: Teacher | None
    data: TrainingData
    primary: str

    def objective(self) -> Objective:
        """The weighted sum of the losses."""
        return Objective(self.losses, self.classifier)

    def show(self, indices: torch.Tensor, images: torch.Tensor, device: torch.device = CPU) -> Shown:
        """Images, labels and the teacher's view: before any student's, while no activations of theirs are alive.

        Args:
            indices: of the images.
            images: as they are trained on.
            device: of networks and losses.
        """
        images, labels = images.to(device, non_blocking=True), self.data.labels[indices].to(device)
        return Shown(indices, labels, images, self.teacher.outputs(images) if self.teacher else None)

    def see(self, shown: Shown, generator: torch.Generator) -> Batch:
        """A batch as teacher and student see it.

        Args:
            shown: by `show`.
            generator: of the losses.
        """
        episode = self.data.episode
        if episode and episode.apart:
            embeddings, maps = seen_apart(self.features, shown.images, episode)
        else:
            embeddings, maps = self.features(shown.images)
        return Batch(shown.indices, shown.labels, generator, embeddings, maps, shown.taught, episode=episode)


def seen_apart(features: nn.Module, images: torch.Tensor, episode: Episode) -> Outputs:
    """Embeddings and maps of an episode whose support images and queries a network is shown one after the other.

    Each then has batch statistics of its own, and running statistics are updated twice.

    Args:
        features: from images to embeddings and maps.
        images: of the episode.
        episode: its layout.
    """
    seen = [(part.shape[:2], *features(part.flatten(0, 1))) for part in episode.parts(images)]
    embeddings = episode.joined(*(own.unflatten(0, shape) for shape, own, _ in seen))
    maps = {name: episode.joined(*(own[name].unflatten(0, shape) for shape, _, own in seen)) for name in seen[0][2]}
    return embeddings, maps
