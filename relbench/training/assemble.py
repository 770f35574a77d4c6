"""From the terms of an experiment to what is minimised."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from relbench.experiment import EMBEDDING, Experiment, Net, Term, changed
from relbench.losses import find_loss, guarded
from relbench.models import Classifier, FeatureExtractor, build_classifier, build_embedder
from relbench.results.run_folder import has_classifier
from relbench.training import Objective, Outputs, Teacher, WeightedLoss

TRIAL_ROWS = 32  # of maps, which are large; no loss of maps finds so many too few


@dataclass(frozen=True)
class Shapes:
    """What the losses of a run can count on.

    Attributes:
        classes: of the training images.
        student: shape of each observed layer's map of one image, the embedding's among them.
        teacher: the same of the teacher; empty without one.
    """

    classes: int
    student: Mapping[str, torch.Size]
    teacher: Mapping[str, torch.Size]


def layers_in(experiment: Experiment) -> tuple[str, ...]:
    """Layers that some term compares, those of the student and of the teacher alike."""
    return tuple(dict.fromkeys(layer for term in experiment.terms for layer in term.layers))


def shapes_of(experiment: Experiment, channels: int, classes: int) -> Shapes:
    """Found without any weights: those of pretrained networks are not read, nor is memory taken for others.

    Raises:
        ValueError: a network lacks a layer that a term compares.
    """
    size, layers = experiment.data.size, layers_in(experiment)
    student, *teacher = (_shapes(one.net, layers, channels, size) for one in (experiment, experiment.teacher) if one)
    return Shapes(classes, student, teacher[0] if teacher else {})


@cache
def _shapes(net: Net, layers: tuple[str, ...], channels: int, size: int) -> Mapping[str, torch.Size]:
    """By showing one image to a network on torch's device for shapes alone; weights of any kind have the same."""
    with torch.device("meta"):
        network = build_embedder(changed(net, {"weights": "random"}), channels, seed=0)
    return FeatureExtractor(network, net, layers).shapes(channels, size)


def weighted_losses(experiment: Experiment, shapes: Shapes) -> tuple[WeightedLoss, ...]:
    """The summands of the loss: one for each term and layer, each with parameters of its own."""
    return tuple(
        _part(term, layer, experiment, shapes) for term in experiment.terms for layer in term.layers or (None,)
    )


def _part(term: Term, layer: str | None, experiment: Experiment, shapes: Shapes) -> WeightedLoss:
    entry = find_loss(term.loss, term.source)
    given = {
        "num_classes": shapes.classes,
        "embedding_size": shapes.student[EMBEDDING][0],
        "descriptors_dim": shapes.student[EMBEDDING][0],
        "seed": experiment.seed,
        **({"teacher_size": shapes.teacher[EMBEDDING][0]} if shapes.teacher else {}),
        **(
            {"student_channels": shapes.student[layer][0], "teacher_channels": shapes.teacher[layer][0]}
            if layer
            else {}
        ),
    }
    loss = entry.build(**{name: given[name] for name in entry.needs if name in given} | term.options)
    return WeightedLoss(term.loss, term.weight, guarded(entry, loss) if term.source else loss, entry.takes, layer)


def classifier_of(experiment: Experiment, classes: int) -> Classifier | None:
    """A new classifier on the embeddings, where some loss takes its logits."""
    return build_classifier(experiment.net, classes, experiment.seed) if has_classifier(experiment) else None


def try_terms(experiment: Experiment, shapes: Shapes) -> None:
    """Compute loss and gradient of a made-up batch, twice, so that what can't be is refused before any work.

    Twice, as some losses keep something from one batch for the next.

    Raises:
        ValueError: a loss refuses what it would be given, in whatever way; one line.
    """
    training, generator = experiment.training, torch.Generator().manual_seed(0)
    enough = max(TRIAL_ROWS, 2 * training.images_per_class) if layers_in(experiment) else training.batch_size
    rows = min(training.batch_size, enough)
    teacher = _made_up_teacher(experiment.teacher, shapes, rows, generator) if experiment.teacher else None
    objective = Objective(weighted_losses(experiment, shapes), classifier_of(experiment, shapes.classes), teacher)
    labels = shapes.classes - 1 - torch.arange(rows) // training.images_per_class  # the last ones: all must be allowed
    seen, no_images = _made_up(shapes.student, rows, generator), torch.zeros(rows, 0)
    for map_ in seen[1].values():
        map_.requires_grad_()
    try:
        for _ in range(2):
            torch.autograd.backward(list(objective(seen, no_images, labels, generator).values()))
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"terms {', '.join(term.loss for term in experiment.terms)}: {said}") from error


def _made_up(shapes: Mapping[str, torch.Size], rows: int, generator: torch.Generator) -> Outputs:
    maps = {name: torch.rand(rows, *shape, generator=generator) for name, shape in shapes.items()}
    return maps[EMBEDDING], maps


class _Given(nn.Module):
    """Shows the same whatever it looks at."""

    def __init__(self, seen: Outputs) -> None:
        super().__init__()
        self._seen = seen

    def forward(self, images: torch.Tensor) -> Outputs:
        del images
        return self._seen


def _made_up_teacher(experiment: Experiment, shapes: Shapes, rows: int, generator: torch.Generator) -> Teacher:
    centres = torch.rand(shapes.classes, *shapes.teacher[EMBEDDING], generator=generator)
    seen = _Given(_made_up(shapes.teacher, rows, generator))
    return Teacher(seen, classifier_of(experiment, shapes.classes), centres)
