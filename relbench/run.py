"""One run: from an experiment to a row. The only file that sees every stage.

images -> batches -> student and teacher embeddings -> loss terms -> checkpoint -> test embeddings -> neighbours -> row
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from relbench.data import find_data_set
from relbench.data.batches import ClassBatches
from relbench.data.table import ROLES, ImageSource, labels_of, lines_of
from relbench.evaluation import means, per_query, recall_by_class, retrieval_metrics
from relbench.experiment import Experiment, Term
from relbench.files import written_whole
from relbench.ledger import ClassCounts, Row, read_row, write_record
from relbench.losses import find_loss
from relbench.machine import describe_machine, forget_peak_memory, peak_memory
from relbench.models import Embedder, build_embedder, embed
from relbench.training import CheckpointError, Part, State, Task, Trainer, fits, load_checkpoint, selected_weights

EVALUATION_BATCH = 500  # images
KEPT_BYTES = 2**28  # validation images up to this size are made once and kept


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it has."""

    runs: Path
    experiment: Experiment

    @property
    def path(self) -> Path:
        """The folder, named by the fingerprint alone."""
        return self.runs / self.experiment.fingerprint

    @property
    def row(self) -> Path:
        """Written last: a run that has it is finished."""
        return self.path / "row.json"

    @property
    def checkpoint(self) -> Path:
        """The training's last state."""
        return self.path / "checkpoint.pt"

    @property
    def embeddings(self) -> Path:
        """Embeddings, labels and names of the test images."""
        return self.path / "embeddings.npz"

    def finished(self) -> Row | None:
        """The row, if the run is finished.

        Raises:
            ValueError: the row is damaged or another experiment's.
        """
        return read_row(self.row, self.experiment.fingerprint) if self.row.exists() else None


def run(experiment: Experiment, runs: Path, data_folder: Path, on_step: Callable[[int], None]) -> Row:
    """Train, evaluate on test classes, write the row.

    Args:
        experiment: what to run; its teacher must be finished.
        runs: holds a folder for each run.
        data_folder: where data sets live.
        on_step: told how many training steps are done.

    Raises:
        CheckpointError: a checkpoint is damaged, gone, or another experiment's.
        OSError: something can't be written.
        DivergedError: a loss or weight is no longer finite.
    """
    folder = RunFolder(runs, experiment)
    device = torch.device(experiment.protocol.device)
    with _threads(experiment.protocol.threads):
        forget_peak_memory(device)
        data_set = find_data_set(experiment.data.name, data_folder)
        source = data_set.load(experiment.data, data_folder, iter)
        check_run(experiment, runs, source, data_set.ks)
        state, network = _train(experiment, folder, source, on_step)
        row = _evaluate(experiment, folder, source, data_set.ks, network, state)
    write_record(row, folder.row)
    return row


def check_run(experiment: Experiment, runs: Path, source: ImageSource, ks: Sequence[int]) -> None:
    """Refuse what would stop a run at its first step or its last.

    Args:
        experiment: the run.
        runs: holds a folder for each run.
        source: of its images.
        ks: the Ks of Recall@K.

    Raises:
        ValueError: fewer training classes than a batch needs, fewer test images than the largest K asks for, or no two
            test (or validation) images of one class.
        CheckpointError: the run's own checkpoint, or that of its finished teacher, is damaged or gone.
    """
    labels, _ = labels_of(source.table, lines_of(source.table, "train"))
    _batches(experiment, labels, torch.Generator())
    _check_retrieval(source, "test", ks)
    _check_retrieval(source, "validation", (1,))
    _check_checkpoints(experiment, runs, source)


def _check_retrieval(source: ImageSource, split: str, ks: Sequence[int]) -> None:
    """Refuse a split where Recall@K can't be measured; one without images is fine."""
    lines = lines_of(source.table, split)
    if not len(lines):
        return
    query, gallery = _roles(source, lines)
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


