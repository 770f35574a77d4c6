"""Runs followed from the process of the command: what they leave in their folders goes to programs for curves.

Runs know nothing of it. Whichever process or machine makes a run, its progress and its row come into its folder, and
are read there; a program for curves that fails stops nothing but itself.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from relbench.plain_text import one_line
from relbench.results.records import Row
from relbench.studies.study import PlannedRun
from relbench.trackers.logger import End, Logger, RunLog
from relbench.trackers.tracked_run import Scalars, TrackedRun, results_of
from relbench.trackers.tracker import read

AGAIN = "what is missing is written when the same command is given again"
LONGEST = 200  # characters of an error in a line
LOOK_EVERY = 1.0  # seconds between two looks into the folders of the runs that are under way
PATIENCE = 60.0  # seconds that the end of the command waits for what is still to be written
Tell = Callable[[str], None]


class Follower:
    """Follows the runs of a study for a program for curves, in a thread of its own.

    What is written already is left as it is: a step is written once, whoever has made it how often.

    Args:
        name: of the program.
        open_logger: makes its place; called in the thread.
        study: name of the study's folder.
        tell: is told in one line if the program fails.
    """

    def __init__(self, name: str, open_logger: Callable[[], Logger], study: str, tell: Tell) -> None:
        self._name, self._open_logger, self._study, self._tell = name, open_logger, study, tell
        self._runs: dict[str, TrackedRun] = {}
        self._logs: dict[str, RunLog | None] = {}  # None: all of it was written before
        self._under_way: dict[str, Path] = {}
        self._whole: set[str] = set()  # runs whose rows were told
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()  # None: no more follows
        self._thread = threading.Thread(target=self._work, name=f"follower for {name}", daemon=True)

    def __enter__(self) -> "Follower":
        """Begin to follow."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is still to be written, and close all."""
        self._queue.put(None)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self._tell(f"--track {self._name}: not all is written after {PATIENCE:.0f} s: {AGAIN}")

    def plan(self, planned: Sequence[PlannedRun], finished: Mapping[str, Row]) -> None:
        """These runs are to be followed; of those that are finished already, the whole is written."""
        self._runs |= {run.experiment.fingerprint: TrackedRun(self._study, run) for run in planned}
        for fingerprint in finished.keys() - self._whole:
            self.finished(fingerprint, finished[fingerprint])

    def started(self, folders: Mapping[str, Path]) -> None:
        """Look into these folders from now on."""
        self._queue.put(partial(self._under_way.update, folders))

    def finished(self, fingerprint: str, row: Row) -> None:
        """A run has its row, with the whole history."""
        self._whole.add(fingerprint)
        self._queue.put(partial(self._finish, fingerprint, row))

    def failed(self, fingerprint: str, error: str) -> None:  # noqa: ARG002 - all watchers are told alike
        """A run can't be finished."""
        self._queue.put(partial(self._end, fingerprint, "failed"))

    def tried_again(self, fingerprints: Sequence[str], why: str) -> None:
        """They are handed over again, and go on from what is written of them."""

    def _work(self) -> None:
        try:
            self._logger = self._open_logger()
            while todo := self._next():
                todo()
            self._look()
            for fingerprint in list(self._logs):
                self._end(fingerprint, "interrupted")
        except Exception as error:  # noqa: BLE001 - libraries raise anything, and the runs must go on
            said = one_line(str(error))[:LONGEST] or type(error).__name__
            self._tell(f"--track {self._name} has stopped, the runs go on ({said}): {AGAIN}")

    def _next(self) -> Callable[[], None] | None:
        try:
            return self._queue.get(timeout=LOOK_EVERY)
        except Empty:
            return self._look

    def _look(self) -> None:
        """Write what the runs have told since the last look."""
        for fingerprint, folder in self._under_way.items():
            status = read(folder)
            if status and status.history:
                self._write(fingerprint, self._runs[fingerprint].settled(status))

    def _finish(self, fingerprint: str, row: Row) -> None:
        self._write(fingerprint, self._runs[fingerprint].scalars(row.history))
        self._end(fingerprint, "finished", results_of(row))

    def _write(self, fingerprint: str, steps: Sequence[Scalars]) -> None:
        """Write those of the steps that do not stand there yet."""
        if fingerprint not in self._logs:
            self._logs[fingerprint] = self._logger.open(self._runs[fingerprint])
        log = self._logs[fingerprint]
        later = [step for step in steps if step["step"] > log.written] if log else []
        if log and later:
            log.write(later)

    def _end(self, fingerprint: str, how: End, results: Mapping[str, float] | None = None) -> None:
        self._under_way.pop(fingerprint, None)
        log = self._logs.pop(fingerprint, None)
        if log:
            log.end(how, results or {})
