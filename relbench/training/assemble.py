"""From an experiment to the objects that train: for the run, for the trial before it, and for the estimate of its time.

What differs between these is passed in: `networks` (trained, untrained, or made-up outputs, see `trial`), and images.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from relbench.data.random_views import PendingSource
from relbench.data.table import ImageSource, indices_of, labels_of
from relbench.execution import ViewsOn
from relbench.experiment import Experiment, Term, Training
from relbench.losses import Shapes, find_loss, guarded
from relbench.losses.inputs import FROM_TEACHER, Requirement, constants_of
from relbench.models import Embedder, FeatureExtractor, embedding_size, folded, initial_network, layers_of
from relbench.models.outlines import shapes_of_maps
from relbench.models.sharing import Sharing, share_layers
from relbench.ranks import ALONE, Ranks
from relbench.results.run_folder import has_classifier, load_trained
from relbench.tasks import Model, find_task
from relbench.tasks.shares import embeddings_of
from relbench.training.division import Layout
from relbench.training.objective import Teacher, WeightedLoss
from relbench.training.setup import TrainingSetup
from relbench.training.stream import BatchViews, TrainingData


class Networks(Protocol):
    """The source of student and teacher."""

    def student(self, experiment: Experiment) -> tuple[nn.Module, nn.Module]:
        """The network, from images to embeddings; and the same with maps of the layers that the losses compare."""
        ...

    def teacher(self, students: Sequence[Experiment]) -> Teacher:
        """The teacher of students of a cohort, with all that their losses require of it."""
        ...


def assemble(
    experiment: Experiment, networks: Networks, data: TrainingData, teacher: Teacher | None = None
) -> TrainingSetup:
    """Put together what is trained on what.

    Args:
        experiment: what to train; resolved.
        networks: `TrainedNetworks`, `UntrainedNetworks` or `trial.MadeUpOutputs`.
        data: images, real or made up.
        teacher: that of a cohort, from `networks`; None for one of the experiment's own, if it has any.

    Raises:
        ValueError: a network lacks a layer that a term compares, or a loss can't be built.
        CheckpointError: the teacher's checkpoint is damaged, gone, or another experiment's.
    """
    network, features = networks.student(experiment)
    sharing = Sharing() if data.layout.ranks.count > 1 else None
    if sharing:
        share_layers(network, sharing)
    return TrainingSetup(
        network=network,
        features=features,
        losses=weighted_losses(experiment, shapes_of(experiment, data.channels, data.classes)),
        classifier=classifier_of(experiment, data.classes),
        teacher=teacher or (networks.teacher([experiment]) if experiment.teacher else None),
        data=data,
        primary=find_task(experiment.task).primary,
        sharing=sharing,
    )


@dataclass(frozen=True)
class TrainedNetworks:
    """A student at its beginning, and its finished teacher.

    Attributes:
        runs: holds a folder for each run.
        source: of the images; a teacher's constants are those of its training images.
        ranks: that share the run; each embeds its share of these images.
    """

    runs: Path
    source: ImageSource
    ranks: Ranks = ALONE

    def student(self, experiment: Experiment) -> tuple[Embedder, FeatureExtractor]:
        """With random or pretrained weights, as the settings say."""
        return _student(experiment, self.source.shape.channels)

    def teacher(self, students: Sequence[Experiment]) -> Teacher:
        """From its checkpoint."""
        experiment = teacher_of(students)
        trained = load_trained(experiment, self.runs, self.source.shape.channels, "teacher")
        # as if all layers were compared, so that a student's numbers do not depend on what others compare
        network = folded(laid_out(trained.network, students[0].training), experiment.net, layers_of(experiment.net))
        required = requirements(*students) & FROM_TEACHER.keys()
        constants = self._constants(required, network, students[0].training.device) if required else {}
        return Teacher(FeatureExtractor(network, experiment.net, layers_in(*students)), trained.classifier, constants)

    def _constants(
        self, required: Iterable[Requirement], teacher: Embedder, device: str
    ) -> dict[Requirement, torch.Tensor]:
        """From the teacher's embeddings of the test views of all training images."""
        indices = indices_of(self.source.table, "train")
        labels, names = labels_of(self.source.table, indices)
        model = Model(teacher.to(device), torch.device(device), ranks=self.ranks)
        embeddings = embeddings_of(model, self.source, indices)
        return constants_of(required, torch.from_numpy(embeddings), torch.from_numpy(labels), len(names))


@dataclass(frozen=True)
class UntrainedNetworks:
    """Networks whose weights nobody needs: for how long a step takes, or how large a checkpoint is.

    Attributes:
        channels: of the images.
        classes: of the training images.
    """

    channels: int
    classes: int

    def student(self, experiment: Experiment) -> tuple[Embedder, FeatureExtractor]:
        """As the settings say."""
        return _student(experiment, self.channels)

    def teacher(self, students: Sequence[Experiment]) -> Teacher:
        """At its beginning, with constants of random embeddings."""
        experiment = teacher_of(students)
        network = laid_out(initial_network(experiment, self.channels), students[0].training)
        constants = random_constants(students, self.classes, torch.Generator().manual_seed(0))
        features = FeatureExtractor(network, experiment.net, layers_in(*students))
        return Teacher(features, classifier_of(experiment, self.classes), constants)


