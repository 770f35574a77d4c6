"""How `relbench reproduce` and `relbench report` make a printed table."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, cast

from rich.progress import track

from relbench.console import out
from relbench.data import find_data_set
from relbench.dry_run import show_plan
from relbench.grid import claimed
from relbench.kept import RunFolder
from relbench.ledger import Selection, read_record, write_record
from relbench.making import Call, make_runs, preparing, tell, written
from relbench.names import known
from relbench.plan import resolve_device
from relbench.report import printed_text, write_printed
from relbench.studies import PROTOCOLS, SCALES, SELECTIONS, TABLES, Cell, PrintedTable, ProtocolName, Scale
from relbench.table_plan import Request, Undecided, Unfolding, selected, transfers_of
from relbench.table_summary import check_rule, results_of, summarise_table
from relbench.transfer import Asked as Transferred
from relbench.transfer import check_transfers, transfer

REQUEST = "request.json"


@dataclass(frozen=True)
class Asked:
    """What a printed table is asked for, as written on the command line."""

    data_sets: str = ""  # with commas between; "": all of the table's
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
    return tuple(rule for rule in SELECTIONS if rule == known(name, (*SELECTIONS, "val", "all"), "selection"))


def make_table(table: PrintedTable, call: Call, asked: Asked) -> bool:
    """Make the runs of a table that are not finished, and the table; gives whether one failed.

    Raises:
        ValueError: what is asked for can't be; one line.
    """
    shown = rules(asked.selection)
    request = _request(table, call, asked)
    check_rule(request, shown)
    paths = selected(table, list(request.contents), asked.only)
    folder = call.results / folder_name(request)
    if call.dry_run:
        show_plan(_unfolding(table, request, folder).cells(paths, call.seeds), folder, call)
        return False
    with claimed(folder):
        merged, failed = _make(table, _joined(request, folder), paths, folder, call)
        _measure_elsewhere(table, merged, paths, folder, call)
        _show(table, merged, folder, shown)
    return bool(failed)


def folder_name(request: Request) -> str:
    """A table's folder: protocols and scales never share one."""
    return f"{request.study}-{request.protocol}{'-toy' if request.scale == 'toy' else ''}"


def is_table(folder: Path) -> bool:
    """Whether a results folder is a printed table's."""
    return (folder / REQUEST).is_file()


def report_table(folder: Path, selection: str) -> None:
    """Make a table anew from the rows that are there.

    Raises:
        ValueError: the folder's request or a row is damaged, or the rule of selection can't be applied.
    """
    request = read_record(Request, folder / REQUEST)
    with claimed(folder):
        _show(TABLES[known(request.study, TABLES, "printed table")], request, folder, rules(selection))


def _request(table: PrintedTable, call: Call, asked: Asked) -> Request:
    data_sets = [name.strip() for name in asked.data_sets.split(",")] if asked.data_sets else table.data_sets
    for name in data_sets:
        known(name, table.data_sets, f"data set of {table.name}")
    if not call.seeds or len(set(call.seeds)) != len(call.seeds):
        raise ValueError(f"seeds = {', '.join(map(str, call.seeds)) or 'none'}: name at least one, each once")
    return Request(
        study=table.name,
        protocol=cast("ProtocolName", known(asked.protocol, PROTOCOLS, "protocol")),
        scale=cast("Scale", known(asked.scale, SCALES, "scale")),
        device=cast("Literal['cpu', 'cuda']", resolve_device(call.device)),
        changes={key: list(value) if isinstance(value, tuple) else value for key, value in call.changes.items()},
        contents={name: _content(name, call) for name in data_sets},
        elsewhere=_elsewhere(table, data_sets, call),
        seeds=call.seeds,
    )


def _content(name: str, call: Call) -> str:
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
    paths = write_printed(summary, folder)
    out.print(printed_text(summary))
    written(folder, paths)


def _elsewhere(table: PrintedTable, data_sets: Collection[str], call: Call) -> dict[str, str]:
    """Data sets that networks are only measured on, as far as they are there: the others' cells stay empty."""
    contents: dict[str, str] = {}
    trained = [number for number in table.numbers if number.on and table.network(number.path).data in data_sets]
    for name in dict.fromkeys(number.on for number in trained):
        try:
            contents[name] = find_data_set(name, call.data).content(call.data)
        except ValueError as error:
            tell(f"nothing can be measured on {name}, and its cells stay empty: {error}")
    return contents


def _joined(request: Request, folder: Path) -> Request:
    """With what was asked of the same table before."""
    if not is_table(folder):
        return request
    merged = request.merged(read_record(Request, folder / REQUEST))
    if merged is None:
        tell("the settings are not those of the table that was here: it is made anew; its runs stay in the folder")
    return merged or request


def _make(
    table: PrintedTable, request: Request, paths: Sequence[str], folder: Path, call: Call
) -> tuple[Request, dict[str, str]]:
    """Make what can be made, until nothing more is known that is not finished; gives what failed, too."""
    failed: dict[str, str] = {}
    while True:
        unfolding = _unfolding(table, request, folder, failed)
        planned = unfolding.cells(paths, call.seeds)
        request = request.model_copy(update={"rates": unfolding.rates})
        cells = [cell for cell in planned if isinstance(cell, Cell) and cell.name not in failed]
        finished = all(RunFolder(folder / "runs", cell.experiment).row.exists() for cell in cells)
        failed |= make_runs(cells, folder, call, partial(write_record, request, folder / REQUEST)).failures
        if finished or not any(isinstance(one, Undecided) for one in planned):
            return request, failed


def _measure_elsewhere(table: PrintedTable, request: Request, paths: Sequence[str], folder: Path, call: Call) -> None:
    """Measure finished networks on the other data sets that are there."""
    unfolding = _unfolding(table, request, folder)
    asked = transfers_of(table, request, unfolding, call.seeds).items()
    ready = [one for (key, _), one in asked if key.partition("@")[0] in paths and _is_ready(one, folder)]
    waiting = check_transfers(ready, folder, call.data, preparing)
    for one in track(waiting, description="measuring on other data sets", console=out) if waiting else ():
        transfer(one, folder, call.data)


def _is_ready(asked: Transferred, folder: Path) -> bool:
    return asked.experiment is None or RunFolder(folder / "runs", asked.experiment).row.exists()


def _unfolding(table: PrintedTable, request: Request, folder: Path, failed: Collection[str] = ()) -> Unfolding:
    return Unfolding(
        table, request.setup, lambda run: RunFolder(folder / "runs", run).finished(), request.rates, failed
    )
