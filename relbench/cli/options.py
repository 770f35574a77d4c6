"""Options shared by the commands that make runs, and what these commands print while they work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track

from relbench.cli.console import out
from relbench.execution import USUAL, Execution
from relbench.grid.estimate import LONGEST


@dataclass(frozen=True)
class Until:
    """Seeds that are added until every verdict is decided.

    Attributes:
        most: seeds, at the last look.
        margin: true differences, in [0, 1], that are no larger are of no interest.
    """

    most: int
    margin: float


@dataclass(frozen=True)
class RunOptions:
    """Options that the commands which make runs share.

    Attributes:
        seeds: of the runs; None: those that the study is usually made with.
        device: "auto", "cpu" or "cuda".
        results: holds the folders of all studies.
        data: holds the data sets.
        jobs: how many runs or cohorts at once; None: as many as the cores allow.
        changes: settings that are not the study's, by key.
        dry_run: show what would be made, and make nothing.
        estimate: in a dry run, measure how long runs take.
        list_runs: in a dry run, list each run.
        data_sets: those of the study that are asked for, with commas between; None: all.
        only: patterns of the paths of runs; none: all.
        builder: what the study is built with, such as protocol and scale, where it is not the usual.
        selection: by which rule the steps of a table's cells are chosen; None: that of its trainings.
        cohort: how many runs at most are trained together; None: as many as share batches and teacher, and fit memory.
        cluster: a Ray cluster that makes the runs: "auto", "local" or its address; None: this machine does.
        cpus_per_run: processors of a node for each run or cohort; None: one for each thread.
        gpus_per_run: GPUs likewise, or a part of one; None: one where runs compute on a GPU.
        track: names of the programs for curves that follow the runs.
        execution: by how many processes each run is made, and who prepares its images.
        until: whether seeds are added until every verdict is decided, and how many at most; None: `seeds` are fixed.
    """

    seeds: tuple[int, ...] | None
    device: str
    results: Path
    data: Path
    jobs: int | None
    changes: Mapping[str, Any]
    dry_run: bool = False
    estimate: bool = False
    list_runs: bool = False
    data_sets: str | None = None
    only: tuple[str, ...] = ()
    builder: Mapping[str, str] = field(default_factory=dict)
    selection: str | None = None
    cohort: int | None = None
    cluster: str | None = None
    cpus_per_run: float | None = None
    gpus_per_run: float | None = None
    track: tuple[str, ...] = ()
    execution: Execution = USUAL
    until: Until | None = None

    @property
    def together(self) -> int | None:
        """How many runs at most are trained together: processes share one alone."""
        return self.cohort if self.execution.devices == 1 else 1


def tell(words: str) -> None:
    """Print a sentence as it is, in one line."""
    out.print(words, soft_wrap=True)


def preparing(items: Iterable[str]) -> Iterable[str]:
    """The items, with a progress bar."""
    return track(list(items), description="preparing the data set", console=out)


def measuring(items: Iterable[str]) -> Iterable[str]:
    """The items, with a progress bar that goes away; it moves when an item is ready."""
    return track(
        list(items), description=f"measuring how long runs take ({LONGEST:.0f} s at most)", console=out, transient=True
    )


def written(folder: Path, paths: Sequence[Path]) -> None:
    """Say which files of a report were written."""
    out.print(f"written to {folder}: {', '.join(path.name for path in paths)}", soft_wrap=True)
