"""The work of `relbench reproduce`, `compare` and `report`, for every study."""

import gc
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from relbench.analysis.floors import measure_floors
from relbench.analysis.query_examples import with_examples
from relbench.analysis.results import floors_asked, read_results, tuning_plan
from relbench.analysis.summarise import check_rule, summarise
from relbench.cli.console import out
from relbench.cli.dry_run import show_plan
from relbench.cli.executors import (
    check_cluster_options,
    check_devices,
    cluster_of,
    execution_beside,
    executor_of,
    measured_here,
    room_for,
    tell_alone,
    tell_of_cluster,
)
from relbench.cli.following import followers_of
from relbench.cli.job import Job, data_sets_of, folder_of, is_finished, joined, record_of
from relbench.cli.options import RunOptions, preparing, tell, written
from relbench.cli.until_decided import is_decided, looked
from relbench.files import refuse_links
from relbench.grid.order import Limits
from relbench.grid.plan import PendingRun
from relbench.grid.scheduler import Schedule, Watchers, locked, prepare, run_grid
from relbench.lookup import lookup
from relbench.plain_text import counted
from relbench.report import console_report, write_report
from relbench.resolve import resolve_device
from relbench.results.records import Selection, write_record
from relbench.results.reuse import link_finished
from relbench.studies.changes import with_values
from relbench.studies.extend import find_added_loss, try_own_losses, with_added_losses
from relbench.studies.files import find_study
from relbench.studies.record import FILE, StudyRecord, read_study
from relbench.studies.study import PlannedRun, Study
from relbench.trackers.bars import Bars
from relbench.trackers.follower import Follower
from relbench.transfer import check_transfers, finished_transfer, transfer

SELECTIONS: tuple[Selection, ...] = ("last", "validation", "test")
FLOORS = "measuring the floors: raw pixels, untrained network"


def reproduced(name: str, options: RunOptions) -> bool:
    """Make a study's runs that are not finished, and its report; tells whether a run failed.

    Raises:
        ValueError: what is asked for can't be; one line.
    """
    return made(find_study(name, options.builder, options.data), options)


def made(study: Study, options: RunOptions) -> bool:
    """The same of a study that was built already, which may have losses from files."""
    try_own_losses(with_values(study, options.changes))
    return _make(study, options, {})


def compared(name: str, losses: Sequence[str], options: RunOptions, *, weight: float, alone: bool) -> bool:
    """Train losses beside those of a study, and report; tells whether a run failed.

    Args:
        name: of the study, or of its file.
        losses: by name, or as FILE.py:NAME, which is executed.
        options: what all commands that make runs are told.
        weight: of the losses beside the task loss.
        alone: whether they are trained without the task loss.

    Raises:
        ValueError: what is asked for can't be; one line.
    """
    found = find_study(name, options.builder, options.data)
    study = with_added_losses(found, [find_added_loss(spec, weight) for spec in losses], alone=alone)
    try_own_losses(with_values(study, options.changes))
    return _make(study, options, ({"weight": weight} if weight != 1 else {}) | ({"alone": True} if alone else {}))


def reported(folder: Path, data: Path, selection: str | None) -> None:
    """Make a report anew from the rows that are in a results folder.

    Args:
        folder: that `reproduced` or `compared` has written.
        data: holds the data sets, whose test images the page shows.
        selection: by which rule the steps of a table's cells are chosen.

    Raises:
        ValueError: the folder holds no results, or damaged ones.
    """
    refuse_links(folder)
    record = read_study(folder)
    _report(record, folder, data, _rules(record.study, selection))  # runs may go on: rows are whole or not there


def _rules(study: Study, selection: str | None) -> tuple[Selection, ...]:
    """The rules of selection that are to be shown."""
    own = study.selection
    if selection is None:
        return (own,)
    name = {"val": "validation"}.get(selection, selection)
    lookup(name, (*SELECTIONS, "val", "all"), "selection")
    if not study.cells:
        raise ValueError(
            f"--selection {selection}: {study.name} compares its runs class by class, which is recorded of one step "
            "only: leave it out, or choose that step with --set training.selection=validation"
        )
    if name == "all":
        return (own, *(rule for rule in SELECTIONS if rule != own))
    return tuple(rule for rule in SELECTIONS if rule == name)


