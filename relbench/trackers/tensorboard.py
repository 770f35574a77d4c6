"""TensorBoard: a folder of event files for each run."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

from relbench.trackers.logger import End
from relbench.trackers.tracked_run import RESULT, Scalars, TrackedRun

NUMBERS = count()  # of the files that this process has begun


class TensorBoard:
    """Event files, written and read by TensorBoard's own code, which needs no TensorFlow.

    Args:
        folder: of the tracks of a study.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tensorboard"

    def open(self, run: TrackedRun) -> "EventLog | None":
        """The run's folder, if its event files do not hold its results already."""
        folder = next(self._folder.glob(f"*-{run.fingerprint}"), self._folder / run.file_name)
        steps, names = _read(folder)
        if any(name.startswith(RESULT) for name in names):
            return None
        log = EventLog(folder, max(steps, default=0))
        if not names:
            log.describe(run)
        return log


class EventLog:
    """The event file of a run that this command writes, beside those of earlier ones.

    A step is one record, so that a command that is killed leaves a step whole, or none of it.

    Args:
        folder: of the run.
        written: the last step in earlier files.
    """

    def __init__(self, folder: Path, written: int) -> None:
        self.written = written
        name = f"events.out.tfevents.{time.time():010.0f}.{platform.node()}.{os.getpid()}.{next(NUMBERS)}"
        self._file = folder / name
        self._append([_event(0, file_version="brain.Event:2")])

    def describe(self, run: TrackedRun) -> None:
        """Tell the run's settings, which TensorBoard compares on its page of hyper-parameters, and its tags."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.plugins.text.summary_v2 import text_pb

        plain = (bool, int, float)
        settings = {name: value if isinstance(value, plain) else str(value) for name, value in run.settings.items()}
        table = ["| tag | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in run.tags.items())]
        about = hparams_pb(settings, trial_id=run.file_name), text_pb("tags", "\n".join(table))
        self._append([_event(0, summary=summary) for summary in about])

    def write(self, steps: Sequence[Scalars]) -> None:
        """Add a record for each step."""
        self._append([_scalars(step) for step in steps])
        self.written = int(steps[-1]["step"])

    def end(self, _: End, results: Mapping[str, float], /) -> None:
        """Add the results, at the last step."""
        if results:
            self._append([_scalars({"step": self.written, **results})])

    def _append(self, events: Sequence[bytes]) -> None:
        """Add records to the file, which is open for no longer: a study may have thousands of runs."""
        from tensorboard.summary.writer.record_writer import RecordWriter

        records = BytesIO()
        for event in events:
            RecordWriter(records).write(event)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab") as file:
            file.write(records.getvalue())


def _event(step: int, **content: Any) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event

    event: bytes = Event(wall_time=time.time(), step=step, **content).SerializeToString()
    return event


def _scalars(step: Scalars) -> bytes:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    parts = [scalar_pb(name, value).value[0] for name, value in step.items() if name != "step"]
    return _event(int(step["step"]), summary=Summary(value=parts))


def _read(folder: Path) -> tuple[set[int], set[str]]:
    """Steps and names of what the event files of a run hold; a record that was being written is left out."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    events = [event for file in sorted(folder.glob("*tfevents*")) for event in EventFileLoader(str(file)).Load()]
    return {event.step for event in events}, {value.tag for event in events for value in event.summary.value}
