"""Inputs that a loss can be called with, and options that the run fills in: each is said once, here.

To add an input, give it a line in `INPUTS`; if it is something new of a batch, a field of `Batch`, which the trainer
fills; if it is computed before the training from the teacher's embeddings of the training images, a `Requirement` and a
line in `FROM_TEACHER`; if it needs a network of its own, a `Requirement` that `relbench.training.assemble` meets.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from relbench.episodes import Episode
from relbench.experiment import EMBEDDING
from relbench.losses.placement import beside
from relbench.losses.refilled import class_centres
from relbench.ranks import ALONE, Ranks

Requirement = Literal["teacher", "layers", "classifier", "teacher_classifier", "centres", "episodes"]
"""What must be assembled for an input before the training: a teacher; the maps of layers; a classifier that is trained
along; the one that was trained with the teacher; the class centres of the teacher's embeddings; batches that are
episodes, as few-shot learning has them."""

FROM_TEACHER: dict[Requirement, Callable[[Tensor, Tensor, int], Tensor]] = {"centres": class_centres}
"""Functions whose results stay the same during the training: of the teacher's embeddings of all training images,
(images, teacher_dim), of their class numbers, (images,), and of the number of classes."""


@dataclass(frozen=True)
class TeacherOutputs:
    """A teacher's view of a batch.

    Attributes:
        embeddings: of the images, (batch, teacher_dim).
        maps: by layer.
        logits: of its classifier; None where none was trained with it.
        constants: results of `FROM_TEACHER`, those that a loss takes.
    """

    embeddings: Tensor
    maps: Mapping[str, Tensor]
    logits: Tensor | None = None
    constants: Mapping[Requirement, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """A batch as the losses see it.

    Attributes:
        indices: of the images in the table.
        labels: class numbers, where the embeddings are.
        generator: of all random draws.
        embeddings: of the student, with gradients.
        maps: of the student, by layer.
        taught: the teacher's view; None without one.
        classifier: from embeddings to logits, trained along; None where no loss takes logits.
        episode: the layout of the images; None where batches are no episodes.
        host_labels: the labels in the host's memory; None: they are only in `labels`, and a GPU must be waited for.
        ranks: the processes that share the run, each of which has the whole batch.
    """

    indices: Tensor
    labels: Tensor
    generator: torch.Generator
    embeddings: Tensor
    maps: Mapping[str, Tensor]
    taught: TeacherOutputs | None = None
    classifier: Callable[[Tensor], Tensor] | None = None
    episode: Episode | None = None
    host_labels: Tensor | None = None
    ranks: Ranks = ALONE

    @property
    def labels_on_the_host(self) -> Tensor:
        """The labels in the host's memory."""
        return self.labels.cpu() if self.host_labels is None else self.host_labels

    @property
    def parts(self) -> tuple[Tensor, Tensor]:
        """The embeddings of support images and of queries.

        Raises:
            ValueError: the batch is no episode.
        """
        if self.episode is None:
            raise ValueError("a loss compares queries with support images, but batches are no episodes")
        return self.episode.parts(self.embeddings)

    @property
    def teacher(self) -> TeacherOutputs:
        """The teacher's view.

        Raises:
            ValueError: there is no teacher.
        """
        if self.taught is None:
            raise ValueError("a loss compares with a teacher, but there is none")
        return self.taught

    def logits(self, embeddings: Tensor) -> Tensor:
        """The classifier's output.

        Raises:
            ValueError: there is no classifier.
        """
        if self.classifier is None:
            raise ValueError("a loss takes logits, but there is no classifier")
        return self.classifier(embeddings)


@dataclass(frozen=True)
class Input:
    """A kind of input.

    Attributes:
        summary: what it is, with its shape.
        of: from a batch, and the layer that is compared ("" for losses of embeddings), to the value.
        requires: what must be assembled for it.
        trains: whether its gradient reaches the student.
        on_the_host: whether it is in the host's memory, wherever the embeddings are.
    """

    summary: str
    of: Callable[[Batch, str], Any]
    requires: frozenset[Requirement] = frozenset()
    trains: bool = False
    on_the_host: bool = False