def _student(experiment: Experiment, channels: int) -> tuple[Embedder, FeatureExtractor]:
    network = laid_out(initial_network(experiment, channels), experiment.training)
    return network, FeatureExtractor(network, experiment.net, layers_in(experiment))


def teacher_of(students: Sequence[Experiment]) -> Experiment:
    """The teacher that students have in common.

    Raises:
        ValueError: they have none.
    """
    teacher = students[0].teacher
    if teacher is None:
        raise ValueError("the run has no teacher")
    return teacher


def random_constants(
    students: Sequence[Experiment], classes: int, generator: torch.Generator
) -> dict[Requirement, torch.Tensor]:
    """Constants of a teacher that shows random embeddings, one for each class.

    Args:
        students: of the teacher.
        classes: of the training images.
        generator: draws the embeddings.
    """
    teacher = teacher_of(students)
    embeddings = torch.rand(classes, embedding_size(teacher.net, teacher.data.size), generator=generator)
    return constants_of(requirements(*students), embeddings, torch.arange(classes), classes)


def laid_out(network: Embedder, training: Training) -> Embedder:
    """The network, its weights and images in memory as the settings say."""
    return network.with_channels_last() if training.channels_last else network


def table_data(
    source: ImageSource,
    sampler: Callable[[torch.Tensor], Callable[[int], torch.Tensor]],
    validate: Callable[[nn.Module, nn.Module | None], dict[str, float]],
    workers: int = 0,
    layout: Layout | None = None,
    views: BatchViews | None = None,
) -> TrainingData:
    """The training images of a table.

    Args:
        source: of the images.
        sampler: from class numbers of the training images to the batch of each step, as places in that list.
        validate: see `TrainingData`.
        workers: see `TrainingData`.
        layout: see `TrainingData`.
        views: of `views_on`; None: made by the source.
    """
    indices, table = torch.from_numpy(indices_of(source.table, "train")), source.table
    numbers, names = labels_of(table, indices.numpy())
    labels = torch.from_numpy(numbers)
    return TrainingData(
        channels=source.shape.channels,
        classes=len(names),
        labels=torch.full((len(table),), -1).scatter(0, indices, labels),
        batch=_Batches(indices, sampler(labels)),
        views=views or source.train_batch,
        validate=validate,
        workers=workers,
        layout=layout or Layout(),
    )


def views_on(where: ViewsOn, source: ImageSource, name: str) -> BatchViews:
    """The views of training images, made by the source, or to be made on the device.

    Args:
        where: they are computed.
        source: of the images.
        name: of the data set.

    Raises:
        ValueError: they can't be made on the device.
    """
    if where == "cpu":
        return source.train_batch
    if not isinstance(source, PendingSource):
        raise ValueError(f"--views-on device: {name} makes its views on the CPU alone; leave the option out")
    return source.pending_batch


@dataclass(frozen=True)
class _Batches:
    """The batch of each step, as indices of images; picklable, for worker processes."""

    indices: torch.Tensor
    places: Callable[[int], torch.Tensor]

    def __call__(self, step: int) -> torch.Tensor:
        return self.indices[self.places(step)]


def requirements(*experiments: Experiment) -> frozenset[Requirement]:
    """Requirements of the losses of runs, to be met before the training."""
    terms = (term for experiment in experiments for term in experiment.terms)
    return frozenset().union(*(find_loss(term.loss, term.source).requires for term in terms))


def layers_in(*experiments: Experiment) -> tuple[str, ...]:
    """Layers that some term compares, those of the student and of the teacher alike."""
    terms = (term for experiment in experiments for term in experiment.terms)
    return tuple(dict.fromkeys(layer for term in terms for layer in term.layers))


def shapes_of(experiment: Experiment, channels: int, classes: int) -> Shapes:
    """Shapes of what the losses of a run see.

    Raises:
        ValueError: a network lacks a layer that a term compares.
    """
    size, layers = experiment.data.size, layers_in(experiment)
    student, *teacher = (
        shapes_of_maps(run.net, layers, channels, size) for run in (experiment, experiment.teacher) if run
    )
    return Shapes(classes, student, teacher[0] if teacher else {})


def weighted_losses(experiment: Experiment, shapes: Shapes) -> tuple[WeightedLoss, ...]:
    """The summands of the objective: one for each term and layer, each with parameters of its own."""
    return tuple(_part(term, layer, experiment, shapes) for term in experiment.terms for layer in term.layers or ("",))


def _part(term: Term, layer: str, experiment: Experiment, shapes: Shapes) -> WeightedLoss:
    entry, facts = find_loss(term.loss, term.source), shapes.facts(experiment.seed, layer)
    loss = entry.build(**{name: facts[name] for name in entry.needs if name in facts} | term.options)
    return WeightedLoss(term.loss, term.weight, guarded(entry, loss) if term.source else loss, entry.inputs, layer)


def classifier_of(experiment: Experiment, classes: int) -> nn.Module | None:
    """A new classifier on the embeddings, where the task has one or some loss takes its logits."""
    if not has_classifier(experiment):
        return None
    return find_task(experiment.task).head(experiment.net, experiment.data.size, classes, experiment.seed)
