"""How `relbench reproduce` and `relbench report` make a printed table."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError
from rich.progress import track

from relbench.analysis.floors import measure_floors
from relbench.analysis.table_summary import check_rule, floors_asked, results_of, summarise_table
from relbench.cli.console import out
from relbench.cli.dry_run import show_plan
from relbench.cli.making import FLOORS, RunOptions, make_runs, preparing, tell, written
from relbench.data import find_data_set
from relbench.data.download.card import card_names
from relbench.experiment import one_line, short_hash
from relbench.files import refuse_links
from relbench.grid.scheduler import locked
from relbench.grid.tuning import PendingRun, Request, TuningPlan, selected, transfers_of
from relbench.lookup import lookup
from relbench.plain_text import listed
from relbench.report import console_report, write_report
from relbench.resolve import resolve_device
from relbench.results.records import Selection, read_record, write_record
from relbench.results.run_folder import RunFolder
from relbench.results.study_folder import folder_name, own_folder
from relbench.studies import PROTOCOLS, SCALES, SELECTIONS, TABLES, Cell, PrintedTable
from relbench.transfer import TransferSpec, check_transfers, finished_transfer, transfer

REQUEST, PLAN = "request.json", "plan.json"


@dataclass(frozen=True)
class Asked:
    """What a printed table is asked for, as written on the command line."""

    data_sets: str | None = None  # with commas between; None: all of the table's
    only: tuple[str, ...] = ()
    protocol: str = "paper"
    scale: str = "full"
    selection: str = "last"


def rules(selection: str) -> tuple[Selection, ...]:
    """The rules of selection that are to be shown.

    Raises:
        ValueError: there is no such rule.
    """
    if selection == "all":
        return SELECTIONS
    name = {"val": "validation"}.get(selection, selection)
    return tuple(rule for rule in SELECTIONS if rule == lookup(name, (*SELECTIONS, "val", "all"), "selection"))


@dataclass(frozen=True)
class Job:
    """What is to be done for a table: which networks, under what conditions, where."""

    table: PrintedTable
    request: Request
    paths: tuple[str, ...]
    folder: Path
    call: RunOptions
    there: Collection[str]  # data sets that networks can be measured on

    def unfolding(self) -> TuningPlan:
        """What is known of the runs by what is finished now."""
        return TuningPlan.of(self.table, self.request, self.folder / "runs")

    def planned(self) -> list[Cell | PendingRun]:
        """The runs, as far as they are known."""
        return self.unfolding().cells(self.paths, self.call.seeds)

    def transfers(self) -> list[TransferSpec]:
        """What is to be measured on other data sets that are there now, as far as it is known."""
        asked = transfers_of(self.table, self.request, self.unfolding(), self.call.seeds).items()
        mine = [one for (key, _), one in asked if key.partition("@")[0] in self.paths]
        return [one for one in mine if one.data.name in self.there]


def make_table(table: PrintedTable, call: RunOptions, asked: Asked) -> bool:
    """Make the runs of a table that are not finished, and the table; gives whether one failed.

    Raises:
        ValueError: what is asked for can't be; one line.
    """
    shown = rules(asked.selection)
    paths = selected(table, _data_sets(table, asked), asked.only)
    request = _request(table, paths, call, asked)
    check_rule(request, shown)
    folder = _folder_of(request, call.results)
    job = Job(table, _joined(request, folder), paths, folder, call, request.elsewhere)
    planned = job.planned()  # refuses impossible settings
    if call.dry_run:
        show_plan(planned, folder, call)
        _tell_transfers(job)
        return False
    with locked(folder):
        job = replace(job, request=_joined(request, folder, tell))
        check_transfers(job.transfers(), folder, call.data, preparing)
        made, failed = _make(job)
        not_measured = _measure_elsewhere(replace(job, request=made))
        _measure_floors(replace(job, request=made))
        _show(table, made, folder, shown)
    return bool(failed) or not_measured


def _folder_of(request: Request, results: Path) -> Path:
    """A table's folder: protocols, scales, and requests of other settings, devices or images never share one."""

    def is_another_s(folder: Path) -> bool:
        if not is_table(folder):
            return (folder / PLAN).is_file()
        return request.merged(read_record(Request, folder / REQUEST)) is None

    name = f"{request.study}-{request.protocol}{'-toy' if request.scale == 'toy' else ''}"
    identity = short_hash(request.model_dump(mode="json", exclude={"seeds", "diverged"}))
    return own_folder(results, folder_name(name, request.changes), identity, is_another_s, tell)


def is_table(folder: Path) -> bool:
    """Whether a results folder is a printed table's."""
    return (folder / REQUEST).is_file()


def report_table(folder: Path, selection: str) -> None:
    """Make a table anew from the rows that are there.

    Raises:
        ValueError: the folder's request or a row is damaged, or the rule of selection can't be applied.
    """
    refuse_links(folder)
    request = read_record(Request, folder / REQUEST)
    _show(TABLES[lookup(request.study, TABLES, "printed table")], request, folder, rules(selection))


def _data_sets(table: PrintedTable, asked: Asked) -> tuple[str, ...]:
    if asked.data_sets is None:
        return table.data_sets
    names = (name.strip() for name in asked.data_sets.split(","))
    return tuple(lookup(name, table.data_sets, f"data set of {table.name}") for name in names)