def _make(study: Study, options: RunOptions, added: Mapping[str, Any]) -> bool:
    """Plan, run, measure, report; tells whether something failed.

    Args:
        study: what to make, as it was built.
        options: what is asked of it.
        added: what its folder is named by, beside the study and its changes.
    """
    check_cluster_options(options)
    shown = _rules(study, options.selection)
    data_sets = data_sets_of(study, options.data_sets)
    record, paths = record_of(study, data_sets, options)
    check_rule(record, shown)
    folder = folder_of(record, options, added)
    job = Job(joined(record, folder), paths, folder, options, record.other_contents)
    planned = job.planned()  # refuses impossible settings
    check_devices([run.experiment for run in planned], options)
    if options.dry_run:
        _show_plans(job)
        tell_of_cluster(options)
        _tell_transfers(job)
        return False
    with locked(folder):
        job = replace(job, record=joined(record, folder, tells=True))
        check_transfers(measured_here(job.transfers(), options), folder, options.data, preparing)
        tell_alone(options)
        with cluster_of(options), followers_of(options, folder) as followers:
            job, failed = (_run_looks if job.record.until_decided else _run)(job, followers)
        not_measured = _measure_elsewhere(job)
        _measure_floors(job)
        if study.cells or _is_taught(job):
            _report(job.record, folder, options.data, shown)
    return failed or not_measured


def _show_plans(job: Job) -> None:
    """What is to be made; of seeds that are added until all is decided, the least and the most, if it is not yet."""
    rule = job.record.until_decided
    if rule is None:
        show_plan(job.planned(), job.folder, job.options)
        return
    ends = {"at least": rule.made, "at most": len(rule.looks)}
    if is_decided(job.record, job.folder):
        ends = {"no more than": rule.made - 1}
    for words, made in ends.items():
        then = job.record.model_copy(update={"until_decided": rule.model_copy(update={"made": made})})
        asked = replace(job, record=then)
        tell(f"{words} {counted(len(asked.seeds), 'seed')}:")
        show_plan(asked.planned(), job.folder, job.options)


def _run_looks(job: Job, followers: Sequence[Follower]) -> tuple[Job, bool]:
    """Make the runs of look after look until every verdict is decided; a look with a failed run is not made."""
    failed = False
    while not is_decided(job.record, job.folder):
        job = replace(job, record=job.record.model_copy(update={"seeds": job.seeds}))
        job, lost = _run(job, followers)
        if _measure_elsewhere(job) or (lost and not _is_whole(job)):
            tell(f"the look at {counted(len(job.seeds), 'seed')} is not made: it needs all of their runs")
            return job, True
        failed |= lost
        job = replace(job, record=looked(job.record))
        write_record(job.record, job.folder / FILE)
    rule = job.record.until_decided
    seen = rule.seeds_seen if rule else job.record.seeds
    return replace(job, record=job.record.model_copy(update={"seeds": seen})), failed


def _is_whole(job: Job) -> bool:
    """Whether all runs are finished but for rates that failed, which are no candidates any more."""
    return all(isinstance(run, PlannedRun) and is_finished(run.experiment, job.folder) for run in job.planned())


def _run(job: Job, followers: Sequence[Follower]) -> tuple[Job, bool]:
    """Make what can be made, until nothing more is known that is not finished; returns whether a run failed, too."""
    failed: dict[str, str] = {}
    while True:
        planned = job.planned()
        runs = _without_failed([run for run in planned if isinstance(run, PlannedRun)], failed)
        finished = all(is_finished(run.experiment, job.folder) for run in runs)
        schedule = _make_runs(runs, job, followers)
        failed |= schedule.failures
        job = _with_diverged(job, {run.name for run in runs if run.role == "tuning"} & schedule.diverged)
        if finished or not any(isinstance(run, PendingRun) for run in planned):
            return job, bool(failed)


