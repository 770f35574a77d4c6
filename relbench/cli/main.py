"""The command `relbench`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

import relbench
from relbench.cli import data_commands, distill, evaluate, export, power, studies, study_commands, watch
from relbench.cli.console import FAILED, errors, errors_as_one_line, expanded, out
from relbench.cli.studies import Data, StudyName

if TYPE_CHECKING:
    from relbench.benchmarks.section import Section
    from relbench.losses import Loss

app = typer.Typer(
    no_args_is_help=True,
    help=relbench.__doc__,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(studies.reproduce)
app.command()(studies.compare)
app.command()(distill.distill)
app.command()(studies.report)
app.command()(watch.watch)
app.command()(evaluate.evaluate)
app.command()(export.export)
app.command()(power.power)
app.add_typer(data_commands.app, name="data")
app.add_typer(study_commands.app, name="study")


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        typer.echo(f"relbench {relbench.__version__}")
        raise typer.Exit


@app.callback()
def with_version(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options that precede the name of a command."""


@app.command("list")
def list_all(
    data: Data = Path("datasets"),
    trunks: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="List only the trunks whose names have this text, or match a pattern such as 'timm:vit_*', those of "
            "torchvision and timm too.",
        ),
    ] = None,
) -> None:
    """List the data sets, losses, trunks and studies, with one line on each."""
    with errors_as_one_line():
        if trunks is not None:
            from relbench.cli.trunk_list import print_trunks

            print_trunks(trunks)
            return
        _print_lists(data)


def _told(loss: "Loss") -> str:
    """What a loss does, and which layers it compares by default."""
    return f"{loss.summary} ({', '.join(loss.layers)})" if loss.layers else loss.summary


def _print_lists(data: Path) -> None:
    from relbench.cli.trunk_list import more_trunks
    from relbench.data import data_set_names, data_title, find_data_set
    from relbench.losses import LOSSES
    from relbench.models import TRUNKS
    from relbench.studies import STUDIES, build_study
    from relbench.studies.study import DATA

    found = [build_study(name) for name in STUDIES]
    groups = {
        "data sets": {name: find_data_set(name, data).summary for name in data_set_names(data)},
        "losses": {name: _told(entry) for name, entry in LOSSES.items()}
        | {"pml:NAME": "any loss of pytorch-metric-learning by the name of its class, with or without a miner"},
        "trunks": {name: entry.summary for name, entry in TRUNKS.items()} | dict(more_trunks()),
        "studies": {study.name: study.title.replace(DATA, data_title(study.data_sets[0])) for study in found},
    }
    for group, entries in groups.items():
        table = Table(box=None, title=group, title_justify="left", show_header=False)
        for name, summary in entries.items():
            table.add_row(f"  {name}", summary)
        out.print(table)


@app.command()
def settings(study: StudyName) -> None:
    """List the settings of a study that `--set KEY=VALUE` can change: key, value, meaning, choices."""
    with errors_as_one_line():
        from relbench.studies.setting_list import settings_of

        folded = [Column(title, overflow="fold") for title in ("value", "meaning and choices")]
        table = Table(Column("key", no_wrap=True), *folded, box=None)  # nothing is cut short: keys are to be copied
        for setting in settings_of(study):
            values = "\n".join(" | ".join(value) for value in setting.values.values())
            table.add_row("\n".join(setting.values), values, f"{setting.meaning} ({setting.choices})")
        out.print(table)


@app.command()
def bench(
    what: Annotated[
        str,
        typer.Argument(
            help="angle, cohort, devices, evaluation, executors, few-shot, images, kinds, plan, shards, small-images, "
            "start, startup, step, views, waits; all of these; or gpu."
        ),
    ] = "all",
    device: Annotated[
        str | None, typer.Option(help="Of gpu: cuda (the default), or cpu to see at toy size that all runs.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--json", callback=expanded, help="Of gpu: the file that its figures are written to; default: gpu.json."
        ),
    ] = None,
    plan: Annotated[
        str | None,
        typer.Option(
            metavar="ROWS[xDIM][:QUERIES]",
            help="Of evaluation: print what that many embeddings would cost, here and on other hardware, such as 1e9, "
            "1e9x128 or 1e9x128:1e4; nothing but this machine's rates is measured.",
        ),
    ] = None,
) -> None:
    """Measure speed and memory against the plain forms, in one run, and print the ratios beside their targets.

    On the CPU, times are processor time of one thread, and the forms take turns, so that ratios hold on a busy machine.
    gpu checks a machine with a GPU, in about five minutes: whether all numbers are right there, and how fast it is.
    """
    with errors_as_one_line(after_ctrl_c="interrupted"):
        if what != "gpu" and (device or file):
            raise ValueError("--device and --json are for relbench bench gpu alone: leave them out, or write gpu")
        if plan is not None:
            _print_plan(what, plan)
            return
        sections = _measured(what, device, file)
    if any(section.error for section in sections):
        raise typer.Exit(FAILED)


def _print_plan(what: str, plan: str) -> None:
    from relbench.benchmarks.cost.tables import plans
    from relbench.benchmarks.cost.workload import parse_workloads

    if what != "evaluation":
        raise ValueError("--plan is for relbench bench evaluation alone: leave it out, or write evaluation")
    for part in plans(parse_workloads(plan)):
        out.print(part)


def _measured(what: str, device: str | None, file: Path | None) -> "tuple[Section, ...]":
    """All parts that were asked for, measured and printed."""
    from relbench.benchmarks import gpu, tables
    from relbench.resolve import resolve_device

    def tell(line: str) -> None:
        errors.print(line)

    measured_on = resolve_device(device or "cuda") if what == "gpu" else "cpu"
    if what == "gpu":
        sections = gpu.check(measured_on, file or Path("gpu.json"), tell).sections
    else:
        sections = tables.measured(what, tell)
    if what == "gpu" and measured_on == "cpu":
        out.print("toy size: shows that all runs, and nothing else")
    out.print(tables.machine_line(measured_on))
    out.print(tables.table(sections))
    for note in tables.notes(sections):
        out.print(note)
    return sections
