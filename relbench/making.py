"""What all commands that make runs have in common: what they are told, and how they go about it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track

from relbench.console import out
from relbench.grid import Schedule, jobs_for, prepare, run_grid
from relbench.progress import Bars
from relbench.reuse import take_over
from relbench.studies import Cell


@dataclass(frozen=True)
class Call:
    """What the commands that run something are told alike."""

    seeds: tuple[int, ...]
    device: str
    results: Path
    data: Path
    jobs: int | None
    changes: Mapping[str, Any]
    dry_run: bool


def make_runs(cells: Sequence[Cell], folder: Path, call: Call, begin: Callable[[], None]) -> Schedule:
    """Make the runs that are not finished.

    Args:
        cells: with all that they build on among them.
        folder: of the study; its runs are in its folder `runs`.
        call: where data and other studies are, and how many run at once.
        begin: called once nothing can be refused any more, before any work.
    """
    runs, experiments = folder / "runs", [cell.experiment for cell in cells]
    for other, count in take_over(experiments, runs, call.results).items():
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
    """The items, with a progress bar that goes away."""
    return track(list(items), description="measuring how long runs take", console=out, transient=True)


def written(folder: Path, paths: Sequence[Path]) -> None:
    """Say which files of a report were written."""
    out.print(f"written to {folder}: {', '.join(path.name for path in paths)}")
