"""A toy task of the training loop: numbers instead of images, and every part draws random numbers."""

import torch
from told import Steps
from torch import nn

import relbench.training
from relbench.experiment import Training
from relbench.losses import FitNet, cross_entropy, hinton_kd, probe
from relbench.seeding import step_generator
from relbench.trackers import Silent
from relbench.training.learner import Earlier, Learner
from relbench.training.objective import Teacher, WeightedLoss
from relbench.training.setup import TrainingSetup
from relbench.training.stream import TrainingData

TRAINING = Training(steps=40, validate_every=10, batch_size=8, images_per_class=2, learning_rate=0.01)
HALF = TRAINING.model_copy(update={"steps": 20})


class Stop(Exception):  # noqa: N818 - stands for a kill
    pass


class Shown(nn.Module):
    """Output of a toy network and of its first layer."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        embeddings = self.network(images)
        return embeddings, {"first": self.network[0](images), "embedding": embeddings}


def match(student, teacher):
    return (student - teacher).square().mean()


MATCH = WeightedLoss("match", 1.0, match, ("student", "teacher"))
PROBE = WeightedLoss("probe", 0.5, probe, ("detached_logits", "labels"))
SIZES = {"first": (8, 5), "embedding": (4, 4)}


def parts_with_weights():
    """Losses of two layers with projections, and losses of a classifier that learns along."""
    fitnets = (
        WeightedLoss(
            "fitnet",
            1.0,
            FitNet(student_channels=own, teacher_channels=its, seed=1),
            ("student_map", "teacher_map"),
            layer,
        )
        for layer, (own, its) in SIZES.items()
    )
    return (
        *fitnets,
        WeightedLoss("cross_entropy", 1.0, cross_entropy, ("student_logits", "labels")),
        WeightedLoss(
            "hinton_kd",
            1.0,
            lambda own, its: hinton_kd(own, its, temperature=4.0),
            ("student_logits", "teacher_logits"),
        ),
    )


def toy_task(
    *, poisoned_at=None, recalls=None, dropout=0.3, teacher=True, more=(), classifier=False, seen=None, hidden=8
):
    """A task whose every part draws random numbers, so that a forgotten state shows."""
    table = torch.rand(50, 6, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, hidden), nn.BatchNorm1d(hidden), nn.Dropout(dropout), nn.Linear(hidden, 4))
        its_classifier = nn.Linear(4, 50) if classifier else None
        torch.manual_seed(1)  # the teacher is the same whatever the student
        its_teacher = Shown(nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5), nn.Linear(5, 4)))
        taught = Teacher(its_teacher, nn.Linear(4, 50)) if teacher else None
    validations = iter(recalls or [0.5] * 1000)
    calls = iter(range(1, 10_000))

    def batch(step):
        return torch.randint(0, 50, (8,), generator=step_generator(3, "batches", step))

    def images(lines, generator, only=None):
        assert only is None
        views = table[lines] + 0.01 * torch.randn(len(lines), 6, generator=generator)
        if seen is not None:
            seen.append((lines, views))
        return views

    def drawn(embeddings, labels, generator):
        factor = torch.nan if poisoned_at == next(calls) else 1.0
        drawn = torch.rand(len(labels), generator=generator).to(embeddings.device)
        return (embeddings.square().sum(dim=1) * drawn).mean() * factor

    parts = (
        WeightedLoss("drawn", 1.0, drawn, ("embeddings", "labels", "generator")),
        *((MATCH,) if teacher else ()),
        *more,
    )
    data = TrainingData(
        channels=1,
        classes=50,
        labels=torch.arange(50),
        batch=batch,
        views=images,
        validate=lambda *_: {"recall@1": next(validations)},
    )
    return TrainingSetup(network, Shown(network), parts, its_classifier, taught, data, primary="recall@1")


def train(path, training=TRAINING, on_step=lambda step: None, start=None, task=None, name="abc", **settings):
    """The last state of a network that is trained alone."""
    return relbench.training.train(
        learner(path, task or toy_task(**settings), training, Steps(on_step), start=start, name=name)
    )


def learner(path, task, training=TRAINING, tracker=None, *, seed=3, name="abc", start=None):
    earlier = Earlier(start, start["step"]) if start else None
    return Learner(task, training, seed, name, path, tracker or Silent(), earlier)


def assert_equal(first, second, path=""):
    """Equal to the last bit, seconds aside."""
    assert type(first) is type(second), path
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first.keys() - {"seconds"}:
            assert_equal(first[key], second[key], f"{path}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), path
        for number, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(*pair, f"{path}.{number}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    else:
        assert first == second, path


def stop_at(last):
    def stop(step):
        if step == last:
            raise Stop

    return stop
