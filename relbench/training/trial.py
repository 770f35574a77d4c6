"""Trials of a run's losses on made-up batches, without networks: before any work, and for the estimate of its time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import nn

from relbench.experiment import EMBEDDING, Experiment
from relbench.losses import Batch, Shapes, find_loss, made_up_batch
from relbench.losses.worker import execute
from relbench.tasks import find_task
from relbench.training.assemble import assemble, classifier_of, layers_in, random_constants, shapes_of, teacher_of
from relbench.training.division import Layout
from relbench.training.objective import Outputs, Teacher
from relbench.training.stream import TrainingData, stream

Result = TypeVar("Result")
TRIAL_ROWS = 8  # of maps, which are large: with all that is computed of them, 20 MB a row of ResNet-50 at 224 px


def try_terms(experiment: Experiment, channels: int, classes: int, smallest: int | None = None) -> None:
    """Compute loss and gradient of a made-up batch, twice, so that what can't be is refused before any work.

    Twice, as some losses keep something from one batch for the next; and of a small batch, as some need more images.

    Args:
        experiment: resolved.
        channels: of its images.
        classes: of its training images.
        smallest: images in its smallest batch; None where all are of one size.

    Raises:
        ValueError: a loss refuses what it would be given, in whatever way, or would be 0 whatever the student learns;
            one line.
    """
    rows = rows_to_try(experiment)
    try:
        _refuse_single_places(experiment, shapes_of(experiment, channels, classes))
        for count in dict.fromkeys((rows, min(rows, smallest or rows))):
            step = rehearsal(experiment, channels, classes, count)
            step()
            step()
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"terms {', '.join(term.loss for term in experiment.terms)}: {said}") from error


def _refuse_single_places(experiment: Experiment, shapes: Shapes) -> None:
    """Refuse a loss that compares the places of maps with each other, where all its maps have a single one."""
    for term in experiment.terms:
        layers = [layer for layer in term.layers if layer != EMBEDDING]
        sides = [min(shapes.student[layer][1], shapes.teacher[layer][1]) for layer in layers if shapes.teacher]
        if find_loss(term.loss, term.source).of_places and set(sides) == {1}:
            raise ValueError(
                f"{term.loss} compares the places of a map, but those of {', '.join(layers)} have a single place, and "
                "it is 0 whatever the student learns: choose an earlier layer"
            )


def rows_to_try(experiment: Experiment) -> int:
    """The images of a batch that losses are tried on: all of it, or as few as there can be where they compare maps."""
    training = experiment.training
    if not layers_in(experiment):
        return training.batch_size
    episode = find_task(experiment.task).episode(training)
    if episode:  # of whole classes
        return min(episode.way, max(2, math.ceil(TRIAL_ROWS / episode.of_a_class))) * episode.of_a_class
    return min(training.batch_size, max(TRIAL_ROWS, 2 * training.images_per_class))


def rehearsal(experiment: Experiment, channels: int, classes: int, rows: int) -> Callable[[], None]:
    """A step of a run's losses on a made-up batch, forward and backward, without networks; always the same batch.

    Args:
        experiment: resolved.
        channels: of its images.
        classes: of its training images.
        rows: images of the batch.
    """
    generator = torch.Generator().manual_seed(0)
    shapes = shapes_of(experiment, channels, classes)
    task, training = find_task(experiment.task), experiment.training
    of_a_class = training.images_per_class if task.balanced else None
    episode = task.episode(training)
    shown = replace(episode, way=rows // episode.of_a_class) if episode else None
    batch = made_up_batch(shapes, rows, of_a_class, generator, shown)
    for map_ in batch.maps.values():
        map_.requires_grad_()
    setup = assemble(experiment, MadeUpOutputs(batch, classes), _showing(batch, channels, classes))
    objective = setup.objective()

    def step() -> None:
        for indices, images in stream(setup.data, experiment.seed, 0, 1):
            torch.autograd.backward(list(objective(setup.see(setup.show(indices, images), generator)).values()))

    return step


def _showing(batch: Batch, channels: int, classes: int) -> TrainingData:
    """The same batch at every step, without images."""
    return TrainingData(
        channels=channels,
        classes=classes,
        labels=batch.labels,
        batch=lambda _: batch.indices,
        views=lambda indices, *_: torch.zeros(len(indices), 0),
        validate=lambda *_: {},
        layout=Layout(replace(batch.episode, apart=False) if batch.episode else None),  # no network is shown anything
    )


@dataclass(frozen=True)
class MadeUpOutputs:
    """No networks: what they would show of a batch is made up, which takes no time.

    Attributes:
        batch: what student and teacher show.
        classes: of the training images.
    """

    batch: Batch
    classes: int

    def student(self, experiment: Experiment) -> tuple[nn.Module, nn.Module]:
        """Shows the batch."""
        del experiment
        shown = Fixed((self.batch.embeddings, self.batch.maps))
        return shown, shown

    def teacher(self, students: Sequence[Experiment]) -> Teacher:
        """Shows the batch, with constants of random embeddings."""
        experiment, seen = teacher_of(students), self.batch.teacher
        constants = random_constants(students, self.classes, self.batch.generator)
        return Teacher(Fixed((seen.embeddings, seen.maps)), classifier_of(experiment, self.classes), constants)


class Fixed(nn.Module):
    """A network that shows the same whatever it looks at.

    Args:
        outputs: what it shows.
    """

    def __init__(self, outputs: Outputs) -> None:
        super().__init__()
        self._outputs = outputs

    def forward(self, images: torch.Tensor) -> Outputs:
        """Show it."""
        del images
        return self._outputs


def where_losses_may_be_built(experiment: Experiment, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function that builds a run's losses: in a worker process where one of them is a user's, else here.

    Args:
        experiment: the run.
        function: is found by its name in the worker. Returns what JSON can say.
        arguments: for the function.

    Raises:
        ValueError: as the function, or the user's code ends its process or does not return.
    """
    users = [repr(term.loss) for term in experiment.terms if term.source]
    if not users:
        return function(*arguments)
    result: Result = execute(", ".join(users), function, *arguments)
    return result
