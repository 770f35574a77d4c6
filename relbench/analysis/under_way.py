"""What runs, as far as the folders of studies tell: for whoever sees them, on whichever machine."""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from relbench.analysis.results import tuning_plan
from relbench.files import read_regular
from relbench.grid.plan import PendingRun, planned_runs, selected
from relbench.results.run_folder import RunFolder
from relbench.studies.record import FILE, read_study
from relbench.studies.study import PlannedRun
from relbench.trackers.tracked_run import Scalars, TrackedRun
from relbench.trackers.tracker import Status, read

QUIET = {"preparing": 1800.0, "training": 120.0, "validating": 1800.0, "evaluating": 1800.0}
"""Seconds without news after which a run of another machine is perhaps killed: in training, each step is news."""

JUST_NOW = 10.0  # seconds: a process of such news is there, even if this machine sees no process of its number
AHEAD = 5.0  # seconds that another machine's clock may be ahead before its times are no measure
SAME_PROCESS = 60.0  # seconds; one that began so long after its news is another of the same number


@dataclass(frozen=True)
class UnderWay:
    """A run that is under way, or was when its process was killed.

    Attributes:
        label: what it is called.
        seed: of its random numbers.
        fingerprint: the name of its folder.
        phase: what it does.
        done: training steps.
        steps: of the whole training.
        steps_per_second: None while it is not known.
        seconds_left: of the training; None while the speed is not known.
        loss: the weighted sum of the loss terms at the last entry of its history; None before the first.
        last: what is known of the last entries, by name: `loss/TERM`, `validation/METRIC`.
        machine: that makes it.
        process: its number there.
        seconds_since: its last news; None where the machine's clock is ahead of this one's.
        killed: whether it has no process any more, or probably none.
    """

    label: str
    seed: int
    fingerprint: str
    phase: str
    done: int
    steps: int
    steps_per_second: float | None
    seconds_left: float | None
    loss: float | None
    last: Scalars
    machine: str
    process: int
    seconds_since: float | None
    killed: bool


@dataclass(frozen=True)
class Failed:
    """A run that has failed.

    Attributes:
        label: what it is called.
        seed: of its random numbers.
        fingerprint: the name of its folder.
        words: the last line of what it has said.
    """

    label: str
    seed: int
    fingerprint: str
    words: str


@dataclass(frozen=True)
class StudyProgress:
    """What is known of a study's runs.

    Attributes:
        folder: of the study.
        planned: how many runs it needs, as far as this is known.
        finished: how many of them have their row.
        under_way: those that are made now, and those that were when their process was killed.
        failed: those that have failed.
        lost: how many can't begin, as what they build on has failed.
        error: why nothing can be told; "" otherwise.
    """

    folder: Path
    planned: int = 0
    finished: int = 0
    under_way: tuple[UnderWay, ...] = ()
    failed: tuple[Failed, ...] = ()
    lost: int = 0
    error: str = ""

    @property
    def waiting(self) -> int:
        """How many have not begun, or were interrupted, and can go on."""
        return self.planned - self.finished - len(self.under_way) - len(self.failed) - self.lost

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that could be made."""
        return not (self.waiting or self.under_way or self.error)


class StudyWatch:
    """Looks into a study's folder again and again.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: tuple[int, int] | None = None
        self._runs: Sequence[PlannedRun | PendingRun] = ()
        self._news: dict[str, _News] = {}

    def look(self) -> StudyProgress:
        """What is there now. What can't be read is the error of this study; others are told all the same."""
        try:
            return self._look()
        except (ValueError, OSError) as error:
            return StudyProgress(self._folder, error=str(error))

    def _look(self) -> StudyProgress:
        self._plan()
        states = {run.name: self._state(run) for run in self._runs if isinstance(run, PlannedRun)}
        failed = {name: state for name, state in states.items() if isinstance(state, Failed)}
        return StudyProgress(
            self._folder,
            planned=len(self._runs),
            finished=list(states.values()).count("finished"),
            under_way=tuple(state for state in states.values() if isinstance(state, UnderWay)),
            failed=tuple(failed.values()),
            lost=sum(states.get(name, "waiting") == "waiting" for name in _lost(self._runs, set(failed))),
        )

    def _plan(self) -> None:
        """Plan the study anew where it was asked for more, or where rates are still to be chosen."""
        file = (self._folder / FILE).stat()
        stamp = file.st_mtime_ns, file.st_size
        if stamp == self._stamp and not any(isinstance(run, PendingRun) for run in self._runs):
            return
        record = read_study(self._folder)
        tuning = tuning_plan(record, self._folder / "runs")
        self._runs = planned_runs(tuning, selected(record.study, record.contents, ()), record.seeds)
        self._stamp = stamp

    def _state(self, planned: PlannedRun) -> UnderWay | Failed | Literal["finished", "waiting"]:
        folder = RunFolder(self._folder / "runs", planned.experiment)
        if folder.row.exists():
            return "finished"
        status = read(folder.path)
        if status:
            news = self._news.setdefault(planned.name, _News(status.updated))
            return _under_way(planned, status, news.seconds_since(status.updated))
        if folder.error.exists():
            return Failed(planned.label, planned.experiment.seed, planned.name, _last_line(folder.error))
        return "waiting"


