"""Trainings in float64 that several processes share, for tests; here, so that these processes find them."""

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from relbench.tasks import find_task
from relbench.trackers import Silent
from relbench.training import Earlier, Learner, TrainingData, train
from relbench.training.assemble import UntrainedNetworks, assemble
from relbench.training.division import Layout

CLASSES = 9
IMAGES = 100


class Stop(Exception):  # noqa: N818 - stands for a kill
    pass


def trained(ranks, experiments):
    """By name: history, gradients of the last step, weights, and the losses that compute in less than float64.

    Args:
        ranks: that share the batches.
        experiments: by name.
    """
    torch.set_num_threads(1)
    return {name: _trained(ranks, experiment)[1:] for name, experiment in experiments.items()}


def gone_on(ranks, experiment, checkpoints, stop=None):
    """The same for each checkpoint that is gone on from, if it is there; None where training stops before a step."""
    try:
        return [_gone_on(ranks, experiment, path, stop)[1:] for path in checkpoints]
    except Stop:
        return None


def _trained(ranks, experiment):
    with tempfile.TemporaryDirectory() as folder:
        return _gone_on(ranks, experiment, Path(folder) / "checkpoint.pt", None)


def _gone_on(ranks, experiment, checkpoint, stop):
    first, narrow = experiment.initialized_from, set()
    earlier = Earlier(_trained(ranks, first)[0], experiment.begins_at) if first else None
    setup = assemble(experiment, UntrainedNetworks(1, CLASSES), random_images(ranks, experiment, stop))
    if experiment.training.precision == "32-true":
        setup = replace(setup, teacher=_in_float64(setup.teacher))
        _to_float64(setup)
    learner = Learner(setup, experiment.training, 3, experiment.fingerprint, checkpoint, Silent(), earlier)
    learner._objective.register_forward_hook(partial(_note_narrow, narrow))
    state = train(learner)
    gradients = [parameter.grad for parameter in [*setup.network.parameters(), *learner._objective.parameters()]]
    return state, state["history"], gradients, [*state["network"].values(), *state["losses"].values()], narrow


def _to_float64(setup):
    for module in (setup.network, setup.objective()):  # made of the same losses and classifier as the learner's
        module.double()


def _note_narrow(narrow, _objective, _given, values):
    narrow.update(name for name, value in values.items() if value.dtype != torch.float64)


def _in_float64(teacher):
    if teacher is None:
        return None
    constants = {name: value.double() for name, value in teacher.constants.items()}
    classifier = teacher.classifier.double() if teacher.classifier else None
    return replace(teacher, network=teacher.network.double(), classifier=classifier, constants=constants)


def random_images(ranks, experiment, stop=None):
    """Random images, in batches as the task draws them, up to a step."""
    size, task, training = experiment.data.size, find_task(experiment.task), experiment.training
    number = torch.float64 if training.precision == "32-true" else torch.float32
    table = torch.rand(IMAGES, 1, size, size, generator=torch.Generator().manual_seed(0), dtype=number)
    labels = torch.arange(IMAGES) % CLASSES
    sampler = task.sampler(labels, experiment.seed, training)

    def batch(step):
        if step == stop:
            raise Stop
        return sampler(step)

    def views(indices, generator, only=None):
        views = torch.rand(len(indices), 1, size, size, generator=generator, dtype=number)
        only = slice(None) if only is None else only
        return table[indices[only]] + 0.1 * views[only]

    return TrainingData(
        channels=1,
        classes=CLASSES,
        labels=labels,
        batch=batch,
        views=views,
        validate=lambda *_: {},
        layout=Layout(task.episode(training), training.batch_norm_parts, ranks),
    )
