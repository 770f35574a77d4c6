"""What a program for curves must do, to have runs followed."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from relbench.trackers.tracked_run import Scalars, TrackedRun

End = Literal["finished", "failed", "interrupted"]


class RunLog(Protocol):
    """A run as it stands in a program for curves; perhaps begun by an earlier command."""

    @property
    def written(self) -> int:
        """The last step that stands there; 0 where none does."""
        ...

    def write(self, steps: Sequence[Scalars]) -> None:
        """Add steps, all of them later than `written`, in order."""
        ...

    def end(self, how: End, results: Mapping[str, float], /) -> None:
        """Close it: nothing more is written by this command.

        Args:
            how: the run ended. One that is not finished may be opened again, by a later command.
            results: of a finished run, by name; they belong to its last step.
        """
        ...


class Logger(Protocol):
    """A program for curves, with a place for a study's runs."""

    def open(self, run: TrackedRun) -> RunLog | None:
        """A run's log, with what earlier commands have written of it; None where that is all, results included."""
        ...
