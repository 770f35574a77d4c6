"""What a run keeps in its folder, and how another run reads it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from relbench.evaluation import Stored, read_embeddings
from relbench.experiment import Experiment
from relbench.losses import find_loss
from relbench.models import Embedder, build_embedder
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

_OTHERS = "does not hold the {} that gave {}, as it has another hash than the row says"


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

    @property
    def error(self) -> Path:
        """The traceback of the last attempt, if it failed."""
        return self.path / "error.txt"

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """All that a finished run has, the row last."""
        return self.checkpoint, self.embeddings, self.row

    def finished(self) -> Row | None:
        """The row, if the run is finished.

        Raises:
            ValueError: the row is damaged, another experiment's, or of a run that was built on other weights than those
                that its teacher or first stage has now.
        """
        row = self.read()
        if row:
            refuse_other_dependencies({row.fingerprint: row} | self.dependencies())
        return row

    def dependencies(self) -> dict[str, Row]:
        """Rows of the finished runs that this one builds on, by fingerprint.

        Raises:
            ValueError: a row is damaged or another experiment's.
        """
        rows = [RunFolder(self.runs, one).read() for one in self.experiment.dependencies.values()]
        return {row.fingerprint: row for row in rows if row}

    def read(self) -> Row | None:
        """The row, if there is one, whatever the run was built on.

        Raises:
            ValueError: the row is damaged or another experiment's.
        """
        return read_row(self.row, self.experiment.fingerprint) if self.row.exists() else None

    def state(self) -> State:
        """The training's last state, of the run itself; a finished one's weights are those of its row.

        Raises:
            CheckpointError: the checkpoint is damaged, another experiment's, or not the one that gave the row.
            ValueError: the row is damaged.
        """
        one = self.experiment
        state = load_checkpoint(self.checkpoint, one.fingerprint, one.training.steps, find_task(one.task).primary)
        row = self.finished()
        if row and row.weights_hash and row.weights_hash != weights_hash(state):
            raise CheckpointError(f"{self.checkpoint} {_OTHERS.format('weights', self.row)}: put back the right one")
        return state

    def stored(self) -> Stored:
        """The embeddings of a finished run; they are those of its row.

        Raises:
            ValueError: the embeddings are gone, damaged, or not those that gave the row; or the row is damaged.
        """
        stored = read_embeddings(self.embeddings)
        row = self.finished()
        if row and row.embeddings_hash and row.embeddings_hash != stored.hash:
            raise ValueError(f"{self.embeddings} {_OTHERS.format('embeddings', self.row)}: put back the right ones")
        return stored


def unverified(experiments: Iterable[Experiment], runs: Path) -> str:
    """Says of which finished runs, that others build on, the weights can't be verified; "" if there is none.

    Args:
        experiments: the others.
        runs: holds a folder for each run.
    """
    rows = [row for one in experiments for row in RunFolder(runs, one).dependencies().values() if not row.weights_hash]
    names = sorted({row.fingerprint for row in rows})
    if not names:
        return ""
    return (
        f"the weights of {', '.join(names)}, which others build on, can't be verified: their rows are older than the "
        "hashes of weights; delete their folders to run them again"
    )


@dataclass(frozen=True)
class Trained:
    """A finished run's network, at the step that counts."""

    network: Embedder
    classifier: nn.Module | None  # from embeddings to logits, where one was trained along
    state: State  # the training's last


def has_classifier(experiment: Experiment) -> bool:
    """Whether a classifier is trained along with the network: for its task, or for a loss that takes logits."""
    required = (find_loss(term.loss, term.source).requires for term in experiment.terms)
    return find_task(experiment.task).has_head or any("classifier" in names for names in required)


def load_trained(experiment: Experiment, runs: Path, channels: int, what: str) -> Trained:
    """What another run needs of a finished one.

    Args:
        experiment: the finished run.
        runs: holds a folder for each run.
        channels: of its images.
        what: it is to the other one, such as "teacher".

    Raises:
        CheckpointError: the checkpoint is damaged, gone, or another experiment's.
    """
    folder = RunFolder(runs, experiment)
    if not folder.checkpoint.exists():
        raise CheckpointError(
            f"the {what}'s checkpoint {folder.checkpoint} is gone: delete {folder.row} too, and it is trained again"
        )
    network = build_embedder(experiment.net, channels, experiment.seed)
    try:
        with fits(folder.checkpoint):
            state = folder.state()
            network.load_state_dict(selected_weights(state))
            classifier = _classifier(experiment, selected_classifier(state)) if has_classifier(experiment) else None
    except CheckpointError as error:
        raise CheckpointError(f"{error}; as it is a finished {what}'s, delete {folder.row} too") from None
    return Trained(network, classifier, state)


def _classifier(experiment: Experiment, weights: State) -> nn.Module:
    classifier = find_task(experiment.task).head(experiment.net, len(weights["bias"]), experiment.seed)
    classifier.load_state_dict(weights)
    return classifier
