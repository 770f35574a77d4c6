"""What is checked before a run begins: what would stop it at its first step, or at its last."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from relbench.data.batches import ClassBatches
from relbench.data.table import ImageSource, labels_of, lines_of, roles_of
from relbench.experiment import Experiment
from relbench.kept import RunFolder, load_trained
from relbench.terms import shapes_of, try_terms


def check_run(experiment: Experiment, runs: Path, source: ImageSource, ks: Sequence[int]) -> None:
    """Refuse what would stop a run at its first step or its last.

    Args:
        experiment: the run.
        runs: holds a folder for each run.
        source: of its images.
        ks: the Ks of Recall@K.

    Raises:
        ValueError: fewer training classes than a batch needs, fewer test images than the largest K asks for, or no two
            test (or validation) images of one class; a loss that refuses what it would be given.
        CheckpointError: the run's own checkpoint, or that of its finished teacher or first stage, is damaged or gone.
    """
    labels, classes = labels_of(source.table, lines_of(source.table, "train"))
    class_batches(experiment, labels, torch.Generator())
    _check_retrieval(source, "test", ks)
    _check_retrieval(source, "validation", (1,))
    _check_checkpoints(experiment, runs, source.shape.channels)
    try_terms(experiment, shapes_of(experiment, source.shape.channels, len(classes)))


def _check_retrieval(source: ImageSource, split: str, ks: Sequence[int]) -> None:
    """Refuse a split where Recall@K can't be measured; one without images is fine."""
    lines = lines_of(source.table, split)
    if not len(lines):
        return
    query, gallery = roles_of(source.table, lines)
    labels = source.table["label"].to_numpy(dtype=str)[lines]
    found, counts = np.unique(labels[gallery], return_counts=True)
    sizes = dict(zip(found.tolist(), counts.tolist(), strict=True))
    if not any(sizes.get(labels[at], 0) > gallery[at] for at in np.flatnonzero(query)):
        raise ValueError(f"no {split} image has another one of its class to be found: take classes of more images")
    others = int(gallery.sum() - np.any(query & gallery))
    if others < max(ks):
        raise ValueError(
            f"Recall@K is asked for K = {max(ks)}, but a {split} image has {others} others: take more classes"
        )


def _check_checkpoints(experiment: Experiment, runs: Path, channels: int) -> None:
    folder = RunFolder(runs, experiment)
    if folder.checkpoint.exists():
        folder.state()
    for what, one in experiment.foundations.items():
        if RunFolder(runs, one).row.exists():
            load_trained(one, runs, channels, what)


def class_batches(experiment: Experiment, labels: NDArray[np.int64], generator: torch.Generator) -> ClassBatches:
    """The batches of a run, from class numbers of its training images."""
    protocol = experiment.protocol
    return ClassBatches(torch.from_numpy(labels), protocol.batch_size, protocol.images_per_class, generator)
