"""A run's folder: its files, and how other runs read them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import nn

from relbench.evaluation import Stored, read_embeddings
from relbench.experiment import Experiment
from relbench.losses import find_loss
from relbench.models import Embedder, blank_network
from relbench.results.checkpoint import (
    CheckpointError,
    State,
    fits,
    load_checkpoint,
    selected_classifier,
    selected_weights,
    weights_hash,
)
from relbench.results.records import Row, read_row, refuse_other_dependencies
from relbench.tasks import find_task

_OTHERS = "does not hold the {} of {}: its hash differs from that in the row"


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run."""

    runs: Path
    experiment: Experiment

    @cached_property
    def path(self) -> Path:
        """The folder, named by the fingerprint alone."""
        return self.runs / self.experiment.fingerprint

    @property
    def row(self) -> Path:
        """File of the row, written last: a run that has it is finished."""
        return self.path / "row.json"

    @property
    def checkpoint(self) -> Path:
        """File of the training's last state."""
        return self.path / "checkpoint.pt"

    @property
    def embeddings(self) -> Path:
        """File of the test images' embeddings, labels and names."""
        return self.path / "embeddings.npz"

    @property
    def error(self) -> Path:
        """File of the last attempt's traceback, if it failed."""
        return self.path / "error.txt"

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """All files of a finished run, the row last."""
        return self.checkpoint, self.embeddings, self.row

    def finished(self) -> Row | None:
        """The row, if the run is finished.

        Raises:
            ValueError: the row is damaged, another experiment's, or of a run whose teacher or first stage has been
                trained again since.
        """
        return Rows(self.runs).finished(self.experiment)

    def dependencies(self) -> dict[str, Row]:
        """Rows of the finished runs that this run builds on, by fingerprint.

        Raises:
            ValueError: a row is damaged or another experiment's.
        """
        rows = [RunFolder(self.runs, base).read() for base in self.experiment.dependencies.values()]
        return {row.fingerprint: row for row in rows if row}

    def read(self) -> Row | None:
        """The row, if it is there, whatever the run was built on.

        Raises:
            ValueError: the row is damaged or another experiment's.
        """
        return read_row(self.row, self.path.name) if self.row.exists() else None

    def state(self) -> State:
        """The training's last state; if the run is finished, its weights are checked against the row.

        Raises:
            CheckpointError: the checkpoint is damaged, another experiment's, or does not belong to the row.
            ValueError: the row is damaged.
        """
        run = self.experiment
        state = load_checkpoint(self.checkpoint, run.fingerprint, run.training.steps, find_task(run.task).primary)
        row = self.finished()
        if row and row.weights_hash and row.weights_hash != weights_hash(state):
            raise CheckpointError(f"{self.checkpoint} {_OTHERS.format('weights', self.row)}: restore the right file")
        return state

    def stored(self) -> Stored:
        """The embeddings of a finished run, checked against its row.

        Raises:
            ValueError: the embeddings are missing, damaged, or do not belong to the row; or the row is damaged.
        """
        stored = read_embeddings(self.embeddings)
        row = self.finished()
        if row and row.embeddings_hash and row.embeddings_hash != stored.hash:
            raise ValueError(f"{self.embeddings} {_OTHERS.format('embeddings', self.row)}: restore the right file")
        return stored


class Rows:
    """Rows of a folder's finished runs, each read once: many runs share a teacher.

    Args:
        runs: holds a folder for each run.
    """

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._known: dict[str, Row] = {}

    def finished(self, run: Experiment) -> Row | None:
        """The row, if the run is finished; raises as `RunFolder.finished`."""
        row = self._read(run)
        if row:
            needed = [self._read(base) for base in run.dependencies.values()]
            refuse_other_dependencies({known.fingerprint: known for known in (row, *needed) if known})
        return row

    def _read(self, run: Experiment) -> Row | None:
        folder = RunFolder(self._runs, run)
        name = folder.path.name
        found = self._known.get(name) or folder.read()
        if found:  # else it may be finished the next time
            self._known[name] = found
        return found


def unverified(experiments: Iterable[Experiment], runs: Path) -> str:
    """Message that names finished runs whose weights others build on but can't verify; "" if there are none.

    Args:
        experiments: the runs that build on others.
        runs: holds a folder for each run.
    """
    bases = (row for experiment in experiments for row in RunFolder(runs, experiment).dependencies().values())
    names = sorted({row.fingerprint for row in bases if not row.weights_hash})
    if not names:
        return ""
    return (
        f"the weights of {', '.join(names)}, which others build on, can't be verified: their rows are older than the "
        "hashes of weights; delete their folders to run them again"
    )


@dataclass(frozen=True)
class Trained:
    """A finished run's network, at the selected step."""

    network: Embedder
    classifier: nn.Module | None  # from embeddings to logits, if it was trained along
    state: State  # the training's last


def has_classifier(experiment: Experiment) -> bool:
    """Whether a classifier is trained along with the network, for a loss that takes logits."""
    return any("classifier" in find_loss(term.loss, term.source).requires for term in experiment.terms)


def load_trained(experiment: Experiment, runs: Path, channels: int, what: str) -> Trained:
    """A finished run's network, for a run that builds on it.

    Args:
        experiment: the finished run.
        runs: holds a folder for each run.
        channels: of its images.
        what: its part in the other run, such as "teacher".

    Raises:
        CheckpointError: the checkpoint is damaged, missing, or another experiment's.
    """
    folder = RunFolder(runs, experiment)
    if not folder.checkpoint.exists():
        raise CheckpointError(
            f"the {what}'s checkpoint {folder.checkpoint} is missing: delete {folder.row} too, and it is trained again"
        )
    network = blank_network(experiment, channels)
    try:
        with fits(folder.checkpoint):
            state = folder.state()
            network.load_state_dict(selected_weights(state))
            classifier = _classifier(experiment, selected_classifier(state)) if has_classifier(experiment) else None
    except CheckpointError as error:
        raise CheckpointError(f"{error}; as it is a finished {what}'s, delete {folder.row} too") from None
    return Trained(network, classifier, state)


def _classifier(experiment: Experiment, weights: State) -> nn.Module:
    classes, size = len(weights["bias"]), experiment.data.size
    classifier = find_task(experiment.task).head(experiment.net, size, classes, experiment.seed)
    classifier.load_state_dict(weights)
    return classifier
