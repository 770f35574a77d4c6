"""Progress bars of a grid of runs, with a remaining time that is measured, not hoped.

They read from the runs' folders, whichever process makes a run.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean as mean

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from relbench.evaluation.metric_names import in_sentence
from relbench.plain_text import duration_in_words
from relbench.results.records import Row
from relbench.studies.study import PlannedRun
from relbench.trackers.tracker import Phase, Status, read

LOOK_EVERY = 0.25  # seconds between two looks into the folders of the runs that are under way
FORECAST_EVERY = 0.25  # seconds: the remaining time is found by looking at all runs, which may be thousands


@dataclass
class Pace:
    """The progress of a run, and how long it took.

    Attributes:
        label: what it is called; others with the same are as fast.
        steps: of the whole run.
        done: of them.
        company: how many runs it shares its time with, itself among them.
        resumed_at: steps of an earlier process: they tell nothing about this one's speed.
        heard: the time of its last news; None before the first.
        seconds: its share of the time from its first news to its last.
    """

    label: str
    steps: int
    done: int = 0
    company: int = 1
    resumed_at: int = 0
    heard: float | None = None
    seconds: float = 0.0

    def begin(self, company: int) -> None:
        """It is handed over, together with others or alone; perhaps once more."""
        self.company, self.resumed_at, self.heard, self.seconds = company, self.done, None, 0.0

    def advance(self, done: int, now: float) -> None:
        """Note the number of steps done."""
        if self.heard is None:
            self.heard, self.resumed_at = now, done
        self.done, self.heard, self.seconds = done, now, self.seconds + (now - self.heard) / self.company

    @property
    def seconds_per_step(self) -> float | None:
        """Measured, or None while nothing is: in a cohort its share, so that those of all runs add up."""
        measured = self.done - self.resumed_at
        return self.seconds / measured if measured else None


def remaining_seconds(paces: Sequence[Pace], jobs: int) -> float | None:
    """The seconds that the grid will go on, from the speeds seen so far.

    A run that has not begun goes at the speed of those with its label, or else of all; None while none is known.
    Several runs share the cores, but a single run is never split, nor are runs that are trained together.
    """
    speeds: dict[str, list[float]] = {}
    for pace in paces:
        if speed := pace.seconds_per_step:
            speeds.setdefault(pace.label, []).append(speed)
    if not speeds:
        return None
    by_label = {label: mean(same) for label, same in speeds.items()}
    overall = mean(speed for same in speeds.values() for speed in same)
    left = [(pace.steps - pace.done) * (pace.seconds_per_step or by_label.get(pace.label, overall)) for pace in paces]
    return max(sum(left) / jobs, *(seconds * pace.company for seconds, pace in zip(left, paces, strict=True)))


class Bars:
    """Shows a grid: a bar for each run that is under way, one for all steps, and a line for each end.

    Args:
        cells: the runs, finished ones included.
        finished: fingerprints of runs that need no work.
        jobs: how many are under way at once, where those that are trained together count once.
        console: where to show it.
    """

    def __init__(self, cells: Sequence[PlannedRun], finished: Sequence[str], jobs: int, console: Console) -> None:
        self._names = {cell.experiment.fingerprint: f"{cell.label}, seed {cell.experiment.seed}" for cell in cells}
        self._paces = {
            cell.experiment.fingerprint: Pace(cell.label, cell.experiment.training.steps)
            for cell in cells
            if cell.experiment.fingerprint not in finished
        }
        self._jobs = jobs
        self._done, self._steps = 0, sum(pace.steps for pace in self._paces.values())  # of all runs
        self._left, self._forecast_at = "", -math.inf
        self._ended: set[str] = set()
        self._lock = threading.Lock()  # steps are seen by another thread than ends
        self._under_way: dict[str, tuple[Path, float | None]] = {}  # folder, and the time of what was told there before
        self._closed = threading.Event()
        self._looking = threading.Thread(target=self._look_on, name="bars", daemon=True)
        self._tasks: dict[str, TaskID] = {}
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._total = self._progress.add_task("all steps", total=self._steps, left="")

    def __enter__(self) -> "Bars":
        """Begin to draw."""
        self._progress.start()
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing."""
        self._closed.set()
        self._looking.join()
        self._progress.stop()

    def started(self, folders: Mapping[str, Path]) -> None:
        """Look into the folders of these runs from now on; they are trained together."""
        for fingerprint, folder in folders.items():
            self._paces[fingerprint].begin(len(folders))
            self._under_way[fingerprint] = folder, _time_of(read(folder))

    def _look_on(self) -> None:
        while not self._closed.wait(LOOK_EVERY):
            self.look()

    def look(self) -> None:
        """See how far the runs are; what a process has left that was killed before is no news.

        Times are those of the machine that makes a run, whose clock may be behind.
        """
        for fingerprint, (folder, before) in list(self._under_way.items()):
            status = read(folder)
            if status and status.updated != before:
                self.show(fingerprint, status.done, status.phase, status.updated)

    def show(self, fingerprint: str, step: int, phase: Phase, now: float) -> None:
        """A number of steps is done at a time; news that comes after the run's end changes nothing."""
        with self._lock:
            if fingerprint in self._ended:
                return
            pace = self._paces[fingerprint]
            if phase != "preparing":  # a run that is handed over again knows only then from which step it goes on
                self._done += step - pace.done
                pace.advance(step, now)
            if fingerprint not in self._tasks:
                name = self._names[fingerprint]
                self._tasks[fingerprint] = self._progress.add_task(name, total=pace.steps, left="")
            doing = "" if phase == "training" else phase
            self._progress.update(self._tasks[fingerprint], completed=step, left=doing)
            self._show_total()

    def _show_total(self) -> None:
        if time.monotonic() - self._forecast_at >= FORECAST_EVERY:
            self._forecast()
        self._progress.update(self._total, completed=self._done, total=self._steps, left=self._left)

    def _forecast(self) -> None:
        """Work out the remaining time anew, where a speed is known."""
        left = remaining_seconds(list(self._paces.values()), self._jobs)
        self._left = f"about {duration_in_words(left)} left" if left else ""
        if left is not None:
            self._forecast_at = time.monotonic()

    def finished(self, fingerprint: str, row: Row) -> None:
        """A run has its row."""
        share, seconds = row.metrics[row.primary], row.train_seconds + row.evaluate_seconds
        result = Text(f"{in_sentence(row.primary)} {100 * share:.1f} %  ({seconds:.0f} s)")
        self._end(fingerprint, result, done=row.experiment.training.steps)

    def failed(self, fingerprint: str, error: str) -> None:
        """A run can't be finished."""
        self._end(fingerprint, Text.assemble(("failed", "bold red"), f": {error}"), done=self._paces[fingerprint].done)

    def tried_again(self, fingerprints: Sequence[str], why: str) -> None:
        """Runs that failed together are each tried again alone."""
        for fingerprint in fingerprints:
            self._under_way.pop(fingerprint, None)
        names = ", ".join(self._names[fingerprint] for fingerprint in fingerprints)
        self._progress.console.print(Text(f"each tried again alone: {names}: {why}"))

    def _end(self, fingerprint: str, how: Text, done: int) -> None:
        """The steps that were done; no more will be."""
        self._under_way.pop(fingerprint, None)
        with self._lock:
            self._ended.add(fingerprint)
            if fingerprint in self._tasks:
                self._progress.remove_task(self._tasks.pop(fingerprint))
            pace = self._paces[fingerprint]
            self._done += done - pace.done
            self._steps += done - pace.steps
            pace.done = pace.steps = done
            self._show_total()
        count = f"[{len(self._ended)}/{len(self._paces)}]"
        self._progress.console.print(Text(f"{count} {self._names[fingerprint]}: ").append_text(how))


def _time_of(status: Status | None) -> float | None:
    return status.updated if status else None


@contextmanager
def shown_if_slow(what: str, console: Console, after: float = 2.0) -> Iterator[Callable[[int, int], None]]:
    """Progress of a task that takes longer than some seconds, on a terminal.

    Args:
        what: is counted.
        console: where it is shown, if that is a terminal.
        after: seconds until it is shown.

    Yields:
        What is called with how many are done since the last call, and how many there are in all.
    """
    begun, bar = time.monotonic(), Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), console=console)
    task = bar.add_task(what, total=None)

    def advance(done: int, total: int) -> None:
        bar.update(task, advance=done, total=total)
        if console.is_terminal and time.monotonic() - begun > after:
            bar.start()

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()