class _News:
    """When a run's news came, by this machine's clock, as far as it was seen; else by its own machine's.

    Args:
        updated: the time of the first news that is seen, by its own machine's clock.
    """

    def __init__(self, updated: float) -> None:
        self._updated, self._seen = updated, time.monotonic()
        before = time.time() - updated
        self._before = None if before < -AHEAD else max(0.0, before)

    def seconds_since(self, updated: float) -> float | None:
        """Seconds since the last news; None where only a clock that is ahead could tell."""
        now = time.monotonic()
        if updated != self._updated:
            self._updated, self._seen, self._before = updated, now, 0.0
        if self._before is None and now - self._seen < 1:
            return None
        return (self._before or 0.0) + now - self._seen  # of a clock that is ahead, at least


def _under_way(planned: PlannedRun, status: Status, since: float | None) -> UnderWay:
    run, speed = planned.experiment, status.steps_per_second
    last: dict[str, float] = {}
    for step in TrackedRun("", planned).scalars(status.history):
        last |= step
    terms = [(term.weight, last[f"loss/{term.loss}"]) for term in run.terms if f"loss/{term.loss}" in last]
    return UnderWay(
        label=planned.label,
        seed=run.seed,
        fingerprint=run.fingerprint,
        phase=status.phase,
        done=status.done,
        steps=run.training.steps,
        steps_per_second=speed,
        seconds_left=(run.training.steps - status.done) / speed if speed else None,
        loss=sum(weight * value for weight, value in terms) if terms else None,
        last=last,
        machine=status.machine,
        process=status.process,
        seconds_since=since,
        killed=_is_killed(status, since),
    )


def _is_killed(status: Status, since: float | None) -> bool:
    """Whether a run's process is gone: looked up on its own machine, and told from its silence elsewhere."""
    if since is None or since < JUST_NOW:
        return False
    if status.machine != platform.node():
        return since > QUIET[status.phase]
    try:
        return psutil.Process(status.process).create_time() > status.updated + SAME_PROCESS
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:  # it is there, but tells nothing
        return False


def _last_line(file: Path) -> str:
    """The last line of a traceback."""
    lines = read_regular(file).decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _lost(runs: Sequence[PlannedRun | PendingRun], failed: set[str]) -> set[str]:
    """Names of the runs that can't begin: they build on failed ones. What others build on stands before them."""
    lost = set[str]()
    for run in runs:
        if {needed.fingerprint for needed in run.experiment.dependencies.values()} & (failed | lost):
            lost.add(run.name)
    return lost


def study_folders(folder: Path) -> list[Path]:
    """Folders of studies: this one, or those in it and in its folders.

    Raises:
        ValueError: there is none.
    """
    found = [path.parent for pattern in (FILE, f"*/{FILE}", f"*/*/{FILE}") for path in sorted(folder.glob(pattern))]
    if not found:
        raise ValueError(
            f"{folder} holds no results (no {FILE} in it or in its folders): name what a study has written"
        )
    return found


class Watch:
    """Looks at all studies in a folder, those that come later among them.

    Args:
        folder: of a study, or of several.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._studies: dict[Path, StudyWatch] = {}

    def look(self) -> list[StudyProgress]:
        """What is there now; raises as `study_folders`."""
        for folder in study_folders(self._folder):
            self._studies.setdefault(folder, StudyWatch(folder))
        return [study.look() for study in self._studies.values()]
