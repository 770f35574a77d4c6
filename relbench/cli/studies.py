"""The commands that make and show a study: `relbench reproduce`, `compare`, `report`."""

from collections.abc import Callable, Collection, Sequence
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relbench.cli.console import FAILED, errors_as_one_line, expanded, numbers
from relbench.execution import ViewsOn

if TYPE_CHECKING:
    from relbench.cli.options import RunOptions, Until

UNTIL_DECIDED = "until-decided"


def _study_names(incomplete: str) -> list[str]:
    from relbench.studies import STUDIES

    return [name for name in STUDIES if name.startswith(incomplete)]


STUDY_HELP = "Which study: `relbench list` names them; or a file, MY_STUDY.toml, in which nothing is executed."
StudyName = Annotated[str, typer.Argument(help=STUDY_HELP, autocompletion=_study_names)]
StudyOption = Annotated[str, typer.Option("--study", help=STUDY_HELP, autocompletion=_study_names)]
Seeds = Annotated[
    str | None,
    typer.Option(
        help="Seeds, separated by commas; default: the study's own. until-decided: seeds are added until every verdict "
        "is decided, at looks that are fixed beforehand.",
        show_default=False,
    ),
]
MaxSeeds = Annotated[
    int | None,
    typer.Option("--max-seeds", metavar="N", help="With --seeds until-decided: seeds at most; default: 20."),
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        metavar="POINTS",
        help="With --seeds until-decided: a comparison is decided, too, where its interval lies within so many "
        "points of zero; default: 0.5.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda; auto takes the GPU where there is one.")]
Results = Annotated[
    Path,
    typer.Option(callback=expanded, help="Holds a folder of results for each study and its changes."),
]
Data = Annotated[
    Path, typer.Option(callback=expanded, help="The folder that holds all data sets.", envvar="RELBENCH_DATA")
]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="Runs at once, or groups of runs that are trained together; default: as many as the cores or the "
        "cluster allow.",
        min=1,
        max=256,
    ),
]
Cohort = Annotated[
    int | None,
    typer.Option(
        "--cohort",
        metavar="N",
        help="The most runs to train together; runs that share batches and teacher are, which saves time. "
        "1: each is trained alone, with the same results. Default: as many as share them and fit the memory.",
        min=1,
        max=10_000,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="auto|local|ADDRESS",
        help="Make the runs on a Ray cluster: one that `ray start` has started (auto, or HOST:PORT of its head), or "
        "one that is started on this machine for this command (local). Nodes look for data sets where the command "
        "does, or in RELBENCH_NODE_DATA, where `ray start` was given that; they render or download what they lack.",
    ),
]
CpusPerRun = Annotated[
    float | None, typer.Option(help="With --cluster: CPUs for each run; default: one for each thread that it has.")
]
GpusPerRun = Annotated[
    float | None,
    typer.Option(help="With --cluster: GPUs for each run; 0.25 puts four runs on a card. Default: 1 on GPUs."),
]
Devices = Annotated[
    int,
    typer.Option(
        "--devices",
        metavar="N",
        help="GPUs, or processes on the CPU, that share each step of a run; equal to one but for rounding.",
        min=1,
        max=64,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Processes that make the images of later steps, for each device of a run; with the same results. "
        "Default: up to eight beside a GPU, none on the CPU.",
        min=0,
        max=64,
    ),
]
Views = Annotated[
    ViewsOn,
    typer.Option(
        "--views-on",
        help="Where training images are cropped, mirrored and distorted; equal but for rounding on a GPU. "
        "Photos are cropped on the CPU in any case.",
    ),
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as student.dim=64.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be run; make nothing.")]
Estimate = Annotated[
    bool, typer.Option("--estimate", help="Like --dry-run, and measure the time, for a minute at most.")
]
ListRuns = Annotated[bool, typer.Option("--runs", help="Like --dry-run, and list each run, with what it builds on.")]
DataSets = Annotated[
    str | None, typer.Option("--dataset", help="Only these data sets of the study, separated by commas: cub200.")
]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="Only these runs, and what they build on, such as 'cub200/*/64'.")
]
ProtocolOption = Annotated[
    str | None,
    typer.Option("--protocol", help="Tables of papers: paper (the authors' code; default) or fair (equal budgets)."),
]
ScaleOption = Annotated[
    str | None,
    typer.Option("--scale", help="Tables of papers: full, or toy (tiny networks, to check that everything runs)."),
]
SelectionOption = Annotated[
    str | None,
    typer.Option(help="Tables of cells: last, val or test (best step on these images; test is peeking), or all."),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="csv|mlflow|tensorboard|wandb",
        help="Write curves, settings and results of the runs for other programs, into `tracks` in the study's folder, "
        "also of runs that are finished already. Several times, or with commas. W&B stays offline, unless you "
        "set WANDB_MODE=online.",
    ),
]


def settings_given(pairs: Sequence[str]) -> dict[str, Any]:
    """The settings of `--set`, by key."""
    from relbench.studies.changes import parse_value

    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set {pair!r}: write KEY=VALUE, such as student.dim=64")
        if key.strip() in values:
            raise ValueError(f"--set {key.strip()} is given twice: give one value")
        values[key.strip()] = parse_value(value)
    return values


