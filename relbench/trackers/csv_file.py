"""CSV files: one of each run's curves, one of its settings."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from relbench.files import atomic_write
from relbench.trackers.logger import End
from relbench.trackers.tracked_run import RESULT, Scalars, TrackedRun


class CsvFiles:
    """Files in a folder, which are replaced as a whole: they are short, and later steps may have new columns.

    Args:
        folder: of the tracks of a study.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "csv"

    def open(self, run: TrackedRun) -> "CsvLog | None":
        """The run's file, if it does not hold its results already."""
        found = next(self._folder.glob(f"*-{run.fingerprint}.csv"), None)
        log = CsvLog(found or self._folder / f"{run.file_name}.csv", _read(found) if found else [])
        if any(name.startswith(RESULT) for name in log.columns):
            return None
        settings = pd.Series(run.tags | run.settings, name="value", dtype=object)
        _write(settings.rename_axis("setting").reset_index(), log.path.with_suffix(".settings.csv"))
        return log


class CsvLog:
    """A run's file of curves: a line for each step, the results in the last.

    Args:
        path: of the file.
        steps: that are in it already.
    """

    def __init__(self, path: Path, steps: Sequence[Scalars]) -> None:
        self.path, self._steps = path, [dict(step) for step in steps]

    @property
    def columns(self) -> list[str]:
        """Names of all that is in it, in the order of their first step."""
        return list(dict.fromkeys(name for step in self._steps for name in step))

    @property
    def written(self) -> int:
        """The last step."""
        return int(self._steps[-1]["step"]) if self._steps else 0

    def write(self, steps: Sequence[Scalars]) -> None:
        """Add the lines."""
        self._steps += [dict(step) for step in steps]
        self._save()

    def end(self, _: End, results: Mapping[str, float], /) -> None:
        """Add the results to the last line."""
        if results:
            self._steps[-1] |= results
            self._save()

    def _save(self) -> None:
        _write(pd.DataFrame(self._steps, columns=self.columns).astype({"step": int}), self.path)


def _read(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in line.items() if value} for line in csv.DictReader(file)]


def _write(table: pd.DataFrame, path: Path) -> None:
    with atomic_write(path, durable=False) as temporary:
        table.to_csv(temporary, index=False)
