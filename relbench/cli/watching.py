"""The work of `relbench watch`: tables of what runs, drawn again and again."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from relbench.analysis.under_way import StudyProgress, UnderWay, Watch
from relbench.cli.console import out
from relbench.evaluation.metric_names import metric_name
from relbench.plain_text import duration_in_words

LOOK_EVERY = 2.0  # seconds
VALIDATION = "validation/"
USUAL, WIDE = 72, 120  # columns of a terminal from which on there is room for losses; for speed and machine


def watched(folder: Path, *, once: bool, as_json: bool) -> bool:
    """Show what runs, until nothing is left to be made, or once; tells whether a run has failed meanwhile or before.

    Args:
        folder: of a study, or of several.
        once: whether it is shown once alone, and no failure told.
        as_json: whether JSON is printed.

    Raises:
        ValueError: it is no folder of results.
    """
    watch = Watch(folder)
    if once:
        _print(watch.look(), as_json=as_json)
        return False
    studies = _printed(watch, as_json=as_json) if as_json or not out.is_terminal else _drawn(watch)
    return any(study.failed for study in studies)


def _looks(watch: Watch) -> Iterator[list[StudyProgress]]:
    """What is there at each look; the last when nothing is left to be made."""
    studies = watch.look()
    yield studies
    while not all(study.is_over for study in studies):
        time.sleep(LOOK_EVERY)
        studies = watch.look()
        yield studies


def _drawn(watch: Watch) -> list[StudyProgress]:
    """Draw the table in the same place of the terminal; returns the last look."""
    with Live(console=out, auto_refresh=False) as live:
        for studies in _looks(watch):
            live.update(tables(studies, out.width), refresh=True)
    return studies


def _printed(watch: Watch, *, as_json: bool) -> list[StudyProgress]:
    """Print whenever something has changed: into a file, any number that moves would do; elsewhere, what runs."""
    before: object = None
    for studies in _looks(watch):
        now = [_without_time(study) if as_json else _without_numbers(study) for study in studies]
        if now != before:
            _print(studies, as_json=as_json)
        before = now
    return studies


def _print(studies: Sequence[StudyProgress], *, as_json: bool) -> None:
    if as_json:
        out.print(json.dumps([_as_json(study) for study in studies]), soft_wrap=True)
    else:
        out.print(tables(studies, out.width))


def _as_json(study: StudyProgress) -> dict[str, object]:
    return asdict(study) | {"folder": str(study.folder), "waiting": study.waiting, "is_over": study.is_over}


def _without_time(study: StudyProgress) -> StudyProgress:
    """With all that the runs' news say."""
    return replace(study, under_way=tuple(replace(run, seconds_since=None) for run in study.under_way))


def _without_numbers(study: StudyProgress) -> tuple[object, ...]:
    """Which runs are finished, under way, killed, failed."""
    under_way = {(run.fingerprint, run.killed) for run in study.under_way}
    return study.folder, study.planned, study.finished, under_way, study.failed, study.error


def tables(studies: Sequence[StudyProgress], width: int) -> RenderableType:
    """A line for each study, with a table of its runs that are under way, and a line for each that has failed.

    Args:
        studies: as they were seen.
        width: of the terminal, in columns.
    """
    parts: list[RenderableType] = []
    for study in studies:
        parts.append(_heading(study))
        if study.under_way:
            parts.append(_table(study.under_way, width))
        for run in study.failed:
            words = f"  {run.label}, seed {run.seed}: {run.words}"
            parts.append(Text.assemble(("  failed", "bold red"), words, overflow="ellipsis", no_wrap=True))
    return Group(*parts)


def _heading(study: StudyProgress) -> Text:
    if study.error:
        return Text.assemble((str(study.folder), "bold"), (f": {study.error}", "red"))
    killed = sum(run.killed for run in study.under_way)
    counts = {
        "under way": len(study.under_way) - killed,
        "perhaps killed": killed,
        "waiting": study.waiting,
        "failed": len(study.failed),
        "that build on failed ones": study.lost,
    }
    told = "".join(f", {number:,} {what}" for what, number in counts.items() if number)
    return Text.assemble((str(study.folder), "bold"), f": {study.finished:,} of {study.planned:,} runs finished{told}")


def _table(runs: Sequence[UnderWay], width: int) -> Table:
    """A line for each run; in a narrow terminal without what matters less."""
    columns: dict[str, tuple[int, Callable[[UnderWay], str]]] = {
        "  run": (0, lambda run: f"  {run.label}"),
        "seed": (0, lambda run: str(run.seed)),
        "steps": (0, lambda run: f"{run.done:,}/{run.steps:,}"),
        "per s": (WIDE, lambda run: "" if run.steps_per_second is None else f"{run.steps_per_second:.3g}"),
        "left": (0, _left),
        "loss": (USUAL, lambda run: "" if run.loss is None else f"{run.loss:.4g}"),
        _metric_of(runs): (USUAL, _validated),
        "process": (WIDE, lambda run: f"{run.process} on {run.machine}"),
        "news": (0, lambda run: "clock?" if run.seconds_since is None else duration_in_words(run.seconds_since)),
    }
    shown = {name: cell for name, (least, cell) in columns.items() if width >= least}
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in shown:
        is_text = name in {"  run", "process"}
        table.add_column(name, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    for run in runs:
        table.add_row(*(cell(run) for cell in shown.values()), style="yellow" if run.killed else None)
    return table


def _metric_of(runs: Sequence[UnderWay]) -> str:
    """The name of what is measured on validation images; of several, none."""
    names = {name.removeprefix(VALIDATION) for run in runs for name in run.last if name.startswith(VALIDATION)}
    return metric_name(names.pop()) if len(names) == 1 else "validated"


def _validated(run: UnderWay) -> str:
    values = [value for name, value in run.last.items() if name.startswith(VALIDATION)]
    return ", ".join(f"{100 * value:.1f} %" for value in values)


def _left(run: UnderWay) -> str:
    """The time that is left of the training; what else a run does, takes as long as it takes."""
    if run.killed or run.phase != "training":
        return "killed?" if run.killed else run.phase
    return "" if run.seconds_left is None else duration_in_words(run.seconds_left)
