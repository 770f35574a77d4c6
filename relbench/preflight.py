"""Checks before a run begins, of all that would stop it at its first step or at its last."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from relbench.data import DataSet, Progress
from relbench.data.cached_views import EVALUATION_BATCH
from relbench.data.table import ImageSource, indices_of, labels_of
from relbench.experiment import CODE_VERSION, Experiment
from relbench.models import check_weights
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder, load_trained
from relbench.tasks import find_task
from relbench.training.trial import try_terms, where_losses_may_be_built


def check_runs(
    experiments: Sequence[Experiment], runs: Path, source: ImageSource, data_set: DataSet, *, elsewhere: bool = False
) -> None:
    """Refuse what would stop a run at its first step or its last.

    Args:
        experiments: runs on the same images.
        runs: holds a folder for each run.
        source: of the images.
        data_set: theirs.
        elsewhere: whether another machine makes them: the device that they compute on is not looked for here.

    Raises:
        ValueError: as `check_plan`; or a run is of another code version, there is no GPU where one is needed, or
            pretrained weights can't be had.
        CheckpointError: a checkpoint of the run, or of its finished teacher or first stage, is damaged or missing.
    """
    for experiment in experiments:
        _refuse_other_code(experiment)
    for device in set() if elsewhere else {experiment.training.device for experiment in experiments}:
        check_device(device)
    check_plan(experiments, source.table, data_set)
    _check_checkpoints(experiments, runs, source)
    for experiment in _kinds(experiments):
        for network in (experiment, *experiment.dependencies.values()):
            check_weights(network.net, source.shape.channels, network.data.size)


def check_plan(experiments: Sequence[Experiment], table: pd.DataFrame, data_set: DataSet) -> None:
    """Refuse what settings and the table of images show to be impossible; part of `--dry-run`, too.

    Args:
        experiments: runs on the same images; runs that differ in nothing that matters here are checked once.
        table: of the images.
        data_set: theirs.

    Raises:
        ValueError: fewer training classes than a batch needs; a table that the task refuses; a loss that refuses its
            inputs.
    """
    labels, classes = labels_of(table, indices_of(table, "train"))
    kinds = _kinds(experiments)
    smallest = [_smallest_batch(experiment, torch.from_numpy(labels)) for experiment in kinds]
    for settings in dict.fromkeys(experiment.task for experiment in kinds):
        find_task(settings, data_set).check(table)
    for experiment, rows in zip(kinds, smallest, strict=True):
        where_losses_may_be_built(experiment, try_terms, experiment, data_set.channels, len(classes), rows)


def _smallest_batch(experiment: Experiment, labels: torch.Tensor) -> int:
    """Images in a run's smallest batch: the last one of an epoch, where batches are those of shuffled epochs.

    Raises:
        ValueError: there are too few images or classes for a batch.
    """
    task, training = find_task(experiment.task), experiment.training
    sampler = task.sampler(labels, experiment.seed, training)
    return training.batch_size if task.balanced else len(sampler(task.steps_of_epoch(len(labels), training) - 1))


def _refuse_other_code(experiment: Experiment) -> None:
    if experiment.code_version != CODE_VERSION:
        raise ValueError(
            f"{experiment.fingerprint} is a run of code version {experiment.code_version}, whose numbers version "
            f"{CODE_VERSION} does not make: what it has written can be read, but is not gone on with; "
            "run its study in a new results folder"
        )


def _kinds(experiments: Sequence[Experiment]) -> Collection[Experiment]:
    """Experiments that differ in something that decides whether a run can begin."""
    return {_kind(experiment): experiment for experiment in experiments}.values()


def check_device(device: str) -> None:
    """Refuse a GPU where there is none; runs for a GPU can be planned without one.

    Raises:
        ValueError: torch sees no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: torch sees no GPU here; choose cpu or auto (--dry-run plans runs for a GPU)")


def _kind(experiment: Experiment) -> str:
    """The settings that decide whether a run can begin on given images: not its seed, nor its steps."""
    training, teacher = experiment.training, experiment.teacher
    networks = [(run.net, run.terms) for run in (experiment, teacher) if run]
    return repr((experiment.task, networks, training.batch_size, training.images_per_class))


def check_evaluated_images(source: ImageSource, progress: Progress) -> None:
    """Decode the images that a run would otherwise first decode after its training.

    Args:
        source: of the images.
        progress: wraps the batches, for a progress bar.

    Raises:
        ValueError: an image can't be decoded.
    """
    indices = np.concatenate([indices_of(source.table, split) for split in ("validation", "test")])
    for start in progress([str(start) for start in range(0, len(indices), EVALUATION_BATCH)]):
        source.test_batch(torch.from_numpy(indices[int(start) : int(start) + EVALUATION_BATCH]))


def _check_checkpoints(experiments: Sequence[Experiment], runs: Path, source: ImageSource) -> None:
    for folder in (RunFolder(runs, experiment) for experiment in experiments):
        if folder.checkpoint.exists():
            folder.state()
    needed = {(what, base.fingerprint): base for run in experiments for what, base in run.dependencies.items()}
    for (what, _), base in needed.items():
        row = RunFolder(runs, base).finished()
        if row:
            load_trained(base, runs, source.shape.channels, what)
            _check_images(row, base, what, experiments[0], source)


def _check_images(row: Row, base: Experiment, what: str, experiment: Experiment, source: ImageSource) -> None:
    """Refuse a teacher or first stage that was trained on other images: the comparison would mean nothing."""
    if base.data == experiment.data and row.data_hash != source.data_hash:
        raise ValueError(
            f"the {what} {row.fingerprint} was trained on images other than those that {base.data.name} has now: "
            "restore them, or delete the folder of that run"
        )
