"""What `relbench reproduce`, `compare` and `report` do, and how the table of a study of ours is made."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from relbench.analysis.floors import measured_with
from relbench.analysis.query_examples import with_examples
from relbench.analysis.summarise import read_results, summarise
from relbench.cli.console import out
from relbench.cli.dry_run import show_plan
from relbench.cli.making import FLOORS, RunOptions, make_runs, preparing, tell, written
from relbench.cli.table_commands import Asked, is_table, make_table, report_table
from relbench.experiment import short_hash
from relbench.files import refuse_links
from relbench.grid.scheduler import locked
from relbench.lookup import lookup
from relbench.plain_text import listed
from relbench.report import console_report, write_report
from relbench.resolve import as_plan, find_study, plan_cells
from relbench.results.records import Entry, Plan, Row, read_record, write_record
from relbench.results.study_folder import folder_name, own_folder
from relbench.studies import STUDIES, TABLES, Study
from relbench.studies.extend import find_added_loss, try_own_losses, with_added_losses

FOR_TABLES = {"data_sets": "--dataset", "only": "--only", "protocol": "--protocol", "scale": "--scale"}


def reproduced(name: str, call: RunOptions, asked: Mapping[str, Any]) -> bool:
    """Make a study's or a printed table's runs and report; tells whether a run failed.

    Args:
        name: of the study or table.
        call: what all commands that make runs are told.
        asked: what is said of printed tables alone, as `Asked` has it.

    Raises:
        ValueError: what is asked for can't be; one line.
    """
    if lookup(name, (*STUDIES, *TABLES), "study") in TABLES:
        return make_table(TABLES[name], call, Asked(**asked))
    _refuse_for_studies(asked, name)
    return _make(STUDIES[name], call, call.changes)


def compared(name: str, losses: Sequence[str], call: RunOptions, *, weight: float, alone: bool) -> bool:
    """Train losses beside those of a study, and report; tells whether a run failed.

    Args:
        name: of the study.
        losses: by name, or as FILE.py:NAME, which is executed.
        call: what all commands that make runs are told.
        weight: of the losses beside the task loss.
        alone: whether they are trained without the task loss.

    Raises:
        ValueError: what is asked for can't be; one line.
    """
    found = find_study(name)
    added_losses = [find_added_loss(spec, weight) for spec in losses]
    study = with_added_losses(found, added_losses, alone=alone)
    try_own_losses(study.with_values(call.changes))
    options = ({"weight": weight} if weight != 1 else {}) | ({"alone": True} if alone else {})
    return _make(study, call, options | dict(call.changes))


def reported(folder: Path, data: Path, selection: str | None) -> None:
    """Make a report anew from the rows that are in a results folder.

    Args:
        folder: that `reproduced` or `compared` has written.
        data: holds the data sets, whose test images the page shows.
        selection: of printed tables alone: by which rule steps are chosen.

    Raises:
        ValueError: the folder holds no results, or damaged ones.
    """
    if is_table(folder):
        report_table(folder, selection or "last")
        return
    _refuse_for_studies({"selection": selection} if selection else {}, folder.name)
    refuse_links(folder)
    _report(folder, read_results(folder), data)  # runs may go on meanwhile: rows are whole or not there


def _refuse_for_studies(asked: Mapping[str, Any], name: str) -> None:
    """What is said of printed tables alone."""
    for option in asked:
        words = FOR_TABLES.get(option, f"--{option}")
        raise ValueError(f"{words} is for printed tables ({', '.join(TABLES)}), and {name} is not one: leave it out")


def _make(study: Study, call: RunOptions, changes: Mapping[str, Any]) -> bool:
    """Plan, run, report; tells whether a run failed.

    Args:
        study: what to make.
        call: what all commands that make runs are told.
        changes: what its folder is named by, beside the study.
    """
    cells = plan_cells(study, call.seeds, call.device, call.changes, call.data)
    folder = _folder_of(study, call, changes)
    if call.dry_run:
        show_plan(cells, folder, call)
        return False
    with locked(folder):
        plan = _with_earlier_seeds(as_plan(study, cells, call.changes), folder)
        schedule = make_runs(cells, folder, call, lambda: write_record(plan, folder / "plan.json"))
        results = read_results(folder)
        if any(entry.role == "teacher" and entry.fingerprint in results[1] for entry in plan.entries):
            _report(folder, results, call.data)
    return bool(schedule.failures)


def _folder_of(study: Study, call: RunOptions, changes: Mapping[str, Any]) -> Path:
    """The folder of such results, whatever the seeds: requests of other settings, data or losses never share one."""

    def entries(seeds: Iterable[int]) -> tuple[Entry, ...]:
        return as_plan(study, plan_cells(study, tuple(seeds), call.device, call.changes, call.data)).entries

    def is_another_s(folder: Path) -> bool:
        if not (folder / "plan.json").is_file():
            return is_table(folder)
        earlier = read_record(Plan, folder / "plan.json").entries
        return not set(earlier) <= set(entries(dict.fromkeys(entry.seed for entry in earlier)))

    identity = short_hash({entry.label: entry.fingerprint for entry in entries((0,))})
    return own_folder(call.results, folder_name(study.name, changes), identity, is_another_s, tell)


def _with_earlier_seeds(plan: Plan, folder: Path) -> Plan:
    """The plan, with what is finished of other seeds that were asked for before in the same folder."""
    if not (folder / "plan.json").is_file():
        return plan
    seeds = {entry.seed for entry in plan.entries}
    earlier = [entry for entry in read_record(Plan, folder / "plan.json").entries if entry.seed not in seeds]
    kept = [entry for entry in earlier if (folder / "runs" / entry.fingerprint / "row.json").exists()]
    if kept:
        named = listed([str(seed) for seed in dict.fromkeys(entry.seed for entry in kept)])
        tell(f"runs of seed {named} were finished before with the same settings, and stay in the report")
    entries = sorted((*plan.entries, *kept), key=lambda entry: entry.seed) if kept else plan.entries
    return plan.model_copy(update={"entries": tuple(entries)})


def _report(folder: Path, results: tuple[Plan, dict[str, Row]], data: Path) -> None:
    summary = with_examples(summarise(*results), folder, data, preparing)
    with out.status(FLOORS):
        summary = measured_with(summary, folder, data, preparing)
    paths = write_report(summary, folder)
    out.print(console_report(summary))
    for note in summary.missing:
        tell(note)
    written(folder, paths)
