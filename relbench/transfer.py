"""Transfer: networks, finished or never trained, measured on data sets that they were not trained on.

As in Fig. 3 of Relational Knowledge Distillation (arXiv:1904.05068): how well do features of one data set serve
retrieval on another?
"""

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, PositiveInt, model_validator

from relbench.counts import Counts
from relbench.data import DataSet, Progress, find_data_set
from relbench.experiment import CODE_VERSION, Data, Experiment, Net, Retrieval, TaskField, hashed_task
from relbench.machine import describe_machine
from relbench.models import Embedder, build_features, check_weights, find_trunk, weights_of
from relbench.preflight import check_device
from relbench.resolve import check_net, check_size, check_unseen, check_weights_unseen
from relbench.results.records import Machine, Result, read_result, write_record
from relbench.results.run_folder import RunFolder, load_trained
from relbench.settings import Settings, renamed, short_hash, under_former_names
from relbench.tasks import Model, find_task
from relbench.training.computing import computing


class TransferSpec(Settings):
    """A measurement to make: which network on which images, with all that can change what comes out.

    It is measured in float32, whatever it was trained in.
    """

    experiment: Experiment | None  # of the run that trained it; None: never trained, and its trunk's features are taken
    net: Net
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: Data  # measured on: its test images
    task: TaskField = Retrieval()  # that it is measured by
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Annotated[int, Field(ge=1, le=256)] = 1  # on the CPU
    scale: Literal["full", "toy"] = "full"
    code_version: Annotated[PositiveInt, renamed("code_version")] = CODE_VERSION  # that of the code which measured

    @model_validator(mode="after")
    def _validate(self) -> Self:
        run = self.experiment
        if run and (run.net, run.seed, run.scale) != (self.net, self.seed, self.scale):
            raise ValueError("net, seed and scale must be those of the run that trained the network")
        return self

    @classmethod
    def of(cls, experiment: Experiment, data: Data) -> Self:
        """The specification for the network of a run on other images, on the device where it was trained."""
        training = experiment.training
        return cls(
            experiment=experiment,
            net=experiment.net,
            seed=experiment.seed,
            data=data,
            task=experiment.task,
            device=training.device,
            threads=training.threads,
            scale=experiment.scale,
            code_version=experiment.code_version,
        )

    @property
    def fingerprint(self) -> str:
        """Names the file, as a run's names its folder; what has its default value is left out."""
        settings = self.model_dump(mode="json", exclude={"experiment", "code_version", "task"}, exclude_defaults=True)
        settings |= {"code_version": self.code_version} | hashed_task(self.task)
        if self.experiment:
            settings["experiment"] = self.experiment.fingerprint
        return short_hash(under_former_names(settings))


class Transfer(Result):
    """The measurement of a network on another data set."""

    asked: TransferSpec
    data_hash: str  # as in a row
    weights: str  # where the trunk's first weights come from; "" for random ones
    metrics: dict[str, float]  # on test images
    counts: Annotated[Counts, renamed("counts")]
    seconds: float
    finished: str  # time in UTC, ISO 8601
    machine: Machine
    weights_hash: str = ""  # of the trained weights; "" for those never trained, and in files before this was noted
    other_counts: dict[str, Counts] = {}  # noqa: RUF012 - pydantic copies it; as in a row

    @property
    def all_counts(self) -> dict[str, Counts]:
        """The counts that were kept, by metric."""
        return {find_task(self.asked.task).primary: self.counts, **self.other_counts}


def finished_transfer(asked: TransferSpec, folder: Path) -> Transfer | None:
    """The finished measurement, if there is one.

    Args:
        asked: with the data set's content filled in.
        folder: the study's results.

    Raises:
        ValueError: the file is damaged or holds another measurement.
    """
    path = _path(asked, folder)
    if not path.exists():
        return None
    return read_result(Transfer, "transfer", path, asked.fingerprint, partial(_contradictions, folder))