def _roles(source: ImageSource, lines: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the images ask, and which can be found: all, where the data set (or this split) doesn't tell."""
    masks = [source.table[role].to_numpy(dtype=bool)[lines] if role in source.table else None for role in ROLES]
    query, gallery = (np.ones(len(lines), bool) if mask is None or not mask.any() else mask for mask in masks)
    return query, gallery


def _check_checkpoints(experiment: Experiment, runs: Path, source: ImageSource) -> None:
    folder = RunFolder(runs, experiment)
    if folder.checkpoint.exists():
        load_checkpoint(folder.checkpoint, experiment.fingerprint, experiment.protocol.steps)
    if experiment.teacher and RunFolder(runs, experiment.teacher).row.exists():
        _load_teacher(experiment.teacher, runs, source)


def _batches(experiment: Experiment, labels: NDArray[np.int64], generator: torch.Generator) -> ClassBatches:
    protocol = experiment.protocol
    return ClassBatches(torch.from_numpy(labels), protocol.batch_size, protocol.images_per_class, generator)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute on so many threads, in torch and in the libraries below numpy and faiss."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(limits=count):
            yield
    finally:
        torch.set_num_threads(before)


def _train(
    experiment: Experiment, folder: RunFolder, source: ImageSource, on_step: Callable[[int], None]
) -> tuple[State, Embedder]:
    """Train to the last step; the network comes back with the weights of the step that counts."""
    network = build_embedder(experiment.net, source.shape.channels, experiment.seed)
    teacher = _load_teacher(experiment.teacher, folder.runs, source) if experiment.teacher else None
    task = _task(experiment, source, network, teacher)
    trainer = Trainer(task, experiment.protocol, experiment.seed, experiment.fingerprint, folder.checkpoint)
    state = trainer.run(on_step)
    network.load_state_dict(selected_weights(state))
    return state, network


def _load_teacher(experiment: Experiment, runs: Path, source: ImageSource) -> Embedder:
    folder = RunFolder(runs, experiment)
    if not folder.checkpoint.exists():
        raise CheckpointError(
            f"the teacher's checkpoint {folder.checkpoint} is gone: delete {folder.row} too, and it is trained again"
        )
    network = build_embedder(experiment.net, source.shape.channels, experiment.seed)
    try:
        with fits(folder.checkpoint):
            network.load_state_dict(
                selected_weights(load_checkpoint(folder.checkpoint, experiment.fingerprint, experiment.protocol.steps))
            )
    except CheckpointError as error:
        raise CheckpointError(f"{error}; as it is a finished teacher's, delete {folder.row} too") from None
    return network


def _task(experiment: Experiment, source: ImageSource, network: Embedder, teacher: Embedder | None) -> Task:
    lines = lines_of(source.table, "train")
    labels, names = labels_of(source.table, lines)
    by_line = torch.full((len(source.table),), -1).scatter(0, torch.from_numpy(lines), torch.from_numpy(labels))

    def batches(generator: torch.Generator) -> Iterator[torch.Tensor]:
        return (torch.from_numpy(lines)[batch] for batch in _batches(experiment, labels, generator))

    return Task(
        network=network,
        teacher=teacher,
        parts={term.loss: _part(term, experiment, classes=len(names)) for term in experiment.terms},
        batches=batches,
        images=source.train_batch,
        labels=by_line,
        validate=_validation(source, torch.device(experiment.protocol.device)),
    )


def _part(term: Term, experiment: Experiment, classes: int) -> Part:
    entry = find_loss(term.loss)
    given = {"num_classes": classes, "embedding_size": experiment.net.dim, "seed": experiment.seed}
    loss = entry.build(**{name: given[name] for name in entry.needs} | term.options)
    return Part(term.weight, relational=loss) if entry.kind == "relational" else Part(term.weight, supervised=loss)


def _validation(source: ImageSource, device: torch.device) -> Callable[[torch.nn.Module], dict[str, float]]:
    """Gives recall@1 on the validation classes, or nothing where there are none; few images are made once."""
    lines = lines_of(source.table, "validation")
    labels, _ = labels_of(source.table, lines)
    kept = list(_test_batches(source, lines)) if _bytes_of(source, lines) <= KEPT_BYTES else None

    def validate(network: torch.nn.Module) -> dict[str, float]:
        if not len(lines):
            return {}
        batches = iter(kept) if kept else _test_batches(source, lines)
        metrics = retrieval_metrics(embed(network, batches, device), labels, ks=(1,))
        return {"recall@1": metrics["recall@1"]}

    return validate


def _bytes_of(source: ImageSource, lines: NDArray[np.int64]) -> int:
    """Memory of the images as floats."""
    return 4 * len(lines) * source.shape.channels * source.shape.size**2


def _test_batches(source: ImageSource, lines: NDArray[np.int64]) -> Iterator[torch.Tensor]:
    return (source.test_batch(part) for part in torch.split(torch.from_numpy(lines), EVALUATION_BATCH))


def _evaluate(
    experiment: Experiment,
    folder: RunFolder,
    source: ImageSource,
    ks: Sequence[int],
    network: Embedder,
    state: State,
) -> Row:
    """Embed the test classes, keep the embeddings, measure, and make the row."""
    device = torch.device(experiment.protocol.device)
    start = time.perf_counter()
    lines = lines_of(source.table, "test")
    labels = source.table["label"].to_numpy(dtype=str)[lines]
    embeddings = embed(network, _test_batches(source, lines), device)
    query, gallery = _roles(source, lines)
    names = source.table["name"].to_numpy(dtype=str)[lines]
    kept = {"embeddings": embeddings, "labels": labels, "names": names}
    _keep(folder.embeddings, kept | ({} if query.all() and gallery.all() else {"query": query, "gallery": gallery}))
    answers = per_query(embeddings, labels, ks, query=query, gallery=gallery)
    counts = recall_by_class(answers)
    selected = state["best"]["step"] if state["best"] else state["step"]
    return Row(
        fingerprint=experiment.fingerprint,
        experiment=experiment,
        data_hash=source.data_hash,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        selected_step=selected,
        metrics=means(answers, ks),
        validation=_validated(state["history"], selected),
        by_class=ClassCounts(
            classes=tuple(counts.labels.tolist()),
            queries=tuple(counts.queries.tolist()),
            correct=tuple(counts.correct.tolist()),
        ),
        history=tuple(state["history"]),
        train_seconds=state["seconds"],
        evaluate_seconds=time.perf_counter() - start,
        peak_memory=peak_memory(device),
        finished=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        machine=describe_machine(device),
    )


def _validated(history: Sequence[Mapping[str, float]], step: int) -> dict[str, float]:
    """What was measured on validation classes at a step."""
    entry = next(entry for entry in history if entry["step"] == step)
    return {name: value for name, value in entry.items() if name == "recall@1"}


def _keep(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Store test embeddings, so that a new metric needs no new training."""
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
