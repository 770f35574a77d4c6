"""The command `relbench`."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import track
from rich.table import Table

import relbench
from relbench import data_commands
from relbench.benchmarks import tables as benchmark_tables
from relbench.console import FAILED, in_one_line, out
from relbench.data import data_set_names, find_data_set
from relbench.evaluation import stored_metrics
from relbench.examples import with_examples
from relbench.grid import Schedule, claimed, jobs_for, prepare, run_grid
from relbench.ledger import Plan, Row, write_record
from relbench.losses import LOSSES
from relbench.models import TRUNKS
from relbench.plan import as_plan, find_study, plan_cells
from relbench.progress import Bars
from relbench.report import table_text, write_report
from relbench.run import RunFolder
from relbench.studies import STUDIES, Cell, parse_value
from relbench.summarise import read_results, summarise

app = typer.Typer(no_args_is_help=True, help=relbench.__doc__, pretty_exceptions_enable=False)
app.add_typer(data_commands.app, name="data")


Data = Annotated[Path, typer.Option(help="Where data sets live.", envvar="RELBENCH_DATA")]


def _numbers(text: str, what: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{what} = {text!r}: give whole numbers with commas between, such as 0,1,2") from None


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


def _study_names(incomplete: str) -> list[str]:
    return [name for name in STUDIES if name.startswith(incomplete)]


@app.command()
def reproduce(  # noqa: PLR0913 - one argument an option
    study: Annotated[str, typer.Argument(help="Which study; `relbench list` names them.", autocompletion=_study_names)],
    seeds: Annotated[str, typer.Option(help="Seeds, with commas between.")] = "0,1,2",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; auto takes the GPU where there is one.")] = "auto",
    results: Annotated[Path, typer.Option(help="Results go to a folder in here, named like the study.")] = Path(
        "results"
    ),
    data: Data = Path("datasets"),
    jobs: Annotated[int | None, typer.Option(help="Runs at once; by default as many as cores allow.", min=1)] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as student.dim=64.")
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the runs and what state they are in; do nothing.")
    ] = False,
) -> None:
    """Make a study's runs, then its table, plots and report. What is finished already is not run again."""
    with in_one_line():
        found = find_study(study)
        changes = _settings(settings or [])
        cells = plan_cells(found, _numbers(seeds, "--seeds"), device, changes, data)
        folder = results / found.name
        if dry_run:
            out.print(_states(cells, folder / "runs"))
            return
        with claimed(folder):
            schedule = _run(cells, as_plan(found, cells, changes), folder, data, jobs)
            if any(cell.role == "teacher" and cell.experiment.fingerprint in schedule.rows for cell in cells):
                _report(folder, read_results(folder), data)
    if schedule.failures:
        raise typer.Exit(FAILED)


def _run(cells: Sequence[Cell], plan: Plan, folder: Path, data: Path, jobs: int | None) -> Schedule:
    """Make the runs that are not finished. The plan is written once nothing can be refused any more."""
    runs = folder / "runs"
    schedule = prepare([cell.experiment for cell in cells], runs, data, _preparing, _hint)
    finished, waiting = list(schedule.rows), list(schedule.waiting.values())
    out.print(f"{len(finished)} of {len(finished) + len(waiting)} runs are finished already")
    write_record(plan, folder / "plan.json")
    if waiting:
        jobs = jobs or jobs_for(waiting)
        with Bars(cells, finished, jobs, out) as bars:
            run_grid(schedule, runs, data, jobs, bars)
    return schedule


def _hint(words: str) -> None:
    out.print(words, markup=False, highlight=False, soft_wrap=True)


def _preparing(items: Iterable[str]) -> Iterable[str]:
    return track(list(items), description="preparing the data set", console=out)


def _states(cells: Sequence[Cell], runs: Path) -> Table:
    table = Table("run", "role", "seed", "steps", "fingerprint", "state")
    for cell in cells:
        one, folder = cell.experiment, RunFolder(runs, cell.experiment)
        state = "finished" if folder.finished() else "begun" if folder.checkpoint.exists() else "to do"
        table.add_row(cell.label, cell.role, str(one.seed), str(one.protocol.steps), one.fingerprint, state)
    return table


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `reproduce` has written.")],
    data: Data = Path("datasets"),
) -> None:
    """Make table, plots and report.html anew from the rows in a results folder.

    The page also shows test images, where they and the runs' embeddings are there.
    """
    with in_one_line():
        results = read_results(folder)
        with claimed(folder):
            _report(folder, results, data)


def _report(folder: Path, results: tuple[Plan, dict[str, Row]], data: Path) -> None:
    summary = with_examples(summarise(*results), folder, data, _preparing)
    paths = write_report(summary, folder)
    out.print(table_text(summary))
    for note in summary.missing:
        _hint(note)
    out.print(f"written to {escape(str(folder))}: {', '.join(path.name for path in paths)}", highlight=False)


@app.command()
def evaluate(
    embeddings: Annotated[
        Path,
        typer.Argument(metavar="EMBEDDINGS", help="embeddings.npz of a run; or an .npy of numbers, one row an image."),
    ],
    labels: Annotated[
        Path | None,
        typer.Argument(metavar="LABELS.npy", help="One class an image, whole numbers or texts; an .npz holds them."),
    ] = None,
    k: Annotated[str, typer.Option("--k", help="The Ks of Recall@K, with commas between.")] = "1,2,4,8",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Recall@K, R-precision and MAP@R of embeddings by exact Euclidean neighbours.

    Every image asks for all others, unless the file says which ask and which can be found.
    """
    with in_one_line():
        _print_metrics(stored_metrics(embeddings, labels, _numbers(k, "--k")), as_json=as_json)


def _print_metrics(metrics: dict[str, float], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(metrics))
        return
    table = Table("metric", "%")
    for name, value in metrics.items():
        table.add_row(name, f"{100 * value:.2f}")
    out.print(table)


@app.command("list")
def list_all(data: Data = Path("datasets")) -> None:
    """Name the data sets, losses, trunks and studies, with a line on each."""
    with in_one_line():
        _print_lists(data)


def _print_lists(data: Path) -> None:
    groups = {
        "data sets": {name: find_data_set(name, data).summary for name in data_set_names(data)},
        "losses": {name: entry.summary for name, entry in LOSSES.items()}
        | {"pml:NAME": "any loss of pytorch-metric-learning by the name of its class, with or without a miner"},
        "trunks": {name: entry.summary for name, entry in TRUNKS.items()},
        "studies": {name: study.title for name, study in STUDIES.items()},
    }
    for group, entries in groups.items():
        table = Table(box=None, title=group, title_justify="left", show_header=False)
        for name, summary in entries.items():
            table.add_row(f"  {name}", summary)
        out.print(table)


@app.command()
def bench(
    what: Annotated[str, typer.Argument(help="angle, evaluation, images or all.")] = "all",
) -> None:
    """Measure our speed and memory beside the plain forms, in one run, and print the ratios."""
    with in_one_line():
        for table in benchmark_tables.measured(what):
            out.print(table)
