"""Calibration: the time of a training step and of an embedding here, measured on made-up images and random weights."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from relbench.data import find_rendered
from relbench.data.cached_views import EVALUATION_BATCH
from relbench.data.random_views import CPU, pending_views
from relbench.episodes import Episode
from relbench.experiment import Experiment
from relbench.grid.estimate.image_counts import ImageCounts
from relbench.models import embed, embedding_size
from relbench.run import own_losses_named
from relbench.settings import changed
from relbench.tasks import Task, find_task
from relbench.trackers import Silent
from relbench.training import DivergedError, Learner, TrainingData, TrainingSetup, train
from relbench.training.assemble import UntrainedNetworks, assemble
from relbench.training.computing import computing
from relbench.training.division import Layout
from relbench.training.prefetching import workers_beside
from relbench.training.stream import BatchViews
from relbench.training.trainer import prepared

ENOUGH = 0.3  # seconds of work that can be scaled up: with less, what does not grow with the images counts too much
LEAST_ROWS = 8  # images: enough for every loss
REPEATS = 5  # of work that is shorter
SCORED = 2000  # made-up embeddings
WHOLE, PART = "steps on whole batches", "steps on parts of batches"  # that were measured
ENDLESS = 10**8  # steps, the first few of which are made


@dataclass(frozen=True)
class Rates:
    """The time that a kind of run takes, in seconds.

    Attributes:
        step: of training, a whole batch.
        image: embedding an image.
        view: making one to be tested with; 0 where images are read, which is not measured.
        scoring: scoring embeddings: how long some take, divided by the power of their number that it grows with.
        measured: on what, in a few words.
        shared: the part of a step that runs which are trained together take once: views, and what the teacher shows.
    """

    step: float
    image: float
    view: float
    scoring: float
    measured: str
    shared: float = 0.0


@dataclass(frozen=True)
class Kind:
    """What the time of a step depends on, but for what matters little: dimensions, options, the number of classes."""

    task: str
    nets: tuple[tuple[str, int | None], ...]  # trunk and width of the student, then of its teacher, if it has one
    images: str  # the data set, where it makes its images; "" where they come from files
    size: int
    channels: int
    batch_size: int
    images_per_class: int
    precision: str
    channels_last: bool
    batch_norm_parts: int
    compiled: bool
    device: str
    threads: int
    losses: tuple[tuple[str, tuple[str, ...], str], ...]  # name, layers, source

    @property
    def networks(self) -> "Kind":
        """The same with any losses: where networks are large, losses take little of the time."""
        return replace(self, losses=())

    def __str__(self) -> str:
        """A few words, to be shown while it is measured."""
        nets = [trunk if width is None else f"{trunk}-{width}" for trunk, width in self.nets]
        return f"{' taught by '.join(nets)}: {', '.join(name for name, _, _ in self.losses)}"


def kind_of(experiment: Experiment, channels: int) -> Kind:
    """The kind of run that an experiment is."""
    training, runs = experiment.training, [run for run in (experiment, experiment.teacher) if run]
    return Kind(
        task=experiment.task.kind,
        nets=tuple((run.net.trunk, run.net.width) for run in runs),
        images=experiment.data.name if find_rendered(experiment.data.name) else "",
        size=experiment.data.size,
        channels=channels,
        batch_size=training.batch_size,
        images_per_class=training.images_per_class,
        precision=training.precision,
        channels_last=training.channels_last,
        batch_norm_parts=training.batch_norm_parts,
        compiled=training.compile,
        device=training.device,
        threads=training.threads,
        losses=tuple((term.loss, term.layers, term.source) for term in experiment.terms),
    )


class Stopwatch:
    """Names how many images to work on next, and times the work until it is asked again.

    The number is doubled until the work takes `ENOUGH` seconds. The first pass over that many images is not timed:
    it takes memory and chooses its way.

    Args:
        first: images to begin with.
        most: images to end with.
        finish: waits until the device has done what it was told to.
        clock: seconds.

    Attributes:
        images: the number that was timed at last; 0 before.
        seconds: that they took.
    """

    def __init__(
        self, first: int, most: int, finish: Callable[[], object], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._first, self._most, self._finish, self._clock = first, most, finish, clock
        self.images, self.seconds = 0, 0.0

    def __iter__(self) -> Iterator[int]:
        """Yield numbers of images, until enough is known."""
        size = min(self._first, self._most)
        yield size
        times = [(yield from self._timed(size))]
        while times[0] < ENOUGH and size < self._most:
            size = min(2 * size, self._most)
            yield size
            times = [(yield from self._timed(size))]
        while times[0] < ENOUGH and len(times) < REPEATS:
            times.append((yield from self._timed(size)))
        self.images, self.seconds = size, median(times)

    def _timed(self, size: int) -> Generator[int, None, float]:
        self._finish()
        start = self._clock()
        yield size
        self._finish()
        return self._clock() - start

    @property
    def rate(self) -> float:
        """Seconds an image."""
        return self.seconds / self.images


class _Enough(Exception):  # noqa: N818 - nothing is wrong
    """Ends a training of which enough is known."""


def calibrated(run: tuple[Experiment, ImageCounts]) -> Rates:
    """Measure what a run takes, with its own training loop, in seconds rather than hours.

    On a GPU with whole batches. On the CPU from a batch of two classes on, no more images than take `ENOUGH` seconds;
    what a whole batch takes is then in proportion. Where worker processes make the views, a step takes as long as it
    does with views that are there, or as the workers take. Nothing is loaded, downloaded or written.

    Args:
        run: and the counts of its images; its teacher need not be there.
    """
    experiment, counts = run
    sample = untrained(experiment)
    device, batch = torch.device(sample.training.device), sample.training.batch_size
    with computing(sample.training.threads, sample.training.precision):
        images = _Images(sample, counts.channels)
        step = _stopwatch(device, _first(sample.training.images_per_class), batch)
        workers, view = workers_beside(device), _viewing(images)
        views = images.ready() if workers else images.train_batch
        networks = UntrainedNetworks(counts.channels, counts.classes)
        setup = assemble(sample, networks, _made_up_data(sample, counts, views, step))
        _train(setup, sample)
        return Rates(
            step=batch * (max(step.rate, view / workers) if workers else step.rate),
            image=_embedding(setup.network, images, device),
            view=view,
            scoring=_scoring(find_task(sample.task), embedding_size(sample.net, sample.data.size), device),
            measured=WHOLE if step.images == batch else PART,
            shared=batch * _showing(setup, sample, step.images),
        )


def untrained(experiment: Experiment) -> Experiment:
    """The same run with weights that need no file, alone, and without an end."""
    changes = {"steps": ENDLESS, "validate_every": ENDLESS, "learning_rate": 1e-6, "selection": "last"}
    return changed(
        experiment,
        {
            "net": changed(experiment.net, {"weights": "random", "weights_content": ""}),
            "training": changed(experiment.training, changes),
            "teacher": untrained(experiment.teacher) if experiment.teacher else None,
            "initialized_from": None,
        },
    )


class _Images:
    """Made-up images: views of rendered pictures where the data set makes such, others as they come from a file."""

    def __init__(self, sample: Experiment, channels: int) -> None:
        size, self.most = sample.data.size, max(sample.training.batch_size, EVALUATION_BATCH)
        rendered = find_rendered(sample.data.name)
        of_picture = (1, *[size * rendered.oversize] * 2) if rendered else (channels, size, size)
        shape, generator = (self.most, *of_picture), np.random.default_rng(sample.seed)
        self._pictures = torch.from_numpy(generator.integers(256, size=shape, dtype=np.uint8))  # torch's take seconds
        self._views = rendered.views(sample.data) if rendered and rendered.views else None

    def train_batch(
        self, indices: torch.Tensor, generator: torch.Generator, only: torch.Tensor | None = None
    ) -> torch.Tensor:
        if self._views:
            return pending_views(self._views, self._pictures.__getitem__, indices, generator, only).on(CPU)
        return self._pictures[indices if only is None else indices[only]]

    def test_batch(self, indices: torch.Tensor) -> torch.Tensor:
        pictures = self._pictures[indices]
        return self._views.fixed(pictures, indices) if self._views else pictures

    def ready(self) -> BatchViews:
        """Views for training that were made before, as those of worker processes are."""
        views = self.train_batch(torch.arange(self.most), torch.Generator().manual_seed(0))
        return lambda indices, *_: views[indices]

    @property
    def are_read(self) -> bool:
        return self._views is None


def _first(of_a_class: int) -> int:
    """Images to begin with: two classes or more, all of them whole."""
    return of_a_class * max(2, math.ceil(LEAST_ROWS / of_a_class))


def _stopwatch(device: torch.device, first: int, most: int) -> Stopwatch:
    """A GPU is at its own speed with whole batches only."""
    if device.type == "cuda":
        return Stopwatch(most, most, torch.cuda.synchronize)
    return Stopwatch(first, most, lambda: None)


def _made_up_data(
    sample: Experiment,
    counts: ImageCounts,
    views: BatchViews,
    stopwatch: Stopwatch,
) -> TrainingData:
    """As many batches as the stopwatch asks for."""
    counts_of_images = iter(stopwatch)

    def batch(_step: int) -> torch.Tensor:
        count = next(counts_of_images, None)
        if count is None:
            raise _Enough
        return torch.arange(count)

    return TrainingData(
        channels=counts.channels,
        classes=counts.classes,
        labels=torch.arange(sample.training.batch_size) // sample.training.images_per_class % counts.classes,
        batch=batch,
        views=views,
        validate=lambda *_: {},
        layout=Layout(_of_any_way(find_task(sample.task).episode(sample.training)), sample.training.batch_norm_parts),
    )


class _OfAnyWay(Episode):
    """An episode of as many classes as there are images of."""

    def parts(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return Episode(len(rows) // self.of_a_class, self.shot, self.queries).parts(rows)


def _of_any_way(episode: Episode | None) -> Episode | None:
    return _OfAnyWay(episode.way, episode.shot, episode.queries, episode.apart) if episode else None


def _train(setup: TrainingSetup, sample: Experiment) -> None:
    """Make as many steps as there are batches."""
    with own_losses_named(sample), TemporaryDirectory() as folder, suppress(_Enough):
        unwritten = Path(folder) / "unwritten"
        learner = Learner(setup, sample.training, sample.seed, sample.fingerprint, unwritten, Silent())
        try:
            train(learner)
        except DivergedError as error:
            raise ValueError(f"how long runs take can't be measured: {error}") from None


def _showing(setup: TrainingSetup, sample: Experiment, count: int) -> float:
    """Seconds an image of what a cohort does once a step, from batches of so many images."""
    device, indices = torch.device(sample.training.device), torch.arange(count)
    shared, generator = replace(setup, teacher=prepared(setup.teacher, sample.training)), torch.Generator()
    stopwatch = _stopwatch(device, count, count)
    for _ in stopwatch:
        shared.show(indices, setup.data.views(indices, generator), device)
    return stopwatch.rate


def _embedding(network: nn.Module, images: _Images, device: torch.device) -> float:
    """Seconds an image, from images that are there."""
    stopwatch = _stopwatch(device, 2, EVALUATION_BATCH)
    views = images.train_batch(torch.arange(EVALUATION_BATCH), torch.Generator().manual_seed(0))
    for count in stopwatch:
        embed(network, iter([views[:count]]), device)
    return stopwatch.rate


def _viewing(images: _Images) -> float:
    """Seconds a view."""
    if images.are_read:
        return 0.0
    stopwatch = Stopwatch(EVALUATION_BATCH, EVALUATION_BATCH, lambda: None)
    for count in stopwatch:
        images.test_batch(torch.arange(count))
    return stopwatch.rate


def _scoring(task: Task, dim: int, device: torch.device) -> float:
    """Seconds of scoring, by the power of the number of images that they grow with."""
    stopwatch = Stopwatch(SCORED, SCORED, lambda: None)
    for count in stopwatch:
        task.rehearse(dim, count, device)
    return stopwatch.seconds / float(SCORED**task.growth)
