"""A finished run, found by its folder: what is exported."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from relbench.experiment import Experiment
from relbench.models import Embedder
from relbench.results.records import Row, read_row
from relbench.results.run_folder import RunFolder, load_trained
from relbench.studies.record import FILE
from relbench.tasks import find_task

RUNS = "runs"  # in a study's folder
EXAMPLE = "results/quickstart/runs/0123456789abcdef"


@dataclass(frozen=True)
class FinishedRun:
    """A finished run.

    Attributes:
        folder: of the run.
        row: its results.
        study: the folder of the study that it was made for; None where the run lies alone.
    """

    folder: RunFolder
    row: Row
    study: Path | None

    @property
    def experiment(self) -> Experiment:
        """Its settings."""
        return self.folder.experiment


@dataclass(frozen=True)
class TrainedNetwork:
    """The network of a finished run at its selected step.

    Attributes:
        embedder: from images to embeddings.
        head: from embeddings to logits, where the run's task measures networks with it; else None.
    """

    embedder: Embedder
    head: nn.Module | None


def find_run(path: Path) -> FinishedRun:
    """A finished run by its folder.

    Raises:
        ValueError: the folder is no run's, the run is not finished or has failed, or its row is damaged; one line.
    """
    path = path.resolve()
    _refuse_no_run(path)
    if not (path / "row.json").exists():
        raise ValueError(f"the run {path} {_why_unfinished(path)}")
    folder = RunFolder(path.parent, read_row(path / "row.json", path.name).experiment)
    row = folder.finished()
    assert row  # its file exists
    study = path.parent.parent
    return FinishedRun(folder, row, study if path.parent.name == RUNS and (study / FILE).is_file() else None)


def _refuse_no_run(path: Path) -> None:
    if not path.is_dir():
        what = "is no folder" if path.exists() else "is not there"
        raise ValueError(f"{path} {what}: name the folder of a finished run, such as {EXAMPLE}")
    inside = path if path.name == RUNS else path / RUNS
    runs = sorted(row.parent for row in inside.glob("*/row.json"))
    if runs:
        raise ValueError(f"{path} holds {len(runs)} finished runs: name one of them, such as {runs[0]}")


def _why_unfinished(path: Path) -> str:
    """What is known of a run without a row, and what to do."""
    if (path / "error.txt").is_file():
        last = (path / "error.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return f"has failed ({' '.join(last)[:200]}): mend that, and run its study again"
    if (path / "checkpoint.pt").exists() or (path / "progress.json").exists():
        return "is not finished: run its study again, which goes on from here"
    return f"is not finished or no run's folder (row.json is not there): name a finished run, such as {EXAMPLE}"


def trained_network(run: FinishedRun, channels: int) -> TrainedNetwork:
    """The network of a run, with its weights checked against the row.

    Args:
        run: finished.
        channels: of its images.

    Raises:
        CheckpointError: the checkpoint is gone, damaged, or not the row's.
    """
    trained = load_trained(run.experiment, run.folder.runs, channels, "network")
    head = trained.classifier if find_task(run.experiment.task).has_head else None
    return TrainedNetwork(trained.network.eval(), head.eval() if head else None)
