"""Training from image files, end to end: ours from decoded images beside the authors' way, with equal worker processes.

The files are JPEGs of 500 x 375, about as large as those of CUB-200-2011. Decoding them once, before the first run, is
not counted: a training of eighty epochs would decode each of them a hundred times.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from relbench.benchmarks.authors import AuthorsStep, loaded
from relbench.benchmarks.cell import experiments
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.images import CROP, QUALITY, RESIZE, picture
from relbench.data.images.decoded import decoded_images
from relbench.data.images.photos import ImageFiles, Photos
from relbench.data.samplers import ClassBalancedSampler
from relbench.experiment import Experiment
from relbench.models import initial_network
from relbench.studies.study import Scale
from relbench.trackers import Silent
from relbench.training import Learner, Trainer
from relbench.training.assemble import UntrainedNetworks, assemble, table_data
from relbench.training.computing import computing

FASTER = 3.0
"""Required speed-up over the authors' way."""

CLASSES, EACH = 30, 9  # of files


@dataclass(frozen=True)
class Loop:
    """A training from files.

    Attributes:
        device: "cpu" or "cuda".
        scale: "full", or "toy" with small networks.
        workers: processes that load images.
        started: steps before the time is taken; more than workers make ahead.
        counted: steps whose time is taken.
    """

    device: str
    scale: Scale = "full"
    workers: int = 8
    started: int = 20
    counted: int = 30

    @property
    def steps(self) -> int:
        """Steps of the training; after the last, a checkpoint is written."""
        return self.started + self.counted + 1


class Watch(Silent):
    """Takes the time of the steps that count.

    Args:
        loop: which these are.

    Attributes:
        seconds: a step.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop, self._start, self.seconds = loop, 0.0, 0.0

    def step(self, done: int) -> None:
        """Note the time, once the GPU has done the first and the last of them."""
        if done == self._loop.started:
            self._start = self._now()
        if done == self._loop.started + self._loop.counted:
            self.seconds = (self._now() - self._start) / self._loop.counted

    def _now(self) -> float:
        if self._loop.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def figures(loop: Loop, precisions: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    """Images a second of both, and their ratios, by the time on the clock.

    Args:
        loop: see `Loop`.
        precisions: settings of our training, by name. The authors' code computes as torch does by default: TF32 in
            convolutions, and in no product.
    """
    with TemporaryDirectory(prefix="relbench-loading-") as name:
        folder = Path(name)
        table = _write(folder)
        student = _student(loop, {})
        theirs = _authors_seconds(loop, student, folder, table)
        said, batch = f"from JPEGs, {loop.workers} workers", student.training.batch_size
        yield Figure(name=f"{said}: images, the authors' way", value=batch / theirs, unit="per s")
        for precision, settings in precisions.items():
            ours = _our_seconds(loop, _student(loop, settings), folder, table)
            yield Figure(name=f"{said}: images, {precision}", value=batch / ours, unit="per s")
            yield Figure(
                name=f"{said}, {precision}: times as fast as the authors' way",
                value=theirs / ours,
                target=FASTER,
                bound="at least",
            )


def _student(loop: Loop, settings: Mapping[str, Any]) -> Experiment:
    steps = {"training.steps": loop.steps, "training.validate_every": loop.steps}
    return experiments(loop.scale, loop.device, {**settings, **steps})[1]


def _write(folder: Path) -> pd.DataFrame:
    """Files, and the table of them. All of a class show the same picture: it takes as long to decode."""
    rows = []
    for label in range(CLASSES):
        shown = picture(np.random.default_rng(label))
        for number in range(EACH):
            rows.append((f"{label}-{number}.jpg", str(label), "train"))
            shown.save(folder / rows[-1][0], quality=QUALITY)
    return pd.DataFrame(rows, columns=["name", "label", "split"])


def _authors_seconds(loop: Loop, student: Experiment, folder: Path, table: pd.DataFrame) -> float:
    assert student.teacher
    own, taught = (initial_network(run, 3).to(loop.device) for run in (student, student.teacher))
    step, watch = AuthorsStep(own, taught), Watch(loop)
    draw = _sampler(student, torch.from_numpy(pd.factorize(table["label"])[0]))
    batches = [draw(number).tolist() for number in range(loop.steps)]
    files = [folder / name for name in table["name"]]
    with computing(1, "bf16-mixed"):  # the switches as torch has them by default; nothing is cast
        for done, images in enumerate(loaded(files, batches, loop.workers), 1):
            step(images.to(loop.device, non_blocking=True))
            watch.step(done)
    return watch.seconds


def _our_seconds(loop: Loop, student: Experiment, folder: Path, table: pd.DataFrame) -> float:
    """With the training loop itself."""
    pixels = decoded_images(ImageFiles(folder, RESIZE, threads=1), table["name"].tolist(), folder)
    photos = Photos(table, folder, CROP, pixels, content="")
    data = table_data(photos, lambda labels: _sampler(student, labels), lambda *_: {}, loop.workers)
    networks, watch = UntrainedNetworks(3, CLASSES), Watch(loop)
    setup = assemble(student, networks, data, networks.teacher([student]))
    checkpoint = folder / f"{student.fingerprint}.pt"
    with computing(1, student.training.precision):
        learner = Learner(setup, student.training, student.seed, student.fingerprint, checkpoint, watch)
        (end,) = Trainer([learner]).run().values()
    if isinstance(end, Exception):
        raise end
    return watch.seconds


def _sampler(student: Experiment, labels: torch.Tensor) -> ClassBalancedSampler:
    return ClassBalancedSampler(labels, student.training.batch_size, student.training.images_per_class, student.seed)