def check_transfers(
    asked: Sequence[TransferSpec], folder: Path, data: Path, progress: Progress
) -> tuple[TransferSpec, ...]:
    """Measurements still to be made; refuses impossible ones before any work.

    Args:
        asked: with the data set's content filled in.
        folder: the study's results: runs in `runs`, measurements in `transfers`.
        data: holds the data sets.
        progress: wraps the preparation, for a progress bar.

    Raises:
        ValueError: a finished measurement is damaged; there is no GPU where one is needed; pretrained weights can't be
            had; an unknown trunk or data set; images too small for the trunk, or of channels that it can't take; the
            task can't be measured on the data set.
    """
    distinct = {spec.fingerprint: spec for spec in asked}.values()
    waiting = tuple(spec for spec in distinct if not finished_transfer(spec, folder))
    for spec in waiting:
        check_device(spec.device)
        check_net(spec.net, spec.data.size)
        check_weights_unseen(spec.net, spec.data)
        if spec.experiment:
            check_unseen(spec.experiment, spec.data)
        if spec.experiment:
            check_size(spec.experiment, "the network", spec.data.size)
        channels = _channels(spec, find_data_set(spec.data.name, data), data)
        check_weights(spec.net, channels, spec.data.size)
    for settings, task in dict.fromkeys((spec.data, spec.task) for spec in waiting):
        data_set = find_data_set(settings.name, data)
        find_task(task, data_set).check(data_set.load(settings, data, progress).table)
    return waiting


def transfer(asked: TransferSpec, folder: Path, data: Path) -> Transfer:
    """Measure a network on the test images of a data set, or read what was measured before.

    Args:
        asked: with the data set's content filled in; its run must be finished.
        folder: the study's results: runs in `runs`, what is measured here in `transfers`.
        data: holds the data sets.

    Raises:
        CheckpointError: the run's checkpoint is damaged or gone.
        OSError: the file can't be written.
        ValueError: a finished file is damaged, the data are not those planned for, or the task can't be measured on
            them.
    """
    found = finished_transfer(asked, folder)
    if found:
        return found
    with computing(asked.threads, "32-true"):
        measured = _measured(asked, folder, data)
    write_record(measured, _path(asked, folder))
    return measured


def _measured(asked: TransferSpec, folder: Path, data: Path) -> Transfer:
    start, device = time.perf_counter(), torch.device(asked.device)
    data_set = find_data_set(asked.data.name, data)
    source = data_set.load(asked.data, data, iter)
    if asked.data.content != source.content:
        raise ValueError(f"the data set {asked.data.name} is not the one that was planned for: plan the transfer again")
    task = find_task(asked.task, data_set)
    task.check(source.table)
    network = _network(asked, folder, _channels(asked, data_set, data)).to(device)
    measured = task.evaluate(Model(network, device), source, "test")
    return Transfer(
        fingerprint=asked.fingerprint,
        asked=asked,
        data_hash=source.data_hash,
        weights=weights_of(asked.net),
        metrics=measured.metrics,
        counts=measured.counts,
        other_counts=measured.other_counts,
        seconds=time.perf_counter() - start,
        finished=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        machine=describe_machine(device),
        weights_hash=_weights_hash(asked, folder),
    )


def _network(asked: TransferSpec, folder: Path, channels: int) -> Embedder:
    if asked.experiment is None:
        return build_features(asked.net, channels, asked.seed, asked.data.size)
    if not RunFolder(folder / "runs", asked.experiment).row.exists():
        raise ValueError(f"the run {asked.experiment.fingerprint} is not finished: run the study first")
    return load_trained(asked.experiment, folder / "runs", channels, "network").network


def _channels(asked: TransferSpec, data_set: DataSet, data: Path) -> int:
    """That the network is built for: those of the images that it was trained on."""
    if asked.experiment is None:
        return data_set.channels
    trained_on = asked.experiment.data.name
    channels = find_data_set(trained_on, data).channels
    if channels != data_set.channels and not find_trunk(asked.net.trunk).any_channels:
        raise ValueError(
            f"{asked.net.trunk} trained on {trained_on} takes images of {channels} channels, but those of "
            f"{asked.data.name} have {data_set.channels}: choose another data set, or another trunk"
        )
    return channels


def _weights_hash(asked: TransferSpec, folder: Path) -> str:
    """By the row of the run that trained the network."""
    row = RunFolder(folder / "runs", asked.experiment).finished() if asked.experiment else None
    return row.weights_hash if row else ""


def _contradictions(folder: Path, found: Transfer) -> Iterator[str]:
    if found.asked.fingerprint != found.fingerprint:
        yield f"its settings have the fingerprint {found.asked.fingerprint}"
    yield from find_task(found.asked.task).contradictions(found.metrics, found.all_counts)
    weights = _weights_hash(found.asked, folder)
    if weights and found.weights_hash and weights != found.weights_hash:
        yield "it was measured with other weights than those that the run has now"


def _path(asked: TransferSpec, folder: Path) -> Path:
    return folder / "transfers" / f"{asked.fingerprint}.json"