INPUTS: dict[str, Input] = {
    "student": Input("the student's embeddings, (batch, dim)", lambda batch, _: batch.embeddings, trains=True),
    "embeddings": Input(
        "the student's embeddings, (batch, dim), of losses that know no teacher",
        lambda batch, _: batch.embeddings,
        trains=True,
    ),
    "teacher": Input(
        "the teacher's embeddings, (batch, teacher_dim)",
        lambda batch, _: batch.teacher.embeddings,
        frozenset({"teacher"}),
    ),
    "labels": Input("class numbers, (batch,)", lambda batch, _: batch.labels),
    "host_labels": Input(
        "the same in the host's memory, where what follows from them alone is found without waiting for a GPU",
        lambda batch, _: batch.labels_on_the_host,
        on_the_host=True,
    ),
    "generator": Input("generator of all random draws", lambda batch, _: batch.generator),
    "ranks": Input(
        "the processes that share the run, which may share the loss's work; each has the whole batch, and needs the "
        "whole value and gradient",
        lambda batch, _: batch.ranks,
    ),
    "indices": Input(
        "index of each image in the table, (batch,): the same in every epoch, as memory banks need it",
        lambda batch, _: beside(batch.indices, batch.labels),
    ),
    "support": Input(
        "the student's embeddings of support images, (way, shot, dim)",
        lambda batch, _: batch.parts[0],
        frozenset({"episodes"}),
        trains=True,
    ),
    "query": Input(
        "the student's embeddings of queries, (way, queries, dim), their classes in the order of the support images'",
        lambda batch, _: batch.parts[1],
        frozenset({"episodes"}),
        trains=True,
    ),
    "student_map": Input(
        "output of a layer of the student, (batch, channels, height, width), or its embeddings",
        lambda batch, layer: batch.maps[layer],
        frozenset({"layers"}),
        trains=True,
    ),
    "teacher_map": Input(
        "output of the teacher's layer of that name",
        lambda batch, layer: batch.teacher.maps[layer],
        frozenset({"teacher", "layers"}),
    ),
    "student_logits": Input(
        "output of a linear classifier on the student's embeddings, (batch, classes)",
        lambda batch, _: batch.logits(batch.embeddings),
        frozenset({"classifier"}),
        trains=True,
    ),
    "detached_logits": Input(
        "output of a linear classifier on the student's embeddings, (batch, classes), without gradient to the student: "
        "only the classifier learns",
        lambda batch, _: batch.logits(batch.embeddings.detach()),
        frozenset({"classifier"}),
    ),
    "teacher_logits": Input(
        "output of the classifier that was trained with the teacher, over its own classes; None without one",
        lambda batch, _: batch.teacher.logits,
        frozenset({"teacher", "teacher_classifier"}),
    ),
    "centres": Input(
        "the teacher's class centres, (classes, teacher_dim)",
        lambda batch, _: batch.teacher.constants["centres"],
        frozenset({"teacher", "centres"}),
    ),
}
"""By name. The names of a loss's positional parameters say which it is called with, and in which order."""


def required_by(names: Iterable[str]) -> frozenset[Requirement]:
    """Requirements of inputs, to be assembled before the training."""
    return frozenset().union(*(INPUTS[name].requires for name in names))


def constants_of(
    required: Iterable[Requirement], embeddings: Tensor, labels: Tensor, classes: int
) -> dict[Requirement, Tensor]:
    """Results of `FROM_TEACHER`, those that are required; the arguments after the first are those of its functions."""
    return {name: FROM_TEACHER[name](embeddings, labels, classes) for name in required if name in FROM_TEACHER}


@dataclass(frozen=True)
class Shapes:
    """Sizes that the losses of a run can count on.

    Attributes:
        classes: of the training images.
        student: shape of each observed layer's map of one image, the embedding's among them.
        teacher: the same of the teacher; empty without one.
    """

    classes: int
    student: Mapping[str, torch.Size]
    teacher: Mapping[str, torch.Size]

    def facts(self, seed: int, layer: str = "") -> dict[str, int]:
        """Values of `NEEDS`, those that there are.

        Args:
            seed: of the run.
            layer: whose maps the loss compares; "" for losses of embeddings.
        """
        dim = self.student[EMBEDDING][0]
        facts = {"num_classes": self.classes, "embedding_size": dim, "descriptors_dim": dim, "seed": seed}
        if self.teacher:
            facts["teacher_size"] = self.teacher[EMBEDDING][0]
        for side, shapes in (("student", self.student), ("teacher", self.teacher)):
            if layer and shapes:
                facts |= _facts_of_map(side, shapes[layer])
        return facts


def _facts_of_map(side: str, shape: torch.Size) -> dict[str, int]:
    """Of a layer's map of one image: square, as images are; embeddings are maps of one pixel."""
    return {f"{side}_channels": shape[0], f"{side}_map_size": shape[1] if len(shape) > 1 else 1}


NEEDS = (
    "num_classes",
    "embedding_size",
    "descriptors_dim",
    "teacher_size",
    "student_channels",
    "teacher_channels",
    "student_map_size",
    "teacher_map_size",
    "seed",
)
"""Options that follow from the run: whoever builds a loss fills them in (`Shapes.facts`), nobody needs to write them
down. Two names mean the dimension of the student's embeddings, as pytorch-metric-learning has both."""


def made_up_batch(
    shapes: Shapes,
    rows: int,
    images_per_class: int | None,
    generator: torch.Generator,
    episode: Episode | None = None,
) -> Batch:
    """A batch of random numbers of the right shapes, for trying losses without a network.

    The last class is among its labels, as all must be allowed. The teacher has neither classifier nor constants.

    Args:
        shapes: of the run.
        rows: images.
        images_per_class: of each class, beside each other; None where batches are drawn without regard to classes.
        generator: of the numbers.
        episode: the layout of the images, where batches are episodes.
    """
    student, teacher = (
        {name: torch.rand(rows, *shape, generator=generator) for name, shape in maps.items()}
        for maps in (shapes.student, shapes.teacher)
    )
    return Batch(
        indices=torch.arange(rows),
        labels=_made_up_labels(shapes.classes, rows, images_per_class, generator),
        generator=generator,
        embeddings=student[EMBEDDING],
        maps=student,
        taught=TeacherOutputs(teacher[EMBEDDING], teacher) if teacher else None,
        episode=episode,
    )


def _made_up_labels(classes: int, rows: int, images_per_class: int | None, generator: torch.Generator) -> Tensor:
    """The last classes; or any, two images of the last and one of the first among them, as losses need of any batch."""
    if images_per_class:
        return (-1 - torch.arange(rows) // images_per_class) % classes
    given = torch.tensor([classes - 1, classes - 1, 0])[:rows]
    return torch.cat([given, torch.randint(classes, (rows - len(given),), generator=generator)])