def _request(table: PrintedTable, paths: Sequence[str], call: RunOptions, asked: Asked) -> Request:
    data_sets = tuple(dict.fromkeys(table.network(path).data for path in paths))
    if not call.seeds or len(set(call.seeds)) != len(call.seeds):
        raise ValueError(f"seeds = {', '.join(map(str, call.seeds)) or 'none'}: name at least one, each once")
    settings = {
        "study": table.name,
        "protocol": lookup(asked.protocol, PROTOCOLS, "protocol"),
        "scale": lookup(asked.scale, SCALES, "scale"),
        "device": resolve_device(call.device),
        "changes": {key: list(value) if isinstance(value, tuple) else value for key, value in call.changes.items()},
        "contents": {name: _content(name, call) for name in data_sets},
        "elsewhere": _elsewhere(table, data_sets, call),
        "seeds": call.seeds,
    }
    try:
        return Request.model_validate(settings)
    except ValidationError as error:
        raise ValueError(one_line(error)) from None


def _content(name: str, call: RunOptions) -> str:
    """What a data set holds; a plan can be shown before it is there."""
    try:
        return find_data_set(name, call.data).content(call.data)
    except ValueError as error:
        if not call.dry_run:
            raise
        tell(f"planned without its data: {error}")
        return ""


def _show(table: PrintedTable, request: Request, folder: Path, shown: Sequence[Selection]) -> None:
    summary = summarise_table(table, request, results_of(table, request, folder), shown)
    paths = write_report(summary, folder)
    out.print(console_report(summary))
    written(folder, paths)


def _elsewhere(table: PrintedTable, data_sets: Collection[str], call: RunOptions) -> dict[str, str]:
    """Data sets that networks are only measured on, as far as they are there: the others' cells stay empty."""
    contents: dict[str, str] = {}
    trained = [number for number in table.numbers if number.on and table.network(number.path).data in data_sets]
    for name in dict.fromkeys(number.on for number in trained):
        try:
            contents[name] = find_data_set(name, call.data).content(call.data)
        except ValueError as error:
            advice = "" if name in card_names() else f" (relbench data add {name} FOLDER brings it)"
            tell(f"nothing can be measured on {name}, so its cells stay empty: {error}{advice}")
    return contents


def _joined(request: Request, folder: Path, hear: Callable[[str], None] = lambda _: None) -> Request:
    """With what was asked of the same table before.

    Raises:
        ValueError: another request has taken the folder meanwhile.
    """
    if not is_table(folder):
        return request
    merged = request.merged(earlier := read_record(Request, folder / REQUEST))
    if merged is None:
        raise ValueError(f"{folder} was just taken by a table with other settings: run the command again")
    if more := [str(seed) for seed in earlier.seeds if seed not in request.seeds]:
        hear(f"finished runs of seed {listed(more)}, requested earlier, stay in the table")
    return merged


def _make(job: Job) -> tuple[Request, dict[str, str]]:
    """Make what can be made, until nothing more is known that is not finished; gives what failed, too."""
    failed: dict[str, str] = {}
    while True:
        planned = job.planned()
        cells = _without_failed([cell for cell in planned if isinstance(cell, Cell)], failed)
        finished = all(RunFolder(job.folder / "runs", cell.experiment).row.exists() for cell in cells)
        schedule = make_runs(cells, job.folder, job.call, partial(write_record, job.request, job.folder / REQUEST))
        failed |= schedule.failures
        job = _with_diverged(job, {cell.name for cell in cells if cell.role == "tuning"} & schedule.diverged)
        if finished or not any(isinstance(one, PendingRun) for one in planned):
            return job.request, failed


def _without_failed(cells: Sequence[Cell], failed: Mapping[str, str]) -> list[Cell]:
    """Cells that did not fail, and build on none that did."""
    lost = set(failed)
    for cell in cells:  # what others build on stands before them
        if lost & {one.fingerprint for one in cell.experiment.dependencies.values()}:
            lost.add(cell.name)
    return [cell for cell in cells if cell.name not in lost]


def _with_diverged(job: Job, diverged: Collection[str]) -> Job:
    """From now on these are no candidates any more; a failure for other reasons may be mended."""
    known = tuple(sorted({*job.request.diverged, *diverged}))
    if diverged:
        write_record(job.request.model_copy(update={"diverged": known}), job.folder / REQUEST)
    return replace(job, request=job.request.model_copy(update={"diverged": known}))


def _measure_elsewhere(job: Job) -> bool:
    """Measure finished networks on the other data sets that are there; gives whether that failed."""
    runs, failed = job.folder / "runs", False
    ready = [one for one in job.transfers() if not one.experiment or RunFolder(runs, one.experiment).row.exists()]
    waiting = [one for one in ready if not finished_transfer(one, job.folder)]
    for one in track(waiting, description="measuring on other data sets", console=out) if waiting else ():
        try:
            transfer(one, job.folder, job.call.data)
        except (ValueError, OSError) as error:  # the table is made without it
            tell(f"failed on {one.data.name}: {error}")
            failed = True
    return failed


def _measure_floors(job: Job) -> None:
    """What is reached without training, on the data sets that are there; the table is made without the others."""
    for name, asked in floors_asked(job.table, job.request).items():
        try:
            with out.status(FLOORS):
                measure_floors(asked, job.folder, job.call.data, job.request.device, preparing)
        except (ValueError, OSError) as error:
            tell(f"floors of {name} are not shown: {error}")


def _tell_transfers(job: Job) -> None:
    asked = job.transfers()
    for name in dict.fromkeys(one.data.name for one in asked):
        here = [one for one in asked if one.data.name == name]
        done = sum(finished_transfer(one, job.folder) is not None for one in here)
        tell(f"after that, {len(here)} networks are measured on {name} ({done} of them are already)")
