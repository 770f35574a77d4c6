"""The commands that make and show a study: `relbench reproduce`, `compare`, `report`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from relbench.console import FAILED, in_one_line, numbers, out
from relbench.contenders import find_contender, try_own_losses, with_contenders
from relbench.dry_run import show_plan
from relbench.examples import with_examples
from relbench.grid import claimed
from relbench.ledger import Plan, Row, write_record
from relbench.making import Call, make_runs, preparing, tell, written
from relbench.names import known
from relbench.plan import as_plan, find_study, plan_cells
from relbench.report import pairs_text, table_text, write_report
from relbench.studies import STUDIES, TABLES, Study, parse_value
from relbench.summarise import read_results, summarise
from relbench.table_commands import Asked, is_table, make_table, report_table


def _study_names(incomplete: str) -> list[str]:
    return [name for name in (*STUDIES, *TABLES) if name.startswith(incomplete)]


STUDY_HELP = "Which study; `relbench list` names them."
StudyName = Annotated[str, typer.Argument(help=STUDY_HELP, autocompletion=_study_names)]
StudyOption = Annotated[str, typer.Option("--study", help=STUDY_HELP, autocompletion=_study_names)]
Seeds = Annotated[str, typer.Option(help="Seeds, with commas between.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda; auto takes the GPU where there is one.")]
Results = Annotated[Path, typer.Option(help="Results go to a folder in here, named like the study.")]
Data = Annotated[Path, typer.Option(help="Where data sets live.", envvar="RELBENCH_DATA")]
Jobs = Annotated[int | None, typer.Option(help="Runs at once; by default as many as cores allow.", min=1)]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as student.dim=64.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the runs, their state, and how long they would take; make none.")
]
SelectionOption = Annotated[
    str | None,
    typer.Option(help="Printed tables: last (usual), val or test (best step on these classes; test is peeking), all."),
]


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set {pair!r}: write KEY=VALUE, such as student.dim=64")
        if key.strip() in values:
            raise ValueError(f"--set {key.strip()} is given twice: give one value")
        values[key.strip()] = parse_value(value)
    return values


def reproduce(  # noqa: PLR0913, PLR0917 - one argument an option
    study: StudyName,
    seeds: Seeds = "0,1,2",
    device: Device = "auto",
    results: Results = Path("results"),
    data: Data = Path("datasets"),
    jobs: Jobs = None,
    settings: Changes = None,
    dataset: Annotated[
        str | None, typer.Option(help="Printed tables: these data sets alone, with commas between, such as cub200.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Printed tables: only these cells, such as 'cub200/*/64'.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Printed tables: paper (the authors' code; usual) or fair (equal budgets).")
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="Printed tables: full, or toy: tiny networks, to see that everything runs.")
    ] = None,
    selection: SelectionOption = None,
    *,
    dry_run: DryRun = False,
) -> None:
    """Make a study's runs, then its table, plots and report. What is finished already is not run again."""
    with in_one_line():
        call = Call(numbers(seeds, "--seeds"), device, results, data, jobs, _settings(settings or []), dry_run)
        given = {"data_sets": dataset, "only": only, "protocol": protocol, "scale": scale, "selection": selection}
        asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if known(study, (*STUDIES, *TABLES), "study") in TABLES:
            failed = make_table(TABLES[study], call, Asked(**asked))
        else:
            _refuse_for_studies(asked, study)
            failed = _make(STUDIES[study], call)
    if failed:
        raise typer.Exit(FAILED)


def compare(  # noqa: PLR0913, PLR0917 - one argument an option
    losses: Annotated[
        list[str],
        typer.Argument(
            metavar="LOSS...",
            help="my_loss.py:MyLoss, a function or nn.Module of (student, teacher), (student, teacher, labels) or "
            "(embeddings, labels): THE FILE IS RUN, so name none that you would not run. Or a loss by its name.",
        ),
    ],
    study: StudyOption = "quickstart",
    seeds: Seeds = "0,1,2",
    weight: Annotated[float, typer.Option(help="Of the losses beside the study's task loss.", min=0)] = 1.0,
    device: Device = "auto",
    results: Results = Path("results"),
    data: Data = Path("datasets"),
    jobs: Jobs = None,
    settings: Changes = None,
    *,
    alone: Annotated[bool, typer.Option("--alone", help="Train without the study's task loss.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Put losses of yours beside those of a study: same batches, seeds, steps, selection; table, plots, verdicts.

    A loss is first tried on random, duplicated and collapsed embeddings. One that takes a teacher stands beside the
    study's task loss, as the study's own do; one that takes embeddings and labels stands in its place. Finished runs of
    the study are used again where nothing in them differs. The loss's source is kept with its rows and is part of their
    fingerprint. Nothing else in relbench executes code from data, settings, rows or checkpoints.
    """
    with in_one_line():
        call = Call(numbers(seeds, "--seeds"), device, results, data, jobs, _settings(settings or []), dry_run)
        found = find_study(study)
        contenders = [find_contender(spec, weight) for spec in losses]
        compared = with_contenders(found, contenders, alone=alone)
        try_own_losses(compared.with_values(call.changes))
        failed = _make(compared, call)
    if failed:
        raise typer.Exit(FAILED)


FOR_TABLES = {"data_sets": "--dataset", "only": "--only", "protocol": "--protocol", "scale": "--scale"}


def _refuse_for_studies(asked: Mapping[str, Any], name: str) -> None:
    """What is said of printed tables alone."""
    for option in asked:
        words = FOR_TABLES.get(option, f"--{option}")
        raise ValueError(f"{words} is for printed tables ({', '.join(TABLES)}), and {name} is none: leave it out")


def _make(study: Study, call: Call) -> bool:
    """Plan, run, report; gives whether a run failed."""
    cells = plan_cells(study, call.seeds, call.device, call.changes, call.data)
    folder = call.results / study.name
    if call.dry_run:
        show_plan(cells, folder, call)
        return False
    plan = as_plan(study, cells, call.changes)
    with claimed(folder):
        schedule = make_runs(cells, folder, call, lambda: write_record(plan, folder / "plan.json"))
        if any(cell.role == "teacher" and cell.experiment.fingerprint in schedule.rows for cell in cells):
            _report(folder, read_results(folder), call.data)
    return bool(schedule.failures)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `reproduce` has written.")],
    data: Data = Path("datasets"),
    selection: SelectionOption = None,
) -> None:
    """Make table, plots and report.html anew from the rows in a results folder.

    The page also shows test images, where they and the runs' embeddings are there.
    """
    with in_one_line():
        if is_table(folder):
            report_table(folder, selection or "last")
            return
        _refuse_for_studies({"selection": selection} if selection else {}, folder.name)
        results = read_results(folder)
        with claimed(folder):
            _report(folder, results, data)


def _report(folder: Path, results: tuple[Plan, dict[str, Row]], data: Path) -> None:
    summary = with_examples(summarise(*results), folder, data, preparing)
    paths = write_report(summary, folder)
    out.print(table_text(summary))
    if pairs := pairs_text(summary):
        out.print()
        out.print(pairs)
    for note in summary.missing:
        tell(note)
    written(folder, paths)
