"""A run's progress: told to a tracker, which keeps it in a small file of the run's folder.

Whoever shows it reads the file: the terminal that has started the run, in whichever process it is made, another
terminal, or the head of a cluster with the same file system. The file goes when the run ends, as the row then holds the
same history; one that a killed run leaves is written over by the next attempt.
"""

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from relbench.files import atomic_write, read_regular

Phase = Literal["preparing", "training", "validating", "evaluating"]
FILE = "progress.json"
EVERY = 0.5  # seconds between two writes, but for those that begin a phase


class Tracker(Protocol):
    """Is told what a run does, as it does it."""

    def begin(self, phase: Phase) -> None:
        """The run turns to something else."""
        ...

    def step(self, done: int) -> None:
        """A number of training steps is done; told after each, and once before the first."""
        ...

    def log(self, entry: Mapping[str, float]) -> None:
        """An entry of the history: the step, and means of loss terms since the last entry, or metrics."""
        ...


class Silent:
    """Keeps nothing."""

    def begin(self, phase: Phase) -> None:
        """Nothing follows."""

    def step(self, done: int) -> None:
        """Nothing follows."""

    def log(self, entry: Mapping[str, float]) -> None:
        """Nothing follows."""


class Status(BaseModel):
    """The progress of a run.

    Attributes:
        phase: what it does.
        done: training steps, those of earlier processes included.
        history: losses and metrics from the first step on, those of earlier processes included.
        began: when this process began the run, in seconds since 1970.
        resumed_at: training steps that earlier processes have done.
        trained_since: when this process has begun to train, in seconds since 1970; None before.
        updated: when this was written, likewise.
        process: number of the process.
        machine: its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: Phase
    done: int
    history: tuple[dict[str, float], ...]
    began: float
    resumed_at: int = 0
    trained_since: float | None = None
    updated: float
    process: int
    machine: str

    @property
    def steps_per_second(self) -> float | None:
        """The speed of this process, validations included, by its own machine's clock; None before the first step."""
        if self.trained_since is None or self.done <= self.resumed_at or self.updated <= self.trained_since:
            return None
        return (self.done - self.resumed_at) / (self.updated - self.trained_since)


class FolderTracker:
    """Keeps a run's progress in its folder.

    Args:
        folder: of the run.

    Raises:
        OSError: nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._phase: Phase = "preparing"
        self._done, self._history = 0, list[dict[str, float]]()
        self._began, self._written = time.time(), 0.0
        self._resumed_at = 0
        self._trained_since: float | None = None
        self._write()

    def begin(self, phase: Phase) -> None:
        """Write it down: what the run turns to may take long."""
        self._phase = phase
        if phase == "training" and self._trained_since is None:
            self._resumed_at, self._trained_since = self._done, time.time()
        self._write()

    def step(self, done: int) -> None:
        """Write it down if the last time was long enough ago."""
        self._done = done
        if time.monotonic() - self._written >= EVERY:
            self._write()

    def log(self, entry: Mapping[str, float]) -> None:
        """Keep the entry for the next time."""
        self._history.append(dict(entry))

    def clear(self) -> None:
        """The run has ended, in whichever way."""
        clear(self._path.parent)

    def _write(self) -> None:
        status = Status(
            phase=self._phase,
            done=self._done,
            history=tuple(self._history),
            began=self._began,
            resumed_at=self._resumed_at,
            trained_since=self._trained_since,
            updated=time.time(),
            process=os.getpid(),
            machine=platform.node(),
        )
        with atomic_write(self._path, durable=False) as temporary:  # a power cut may take it: the run is gone, too
            temporary.write_text(status.model_dump_json(), encoding="utf-8")
        self._written = time.monotonic()


def clear(folder: Path) -> None:
    """Delete a run's progress: its process has ended, by itself or not."""
    (folder / FILE).unlink(missing_ok=True)


def read(folder: Path) -> Status | None:
    """The progress of a run.

    Args:
        folder: of the run.

    Returns:
        What was last written; None where no process has begun the run, or it has ended. Of a process that was killed
        the last words stay: `updated` then is long ago.
    """
    try:
        return Status.model_validate_json(read_regular(folder / FILE))
    except (FileNotFoundError, NotADirectoryError, ValidationError):  # the last: a power cut has emptied it
        return None
