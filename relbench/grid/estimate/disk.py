"""The bytes that a finished run keeps, from its settings alone."""

from collections.abc import Iterable

import torch

from relbench.experiment import Experiment
from relbench.grid.estimate.calibration import untrained
from relbench.grid.estimate.image_counts import ImageCounts
from relbench.models import embedding_size, outline
from relbench.training import Objective
from relbench.training.assemble import classifier_of, shapes_of, weighted_losses
from relbench.training.optimizers import kept_numbers
from relbench.training.schedule import logged_until
from relbench.training.trial import where_losses_may_be_built

NUMBER = 4  # bytes
TENSOR = 300  # bytes of a tensor's name and place in a checkpoint
ENTRY = 30  # bytes of a number of the history with its name, there as in the row
CLASS = 25  # bytes of a test class in the row
REST = 4000  # bytes of the row: settings, machine


def folder_size(experiment: Experiment, counts: ImageCounts) -> int:
    """Bytes of checkpoint, embeddings and row."""
    history = logged_until(experiment.training.steps) * ENTRY * (2 + len(experiment.terms))
    row = REST + history + CLASS * counts.test_classes
    checkpoint = where_losses_may_be_built(experiment, _checkpoint, experiment, counts)
    return checkpoint + history + _embeddings(experiment, counts) + row


def _embeddings(experiment: Experiment, counts: ImageCounts) -> int:
    return counts.test * (NUMBER * embedding_size(experiment.net, experiment.data.size) + counts.text)


def _checkpoint(experiment: Experiment, counts: ImageCounts) -> int:
    """Weights, those of losses too; the optimiser's moments; the weights of the best step, where it is sought."""
    network, objective = trained_parts(experiment, counts)
    trained = [*([] if experiment.training.frozen else network.parameters()), *objective.parameters()]
    weights = _size([*network.state_dict().values(), *objective.state_dict().values()])
    best = weights if experiment.training.selection == "validation" else 0
    return weights + best + kept_numbers(experiment.training) * _size(trained) + (TENSOR + NUMBER) * len(trained)


def trained_parts(experiment: Experiment, counts: ImageCounts) -> tuple[torch.nn.Module, Objective]:
    """A run's network, which is not in memory, and its losses and classifier."""
    sample = untrained(experiment)
    losses = weighted_losses(sample, shapes_of(sample, counts.channels, counts.classes))
    network = outline(sample.net, counts.channels, sample.data.size)
    return network, Objective(losses, classifier_of(sample, counts.classes))


def _size(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() + TENSOR for tensor in tensors)