def _run_options(  # noqa: PLR0913, PLR0917 - one argument an option
    seeds: Seeds = None,
    device: Device = "auto",
    results: Results = Path("results"),
    data: Data = Path("datasets"),
    jobs: Jobs = None,
    cohort: Cohort = None,
    cluster: Cluster = None,
    cpus_per_run: CpusPerRun = None,
    gpus_per_run: GpusPerRun = None,
    devices: Devices = 1,
    workers: Workers = None,
    views_on: Views = "cpu",
    settings: Changes = None,
    dataset: DataSets = None,
    only: Only = None,
    protocol: ProtocolOption = None,
    scale: ScaleOption = None,
    selection: SelectionOption = None,
    track: Track = None,
    max_seeds: MaxSeeds = None,
    margin: Margin = None,
    *,
    dry_run: DryRun = False,
    estimate: Estimate = False,
    list_runs: ListRuns = False,
) -> "RunOptions":
    from relbench.cli.options import RunOptions
    from relbench.execution import Execution
    from relbench.trackers.loggers import loggers_asked

    builder = {"protocol": protocol, "scale": scale}
    until = _until(seeds, max_seeds, margin, only)
    return RunOptions(
        None if seeds is None or until else _seeds(seeds),
        device,
        results,
        data,
        jobs,
        settings_given(settings or []),
        dry_run=dry_run or estimate or list_runs,
        estimate=estimate,
        list_runs=list_runs,
        data_sets=dataset,
        only=tuple(only or ()),
        builder={name: value for name, value in builder.items() if value is not None},
        selection=selection,
        cohort=cohort,
        cluster=cluster,
        cpus_per_run=cpus_per_run,
        gpus_per_run=gpus_per_run,
        track=loggers_asked(track or []),
        execution=Execution(devices, workers, views_on),
        until=until,
    )


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return numbers(text, "--seeds")
    except ValueError as error:
        raise ValueError(f"{error}, or {UNTIL_DECIDED}") from None


def _until(seeds: str | None, most: int | None, margin: float | None, only: list[str] | None) -> "Until | None":
    """The rule by which seeds are added, if that was asked for."""
    from relbench.cli.options import Until

    if seeds != UNTIL_DECIDED:
        if most is not None or margin is not None:
            raise ValueError(f"--max-seeds and --margin belong to --seeds {UNTIL_DECIDED}: add that, or leave them out")
        return None
    if only:
        raise ValueError(f"--only: --seeds {UNTIL_DECIDED} decides all comparisons of a study: leave --only out")
    if margin is not None and not 0 <= margin < 100:
        raise ValueError(f"--margin {margin:g} must be points of the metric from 0 to 100: use 0.5")
    return Until(20 if most is None else most, (0.5 if margin is None else margin) / 100)


def with_run_options(command: Callable[..., bool], without: Collection[str] = ()) -> Callable[..., None]:
    """A command that takes the options of `_run_options` from the command line, after its own.

    Args:
        command: takes them as `options`; tells whether a run failed.
        without: names of options that it does not take.
    """
    shared = {name: option for name, option in signature(_run_options).parameters.items() if name not in without}

    @wraps(command)
    def run(**given: Any) -> None:
        with errors_as_one_line():
            options = _run_options(**{name: given.pop(name) for name in shared})
            failed = command(options=options, **given)
        if failed:
            raise typer.Exit(FAILED)

    taken = [*(own for name, own in signature(command).parameters.items() if name != "options"), *shared.values()]
    vars(run)["__signature__"] = Signature([each.replace(kind=each.KEYWORD_ONLY) for each in taken])
    run.__annotations__ = {each.name: each.annotation for each in taken}
    return run


@with_run_options
def reproduce(study: StudyName, options: "RunOptions") -> bool:
    """Make a study's runs, then its table, plots and report. Finished runs are not repeated."""
    from relbench.cli.make_study import reproduced

    return reproduced(study, options)


@with_run_options
def compare(
    losses: Annotated[
        list[str],
        typer.Argument(
            metavar="LOSS...",
            help="my_loss.py:MyLoss, a function or nn.Module of (student, teacher), (student, teacher, labels), "
            "(embeddings, labels), (student_logits, teacher_logits) or, for few-shot, (support, query): THE FILE IS "
            "EXECUTED, so name only files that you trust. Or the name of a loss.",
        ),
    ],
    options: "RunOptions",
    study: StudyOption = "quickstart",
    weight: Annotated[float, typer.Option(help="Weight of each loss relative to the study's task loss.", min=0)] = 1.0,
    *,
    alone: Annotated[bool, typer.Option("--alone", help="Train without the study's task loss.")] = False,
) -> bool:
    """Compare your losses with those of a study: same batches, seeds, steps, selection; table, plots, verdicts.

    A loss is first tried on random, duplicated and collapsed embeddings. A loss that takes a teacher is added to the
    study's task loss, as the study's own losses are; a loss of embeddings and labels replaces it. In a table with
    several student networks or data sets, it is trained once for each, like the student with that network, and its
    cells stand beside that student's. Finished runs of the study are reused where they are the same. The source of a
    loss is kept with its rows and is part of their fingerprint. Nothing else in relbench executes code from data,
    settings, rows or checkpoints.
    """
    from relbench.cli.make_study import compared

    return compared(study, losses, options, weight=weight, alone=alone)


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", callback=expanded, help="A folder that `reproduce` has written.")
    ],
    data: Data = Path("datasets"),
    selection: SelectionOption = None,
) -> None:
    """Make table, plots and report.html again from the rows in a results folder, also while runs go on.

    The page also shows test images, if they and the runs' embeddings are available.
    """
    with errors_as_one_line():
        from relbench.cli.make_study import reported

        reported(folder, data, selection)
