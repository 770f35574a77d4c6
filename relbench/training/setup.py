"""The objects of a training, and what a step shows to its students."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import nn

from relbench.data.random_views import PendingViews
from relbench.losses.inputs import Batch, TeacherOutputs
from relbench.losses.placement import beside
from relbench.models.sharing import Sharing
from relbench.ranks import Ranks
from relbench.training.division import Division
from relbench.training.objective import Objective, Outputs, Teacher, WeightedLoss
from relbench.training.sending import send
from relbench.training.stream import TrainingData

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Shown:
    """What a step shows: computed once, for however many students.

    Attributes:
        indices: of the images.
        labels: class numbers.
        host_labels: the same in the host's memory.
        images: as they are trained on; of several ranks each has its own.
        taught: the teacher's view of the whole batch; None without one.
        division: of the batch.
    """

    indices: torch.Tensor
    labels: torch.Tensor
    host_labels: torch.Tensor
    images: torch.Tensor
    taught: TeacherOutputs | None
    division: Division


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
        sharing: is told what the network is shown; None where no other rank shows a part of it.
    """

    network: nn.Module
    features: nn.Module
    losses: Sequence[WeightedLoss]
    classifier: nn.Module | None
    teacher: Teacher | None
    data: TrainingData
    primary: str
    sharing: Sharing | None = None

    def objective(self) -> Objective:
        """The weighted sum of the losses."""
        return Objective(self.losses, self.classifier)

    def show(self, indices: torch.Tensor, images: torch.Tensor | PendingViews, device: torch.device = CPU) -> Shown:
        """Images, labels and the teacher's view: before any student's, while no activations of theirs are alive.

        Args:
            indices: of the batch's images.
            images: as they are trained on, or to be made on the device: this rank's.
            device: of networks and losses.
        """
        division = self.data.layout.division(len(indices))
        host_labels = self.data.labels[indices]
        images, labels = send(images, host_labels, device)
        taught = self.teacher.outputs(images) if self.teacher else None
        if taught and self.data.layout.ranks.count > 1:
            taught = _of_whole_batch(taught, division, self.data.layout.ranks)
        return Shown(indices, labels, host_labels, images, taught, division)

    def see(self, shown: Shown, generator: torch.Generator, begin: Callable[[int], None] | None = None) -> Batch:
        """A batch as teacher and student see it.

        Args:
            shown: by `show`.
            generator: of the losses.
            begin: is told of each group of images that are shown with batch statistics of their own, by its number.
        """
        embeddings, maps = self._outputs(shown, begin)
        seen = Batch(shown.indices, shown.labels, generator, embeddings, maps, shown.taught)
        layout = self.data.layout
        return replace(seen, episode=layout.episode, ranks=layout.ranks, host_labels=shown.host_labels)

    def _outputs(self, shown: Shown, begin: Callable[[int], None] | None) -> Outputs:
        """Embeddings and maps of the whole batch: of this rank's images pass by pass, and of the other ranks'."""
        division, ranks, seen = shown.division, self.data.layout.ranks, list[Outputs]()
        for each in division.passes:
            if begin:
                begin(each.group)
            images = shown.images if len(division.passes) == 1 else shown.images[beside(each.places, shown.images)]
            with self.sharing.of(each.shared) if self.sharing else nullcontext():
                seen.append(self.features(images))
        if len(seen) == 1 and ranks.count == 1:
            return seen[0]

        def whole(rows: Sequence[torch.Tensor]) -> torch.Tensor:
            return division.whole(division.in_own_order(rows), ranks)

        return whole([own for own, _ in seen]), {name: whole([maps[name] for _, maps in seen]) for name in seen[0][1]}


def _of_whole_batch(taught: TeacherOutputs, division: Division, ranks: Ranks) -> TeacherOutputs:
    """A teacher's view of the images of all ranks, from that of this rank's."""
    return replace(
        taught,
        embeddings=division.whole(taught.embeddings, ranks),
        maps={name: division.whole(rows, ranks) for name, rows in taught.maps.items()},
        logits=division.whole(taught.logits, ranks) if taught.logits is not None else None,
    )
