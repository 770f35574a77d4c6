"""Trainings in float64 that several processes share, for tests; here, so that these processes find them."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from relbench.seeding import step_generator
from relbench.settings import changed
from relbench.tasks import find_task
from relbench.trackers import Silent
from relbench.training import Learner, TrainingData, train
from relbench.training.assemble import UntrainedNetworks, assemble
from relbench.training.division import Layout

STEPS = 10
CLASSES = 9


def trained(ranks, experiments, images=40):
    """By name: the history, the gradients of the last step, and the weights, after ten steps of each experiment.

    Args:
        ranks: that share the batches.
        experiments: by name.
        images: of a batch.
    """
    return {name: _trained(ranks, experiment, images) for name, experiment in experiments.items()}


def _trained(ranks, experiment, images):
    training = changed(experiment.training, {"steps": STEPS, "validate_every": STEPS, "batch_size": images})
    experiment = changed(experiment, {"training": training})
    setup = assemble(experiment, UntrainedNetworks(1, CLASSES), _data(ranks, experiment, images))
    setup = replace(setup, teacher=_in_float64(setup.teacher))
    setup.network.double()
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(setup, training, 3, "abc", Path(folder) / "checkpoint.pt", Silent())
        learner._objective.double()
        state = train(learner)
        gradients = [parameter.grad for parameter in setup.network.parameters()]
    return state["history"], gradients, [*state["network"].values(), *state["losses"].values()]


def _in_float64(teacher):
    if teacher is None:
        return None
    constants = {name: value.double() for name, value in teacher.constants.items()}
    classifier = teacher.classifier.double() if teacher.classifier else None
    return replace(teacher, network=teacher.network.double(), classifier=classifier, constants=constants)


def _data(ranks, experiment, images):
    """Random images; a class's are together, as in all batches of several images of a class."""
    size, training = experiment.data.size, experiment.training
    table = torch.rand(100, 1, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def views(indices, generator, only=None):
        views = torch.rand(len(indices), 1, size, size, generator=generator, dtype=torch.float64)
        only = slice(None) if only is None else only
        return table[indices[only]] + 0.1 * views[only]

    def batch(step):
        return torch.randperm(100, generator=step_generator(3, "batches", step))[:images].sort().values

    return TrainingData(
        channels=1,
        classes=CLASSES,
        labels=torch.arange(100) // 12,
        batch=batch,
        views=views,
        validate=lambda *_: {},
        layout=Layout(find_task(experiment.task).episode(training), training.batch_norm_parts, ranks),
    )
