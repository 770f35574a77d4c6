"""What is checked before a run begins: what would stop it at its first step, or at its last."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from relbench.data import DataSet, Progress
from relbench.data.cached_views import EVALUATION_BATCH
from relbench.data.table import ImageSource, indices_of, labels_of
from relbench.experiment import Experiment
from relbench.models import check_weights
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder, load_trained
from relbench.tasks import find_task
from relbench.training.assemble import try_terms, where_losses_may_be_built


def check_runs(experiments: Sequence[Experiment], runs: Path, source: ImageSource, data_set: DataSet) -> None:
    """Refuse what would stop a run at its first step or its last.

    Args:
        experiments: runs on the same images.
        runs: holds a folder for each run.
        source: of the images.
        data_set: that they are of.

    Raises:
        ValueError: as `check_plan`; or a GPU is asked for where there is none, or pretrained weights can't be had.
        CheckpointError: a run's own checkpoint, or that of its finished teacher or first stage, is damaged or gone.
    """
    for device in {one.training.device for one in experiments}:
        check_device(device)
    check_plan(experiments, source.table, data_set)
    _check_checkpoints(experiments, runs, source)
    for one in _kinds(experiments):
        _check_weights(one)


def check_plan(experiments: Sequence[Experiment], table: pd.DataFrame, data_set: DataSet) -> None:
    """Refuse what settings and the table of images show to be impossible; `--dry-run` asks this, too.

    Args:
        experiments: runs on the same images; what differs in nothing that matters is checked once.
        table: of the images.
        data_set: that they are of.

    Raises:
        ValueError: fewer training classes than a batch needs; what a task refuses of the table; a loss that refuses
            what it would be given.
    """
    labels, classes = labels_of(table, indices_of(table, "train"))
    kinds = _kinds(experiments)
    for one in kinds:
        find_task(one.task).sampler(torch.from_numpy(labels), torch.Generator(), 0, one.training)
    for settings in dict.fromkeys(one.task for one in kinds):
        find_task(settings, data_set).check(table)
    for one in kinds:
        where_losses_may_be_built(one, try_terms, one, data_set.channels, len(classes))


def _kinds(experiments: Sequence[Experiment]) -> Collection[Experiment]:
    return {_kind(one): one for one in experiments}.values()


def check_device(device: str) -> None:
    """Refuse a GPU where there is none; runs for it can be planned all the same.

    Raises:
        ValueError: torch sees no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: torch sees no GPU here; choose cpu or auto (--dry-run plans runs for a GPU)")


def _kind(experiment: Experiment) -> str:
    """All that decides whether a run can begin on given images, such as neither seed nor steps."""
    training, teacher = experiment.training, experiment.teacher
    networks = [(one.net, one.terms) for one in (experiment, teacher) if one]
    return repr((experiment.task, networks, training.batch_size, training.images_per_class))


def _check_weights(experiment: Experiment) -> None:
    for one in (experiment, *experiment.dependencies.values()):
        check_weights(one.net)


def check_evaluated_images(source: ImageSource, progress: Progress) -> None:
    """Look once at the images that a run would first look at when it has been trained, where files are decoded.

    Args:
        source: of the images.
        progress: wraps the batches that are looked at, for a progress bar.

    Raises:
        ValueError: an image can't be decoded.
    """
    indices = np.concatenate([indices_of(source.table, split) for split in ("validation", "test")])
    for start in progress([str(start) for start in range(0, len(indices), EVALUATION_BATCH)]):
        source.test_batch(torch.from_numpy(indices[int(start) : int(start) + EVALUATION_BATCH]))


def _check_checkpoints(experiments: Sequence[Experiment], runs: Path, source: ImageSource) -> None:
    for folder in (RunFolder(runs, one) for one in experiments):
        if folder.checkpoint.exists():
            folder.state()
    needed = {(what, one.fingerprint): one for each in experiments for what, one in each.dependencies.items()}
    for (what, _), one in needed.items():
        row = RunFolder(runs, one).finished()
        if row:
            load_trained(one, runs, source.shape.channels, what)
            _check_images(row, one, what, experiments[0], source)


def _check_images(row: Row, one: Experiment, what: str, experiment: Experiment, source: ImageSource) -> None:
    """What is taught on other images than the teacher was trained on would compare nothing."""
    if one.data == experiment.data and row.data_hash != source.data_hash:
        raise ValueError(
            f"the {what} {row.fingerprint} was trained on images other than those that {one.data.name} has now: "
            "restore them, or delete the folder of that run"
        )
