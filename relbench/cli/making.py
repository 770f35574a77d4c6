"""What all commands that make runs have in common: what they are told, and how they go about it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track

from relbench.cli.console import out
from relbench.grid.estimate import LONGEST
from relbench.grid.scheduler import Schedule, jobs_for, prepare, run_grid
from relbench.results.reuse import link_finished
from relbench.studies import Cell
from relbench.trackers.bars import Bars

FLOORS = "measuring the floors: raw pixels, untrained network"


@dataclass(frozen=True)
class RunOptions:
    """Options that the commands which make runs share.

    Attributes:
        seeds: of the runs.
        device: "auto", "cpu" or "cuda".
        results: holds the folders of all studies.
        data: holds the data sets.
        jobs: how many runs at once; None: as many as the cores allow.
        changes: settings that are not the study's, by key.
        dry_run: show what would be made, and make nothing.
        estimate: in a dry run, measure how long runs take.
        list_runs: in a dry run, list each run.
    """

    seeds: tuple[int, ...]
    device: str
    results: Path
    data: Path
    jobs: int | None
    changes: Mapping[str, Any]
    dry_run: bool
    estimate: bool = False
    list_runs: bool = False


def make_runs(cells: Sequence[Cell], folder: Path, call: RunOptions, begin: Callable[[], None]) -> Schedule:
    """Make the runs that are not finished.

    Args:
        cells: with all that they build on among them.
        folder: of the study; its runs are in its folder `runs`.
        call: where data and other studies are, and how many run at once.
        begin: called once nothing can be refused any more, before any work.
    """
    runs, experiments = folder / "runs", [cell.experiment for cell in cells]
    for other, count in link_finished(experiments, runs, call.results).items():
        out.print(f"{count} finished runs are taken over from {other}")
    schedule = prepare(experiments, runs, call.data, preparing, tell)
    finished, waiting = list(schedule.rows), list(schedule.waiting.values())
    out.print(f"{len(finished)} of {len(finished) + len(waiting)} runs are finished already")
    begin()
    if waiting:
        jobs = call.jobs or jobs_for(waiting)
        with Bars(cells, finished, jobs, out) as bars:
            run_grid(schedule, runs, call.data, jobs, bars)
    return schedule


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