def _make_runs(planned: Sequence[PlannedRun], job: Job, followers: Sequence[Follower]) -> Schedule:
    """Make the runs that are not finished; the record is written once nothing can be refused any more."""
    runs, experiments = job.folder / "runs", [run.experiment for run in planned]
    for other, count in link_finished(experiments, runs, job.options.results).items():
        out.print(f"{count} finished runs are taken over from {other}")
    schedule = prepare(
        experiments, runs, job.options.data, preparing, tell, job.options.results, elsewhere=bool(job.options.cluster)
    )
    finished, waiting = list(schedule.rows), list(schedule.waiting.values())
    out.print(f"{len(finished)} of {len(finished) + len(waiting)} runs are finished already")
    write_record(job.record, job.folder / FILE)
    for follower in followers:
        follower.plan(planned, schedule.rows)
    if waiting:
        executor = executor_of(waiting, runs, job.options)
        execution = execution_beside(executor.slots, waiting, job.options)
        limits = Limits(executor.slots, job.options.together, room_for(waiting, executor, job.options).fits)
        with Bars(planned, finished, executor.slots, out) as bars, executor:
            watcher = Watchers((bars, *followers))
            run_grid(executor, schedule, runs, job.options.data, watcher, limits, execution)
    return schedule


def _without_failed(planned: Sequence[PlannedRun], failed: Mapping[str, str]) -> list[PlannedRun]:
    """Runs that did not fail, and build on none that did."""
    lost = set(failed)
    for run in planned:  # what others build on stands before them
        if lost & {needed.fingerprint for needed in run.experiment.dependencies.values()}:
            lost.add(run.name)
    return [run for run in planned if run.name not in lost]


def _with_diverged(job: Job, diverged: Collection[str]) -> Job:
    """From now on these are no candidates any more; a failure for other reasons may be mended."""
    known = tuple(sorted({*job.record.diverged, *diverged}))
    record = job.record.model_copy(update={"diverged": known})
    if diverged:
        write_record(record, job.folder / FILE)
    return replace(job, record=record)


def _is_taught(job: Job) -> bool:
    """Whether a teacher is finished: a table of lines compares with it."""
    tuning = tuning_plan(job.record, job.folder / "runs")
    teachers = [path for path, run in job.record.study.items if run.role == "teacher"]
    return any(is_finished(tuning.run(path, seed), job.folder) for path in teachers for seed in job.record.seeds)


def _measure_elsewhere(job: Job) -> bool:
    """Measure finished networks on the other data sets that are there; returns whether that failed."""
    failed = False
    ready = [spec for spec in job.transfers() if not spec.experiment or is_finished(spec.experiment, job.folder)]
    wanting = [spec for spec in ready if not finished_transfer(spec, job.folder)]
    waiting = measured_here(wanting, job.options)
    if left := len(wanting) - len(waiting):
        tell(f"{counted(left, 'measurement')} on other data sets left: run the command again on a machine with a GPU")
    for spec in track(waiting, description="measuring on other data sets", console=out) if waiting else ():
        try:
            transfer(spec, job.folder, job.options.data)
        except (ValueError, OSError) as error:  # the table is made without it
            tell(f"failed on {spec.data.name}: {error}")
            failed = True
    return failed


def _measure_floors(job: Job) -> None:
    """What is reached without training, on the data sets that are there; the table is made without the others."""
    device = "cuda" if torch.cuda.is_available() and resolve_device(job.options.device) == "cuda" else "cpu"
    for (name, _), asked in floors_asked(job.record).items():
        try:
            with out.status(FLOORS):
                measure_floors(asked, job.folder, job.options.data, device, preparing)
        except (ValueError, OSError) as error:
            tell(f"floors of {name} are not shown: {error}")


def _report(record: StudyRecord, folder: Path, data: Path, shown: Sequence[Selection]) -> None:
    results = read_results(record, folder)
    gc.freeze()  # rows stay to the end: Python need not walk through them whenever it looks for cycles
    summary = summarise(record, results, shown)
    if summary.methods:
        summary = with_examples(summary, folder, data, preparing)
    paths = write_report(summary, folder)
    out.print(console_report(summary))
    for note in summary.missing:
        tell(note)
    written(folder, paths)


def _tell_transfers(job: Job) -> None:
    asked = job.transfers()
    for name in dict.fromkeys(spec.data.name for spec in asked):
        here = [spec for spec in asked if spec.data.name == name]
        done = sum(finished_transfer(spec, job.folder) is not None for spec in here)
        networks = f"{counted(len(here), 'network')} {'is' if len(here) == 1 else 'are'}"
        tell(f"after that, {networks} measured on {name} ({done} of them already)")
