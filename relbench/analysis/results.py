"""Finished results of a study, found in its folder by the names of its runs, so that no other row can get in."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from relbench.analysis.floors import FloorSettings, MeasuredFloor, finished_floor, floors_of
from relbench.counts import Counts
from relbench.experiment import TaskSettings
from relbench.grid.plan import names_of, planned_transfers
from relbench.grid.tuning import Choice, TuningPlan
from relbench.results.records import Row, Selection
from relbench.results.run_folder import Rows
from relbench.studies.record import StudyRecord
from relbench.studies.study import Cell
from relbench.transfer import Transfer, finished_transfer

Measured = tuple[int, Mapping[str, float]]  # step, metrics
FloorsOf = tuple[str, TaskSettings]  # name of a data set, and a task of the networks that are measured on it


@dataclass(frozen=True)
class Results:
    """The finished results of a study.

    Attributes:
        rows: by path and seed.
        transfers: by a cell's key and seed, where it is measured on another data set than the network's.
        choices: learning rates that were chosen, by the path of the run that they were chosen with.
        unrelated_runs: how many finished runs of the folder are not the study's.
        floors: what is reached without training, by the name of the data set that it was measured on, and the task.
    """

    rows: Mapping[tuple[str, int], Row]
    transfers: Mapping[tuple[str, int], Transfer] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    unrelated_runs: int = 0
    floors: Mapping[FloorsOf, tuple[MeasuredFloor, ...]] = field(default_factory=dict)

    def metrics_at(self, cell: Cell, seed: int, rule: Selection) -> Measured | None:
        """The step and the metrics for a cell, under a rule of selection; None where there are none."""
        if cell.on:
            found = self.transfers.get((cell.key, seed)) if rule == "last" else None
            trained = found.asked.experiment if found else None
            return (trained.training.steps if trained else 0, found.metrics) if found else None
        row = self.rows.get((cell.run, seed))
        return row.metrics_at(rule) if row else None

    def counts_at(self, cell: Cell, seed: int, rule: Selection) -> Counts | None:
        """The counts of a cell's metric; None where there are none, or none for this rule."""
        if cell.on:
            found = self.transfers.get((cell.key, seed)) if rule == "last" else None
            return found.all_counts.get(cell.metric) if found else None
        row = self.rows.get((cell.run, seed))
        return row.counts_at(rule, cell.metric) if row else None


def tuning_plan(record: StudyRecord, runs: Path) -> TuningPlan:
    """The tuning plan of a study, from the finished runs in a folder."""
    return TuningPlan(record.pinned, Rows(runs).finished, record.diverged)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for cycles, which would walk through all rows read so far again and again."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@_uncollected()
def read_results(record: StudyRecord, folder: Path) -> Results:
    """The finished results in a study's folder.

    Raises:
        ValueError: a row is damaged, was built on other weights than those that are there, or is of other images.
    """
    runs, tuning, paths = folder / "runs", tuning_plan(record, folder / "runs"), record.paths
    asked = {(path, seed): tuning.run(path, seed) for seed in record.seeds for path in paths}
    known = Rows(runs)
    found = {place: known.finished(run) for place, run in asked.items() if run}
    rows = {place: row for place, row in found.items() if row}
    measured = planned_transfers(tuning, record.contents, record.other_contents, record.seeds).items()
    transfers = {place: transfer for place, spec in measured if (transfer := finished_transfer(spec, folder))}
    chose = [row for run in tuning.tuning_runs(paths) if (row := known.finished(run))]
    floors = _finished_floors(record, folder)
    _refuse_other_images([*rows.values(), *chose], list(transfers.values()), list(chain(*floors.values())))
    own = names_of(tuning, paths, record.seeds)
    unrelated = [path for path in runs.glob("*/row.json") if path.parent.name not in own]
    return Results(rows, transfers, tuning.choices, len(unrelated), floors)


def floors_asked(record: StudyRecord) -> dict[FloorsOf, tuple[FloorSettings, ...]]:
    """The floors of each data set that networks are measured on, and of each of their tasks there.

    Untrained is the first student's network of the data set and task, or else of the task.
    """
    study = record.pinned
    runs = list(study.runs.values())
    students = [run for run in runs if run.teacher] or runs
    nets = {run.task: run.net for run in reversed([*students, *runs])}
    nets_there = {(run.data.name, run.task): run.net for run in reversed(students)}
    asked = dict.fromkeys((run.data.name, run.task) for run in students)
    asked |= dict.fromkeys((cell.on, study.runs[cell.run].task) for cell in study.cells if cell.on)
    tasks = {name: [task for where, task in asked if where == name] or [students[0].task] for name in record.data}
    return {
        (name, task): floors_of(record.data[name], nets_there.get((name, task), nets[task]), record.seeds, task)
        for name in record.data
        for task in tasks[name]
    }


def _finished_floors(record: StudyRecord, folder: Path) -> dict[FloorsOf, tuple[MeasuredFloor, ...]]:
    """Those of which all seeds are measured."""
    found = {what: [finished_floor(floor, folder) for floor in floors] for what, floors in floors_asked(record).items()}
    return {what: tuple(floor for floor in floors if floor) for what, floors in found.items() if all(floors)}


def _refuse_other_images(rows: Sequence[Row], transfers: Sequence[Transfer], floors: Sequence[MeasuredFloor]) -> None:
    """What is of one selection of a data set must be of the same images; fingerprints know the lists, not the files."""
    first: dict[object, tuple[str, str]] = {}
    told = [(f"the run {row.fingerprint}", row.experiment.data, row.data_hash) for row in rows]
    told += [
        (f"the transfer {transfer.fingerprint}", transfer.asked.data, transfer.data_hash) for transfer in transfers
    ]
    told += [(f"the floor {floor.fingerprint}", floor.settings.data, floor.data_hash) for floor in floors]
    for here, data, images in told:
        there, expected = first.setdefault(data.images_in_use, (here, images))
        if images != expected:
            raise ValueError(f"{here} was made with other images of {data.name} than {there}: delete the wrong one")
