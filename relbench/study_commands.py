"""The commands that make and show a study: `relbench reproduce`, `compare`, `report`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from relbench.console import FAILED, in_one_line, numbers, out
from relbench.contenders import find_contender, try_own_losses, with_contenders
from relbench.examples import with_examples
from relbench.grid import Schedule, claimed, jobs_for, prepare, run_grid
from relbench.kept import RunFolder
from relbench.ledger import Plan, Row, write_record
from relbench.plan import as_plan, find_study, plan_cells
from relbench.progress import Bars
from relbench.report import pairs_text, table_text, write_report
from relbench.reuse import take_over, to_be_taken_over
from relbench.studies import STUDIES, Cell, Study, parse_value
from relbench.summarise import read_results, summarise


def _study_names(incomplete: str) -> list[str]:
    return [name for name in STUDIES if name.startswith(incomplete)]


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
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the runs and what state they are in; do nothing.")]


@dataclass(frozen=True)
class Call:
    """What the commands that run something are told alike."""

    seeds: tuple[int, ...]
    device: str
    results: Path
    data: Path
    jobs: int | None
    changes: Mapping[str, Any]
    dry_run: bool


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


def reproduce(  # noqa: PLR0913 - one argument an option
    study: StudyName,
    seeds: Seeds = "0,1,2",
    device: Device = "auto",
    results: Results = Path("results"),
    data: Data = Path("datasets"),
    jobs: Jobs = None,
    settings: Changes = None,
    *,
    dry_run: DryRun = False,
) -> None:
    """Make a study's runs, then its table, plots and report. What is finished already is not run again."""
    with in_one_line():
        call = Call(numbers(seeds, "--seeds"), device, results, data, jobs, _settings(settings or []), dry_run)
        failed = _make(find_study(study), call)
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


def _make(study: Study, call: Call) -> bool:
    """Plan, run, report; gives whether a run failed."""
    cells = plan_cells(study, call.seeds, call.device, call.changes, call.data)
    folder = call.results / study.name
    if call.dry_run:
        out.print(_states(cells, folder / "runs", call.results))
        return False
    with claimed(folder):
        schedule = _run(cells, as_plan(study, cells, call.changes), folder, call)
        if any(cell.role == "teacher" and cell.experiment.fingerprint in schedule.rows for cell in cells):
            _report(folder, read_results(folder), call.data)
    return bool(schedule.failures)


def _run(cells: Sequence[Cell], plan: Plan, folder: Path, call: Call) -> Schedule:
    """Make the runs that are not finished. The plan is written once nothing can be refused any more."""
    runs, experiments = folder / "runs", [cell.experiment for cell in cells]
    for other, count in take_over(experiments, runs, call.results).items():
        out.print(f"{count} finished runs are taken over from {escape(str(other))}", highlight=False)
    schedule = prepare(experiments, runs, call.data, _preparing, _hint)
    finished, waiting = list(schedule.rows), list(schedule.waiting.values())
    out.print(f"{len(finished)} of {len(finished) + len(waiting)} runs are finished already")
    write_record(plan, folder / "plan.json")
    if waiting:
        jobs = call.jobs or jobs_for(waiting)
        with Bars(cells, finished, jobs, out) as bars:
            run_grid(schedule, runs, call.data, jobs, bars)
    return schedule


def _hint(words: str) -> None:
    out.print(words, markup=False, highlight=False, soft_wrap=True)


def _preparing(items: Iterable[str]) -> Iterable[str]:
    return track(list(items), description="preparing the data set", console=out)


def _states(cells: Sequence[Cell], runs: Path, results: Path) -> Table:
    elsewhere = to_be_taken_over([cell.experiment for cell in cells], runs, results)
    table = Table("run", "role", "seed", "steps", "fingerprint", "state")
    for cell in cells:
        one, folder = cell.experiment, RunFolder(runs, cell.experiment)
        state = "finished" if folder.finished() else "begun" if folder.checkpoint.exists() else "to do"
        if one.fingerprint in elsewhere:
            state = f"finished in {elsewhere[one.fingerprint].parent.name}"
        table.add_row(cell.label, cell.role, str(one.seed), str(one.protocol.steps), one.fingerprint, state)
    return table


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
    if pairs := pairs_text(summary):
        out.print()
        out.print(pairs)
    for note in summary.missing:
        _hint(note)
    out.print(f"written to {escape(str(folder))}: {', '.join(path.name for path in paths)}", highlight=False)
