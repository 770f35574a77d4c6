"""Floors of a table: what the pixels alone, and networks before their first step, reach. Nothing is trained for them.

They are measured in seconds, once for such data and settings, and kept in the results folder: a report needs no data.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, PositiveInt

from relbench.analysis.methods import Floor
from relbench.data import Progress, find_data_set
from relbench.data.cached_views import CachedViews
from relbench.data.table import ImageSource
from relbench.evaluation import seed_interval
from relbench.experiment import Data, Net, Retrieval, TaskField, TaskSettings, hashed_task
from relbench.models import TRUNKS, build_embedder, planned, weights_of
from relbench.models.pixels import RawPixels, pixels_in_words
from relbench.plain_text import listed
from relbench.results.records import Result, read_result, write_record
from relbench.settings import Settings, renamed, short_hash, under_former_names
from relbench.tasks import Model, Task, find_task
from relbench.training.computing import computing

FOLDER = "floors"
RETRIEVAL = Retrieval()


class FloorSettings(Settings):
    """A floor to measure: all settings that can change its metrics."""

    data: Data
    task: TaskField = RETRIEVAL
    net: Net | None = None  # as built, before its first step; None: pixels
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0  # of the network
    code_version: Annotated[PositiveInt, renamed("code_version")] = (
        1  # counted up when floors are measured in another way
    )

    @property
    def fingerprint(self) -> str:
        """Names the file; what has its default value is left out."""
        settings = self.model_dump(mode="json", exclude={"code_version", "task"}, exclude_defaults=True)
        settings |= {"code_version": self.code_version} | hashed_task(self.task)
        return short_hash(under_former_names(settings))


class MeasuredFloor(Result):
    """A floor that was measured."""

    settings: FloorSettings
    data_hash: str  # as in a row
    channels: PositiveInt  # of the images
    parameters: int  # of the network; 0 for pixels
    metrics: dict[str, float]  # on test images


def floors_of(data: Data, net: Net, seeds: Sequence[int], task: TaskSettings = RETRIEVAL) -> tuple[FloorSettings, ...]:
    """The floors of a table: the pixels, then the network as each seed builds it.

    Args:
        data: whose test images are measured.
        net: of the students.
        seeds: of the runs.
        task: what measures them.

    Raises:
        ValueError: the network's weights are those of a file that can't be read.
    """
    networks = (FloorSettings(data=data, task=task, net=planned(net), seed=seed) for seed in seeds)
    return (FloorSettings(data=data, task=task), *networks)


def finished_floor(settings: FloorSettings, folder: Path) -> MeasuredFloor | None:
    """The measured floor, if there is one.

    Args:
        settings: what is asked for.
        folder: the study's results.

    Raises:
        ValueError: the file is damaged or another floor's.
    """
    path = _path(settings, folder)
    if not path.exists():
        return None
    return read_result(MeasuredFloor, "floor", path, settings.fingerprint, _contradictions)


def measure_floors(asked: Sequence[FloorSettings], folder: Path, data: Path, device: str, progress: Progress) -> None:
    """Measure what is not kept yet, and keep it.

    Args:
        asked: of the same data, from `floors_of`.
        folder: the study's results.
        data: holds the data sets.
        device: "cpu" or "cuda".
        progress: wraps what a data set makes ready, for a progress bar.

    Raises:
        OSError: a file can't be written or read.
        ValueError: the data set is not there, or is not the one that was asked for; a kept file is damaged.
    """
    waiting = [floor for floor in asked if not finished_floor(floor, folder)]
    if not waiting:
        return
    with computing(1, "32-true"):
        settings = waiting[0].data
        data_set = find_data_set(settings.name, data)
        source = CachedViews(data_set.load(settings, data, progress))
        if settings.content != source.content:
            raise ValueError(f"the data set {settings.name} is not the one that was planned for: run the command again")
        for floor in waiting:
            task = find_task(floor.task, data_set)
            write_record(_measured(floor, source, task, torch.device(device)), _path(floor, folder))


def _measured(settings: FloorSettings, source: ImageSource, task: Task, device: torch.device) -> MeasuredFloor:
    channels, net = source.shape.channels, settings.net
    network = build_embedder(net, channels, settings.seed, settings.data.size) if net else RawPixels()
    return MeasuredFloor(
        fingerprint=settings.fingerprint,
        settings=settings,
        data_hash=source.data_hash,
        channels=channels,
        parameters=sum(weights.numel() for weights in network.parameters()),
        metrics=task.evaluate(Model(network.to(device), device), source, "test").metrics,
    )


def lines_of_floors(found: Sequence[MeasuredFloor]) -> tuple[Floor, Floor]:
    """The two lines of a table: of pixels, which come first in what was found, and of the network by all seeds."""
    return _pixels(found[0]), _untrained(found[1:])


def _pixels(found: MeasuredFloor) -> Floor:
    metrics = {name: seed_interval([value]) for name, value in found.metrics.items()}
    how = pixels_in_words(found.channels, found.settings.data.size)
    return Floor("raw pixels", "", 0, 1, metrics, f"Raw pixels: {how}{_without_head(found)}.")


def _untrained(found: Sequence[MeasuredFloor]) -> Floor:
    net, seeds = found[0].settings.net, [str(floor.settings.seed) for floor in found]
    assert net
    metrics = {name: seed_interval([floor.metrics[name] for floor in found]) for name in found[0].metrics}
    weights = "random weights" if net.weights == "random" else f"{_pretrained(net)} and a random last layer"
    named = "seed" if len(seeds) == 1 else "seeds"
    how = f"{net.short_name} with {weights}, as built from {named} {listed(seeds)}, before the first step"
    how = f"Untrained network: {how}{_without_head(found[0])}."
    return Floor("untrained network", net.short_name, found[0].parameters, len(found), metrics, how)


def _pretrained(net: Net) -> str:
    """Weights that are not random, in words: those of other libraries are not all ImageNet's."""
    return "ImageNet weights" if net.trunk in TRUNKS and not net.weights_file else f"weights of {weights_of(net)}"


def _without_head(found: MeasuredFloor) -> str:
    """How it is measured, where those that are trained have a head."""
    words = find_task(found.settings.task).without_head
    return f"; {words}" if words else ""


def _contradictions(found: MeasuredFloor) -> Iterator[str]:
    if found.settings.fingerprint != found.fingerprint:
        yield f"its settings have the fingerprint {found.settings.fingerprint}"
    yield from find_task(found.settings.task).contradictions(found.metrics, {})


def _path(settings: FloorSettings, folder: Path) -> Path:
    return folder / FOLDER / f"{settings.fingerprint}.json"
