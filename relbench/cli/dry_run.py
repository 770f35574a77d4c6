"""Dry runs: the number of runs that a command would make, their states, time and disk; each of them, if asked for."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from relbench.cli.console import out
from relbench.cli.executors import tell_alone
from relbench.cli.options import RunOptions, measuring, tell
from relbench.data import find_data_set, find_photos
from relbench.execution import USUAL, Execution
from relbench.experiment import Data, Experiment
from relbench.grid.estimate import (
    BEFORE,
    LONGEST,
    Estimate,
    ImageCounts,
    estimated,
    image_counts,
    is_there,
    measured_rates,
    total,
)
from relbench.grid.longer import gone_on_with, shorter_runs
from relbench.grid.order import Cohort, Limits
from relbench.grid.plan import PendingRun
from relbench.grid.rehearsal import rehearsed
from relbench.grid.room import Room
from relbench.grid.scheduler import jobs_for
from relbench.plain_text import counted, duration_in_words
from relbench.preflight import check_plan
from relbench.resolve import resolve_device
from relbench.results.records import Row
from relbench.results.reuse import to_be_linked
from relbench.results.run_folder import RunFolder
from relbench.studies.study import PlannedRun
from relbench.training.cohorts import executes_users_code
from relbench.transforms import PhotoTransform

FINISHED = "finished"
UNDECIDED = "waits for a learning rate to be chosen"
KINDS = {
    "teacher": "teachers",
    "student": "students",
    "control": "controls",
    "stage": "first stages",
    "tuning": "runs that choose a learning rate",
}
LATER = "runs whose learning rate is chosen later"


@dataclass(frozen=True)
class RunState:
    """The state of a run.

    Attributes:
        words: for the list of runs.
        row: of a run that is finished here or elsewhere.
        steps: done of one that has begun.
    """

    words: str
    row: Row | None = None
    steps: int = 0


def show_plan(planned: Sequence[PlannedRun | PendingRun], folder: Path, options: RunOptions) -> None:
    """Print a summary of the runs, the list of them if it is asked for, and what is left to make; make nothing.

    Args:
        planned: runs in an order in which they can be made.
        folder: of the study.
        options: where data and other studies are, how many run at once, and how much is to be shown.

    Raises:
        ValueError: a row or checkpoint is damaged.
    """
    states = _states(planned, folder / "runs", options.results)
    waiting = {run.name: run.experiment for run in planned if states[run.name].row is None}
    _check(list(waiting.values()), options.data)
    images = {data: image_counts(data, options.data) for data in dict.fromkeys(run.data for run in waiting.values())}
    shorter = shorter_runs({run.fingerprint: run for run in waiting.values()}, folder / "runs", options.results)
    estimates = _estimates(waiting, states, shorter, images, options)
    out.print(_listed(planned, states, estimates) if options.list_runs else _summary(planned, states))
    _print_total(waiting, estimates, shorter, images, options)
    if shorter:
        tell(gone_on_with(shorter.values()))


def _check(waiting: Sequence[Experiment], folder: Path) -> None:
    """Refuse what the runs themselves would refuse, as far as it shows without a look at images."""
    for data in dict.fromkeys(run.data for run in waiting):
        data_set = find_data_set(data.name, folder)
        if is_there(data, folder):
            runs = [run for run in waiting if run.data == data]
            check_plan(runs, data_set.table(data, folder), data_set)
        else:
            find_photos(data.name, folder).check(data)


def _states(planned: Sequence[PlannedRun | PendingRun], runs: Path, results: Path) -> dict[str, RunState]:
    cells = [run for run in planned if isinstance(run, PlannedRun)]
    elsewhere = to_be_linked([cell.experiment for cell in cells], runs, results)
    known = {cell.name: _state(cell.experiment, runs, elsewhere.get(cell.name)) for cell in cells}
    return {run.name: known.get(run.name) or RunState(UNDECIDED) for run in planned}


def _state(run: Experiment, runs: Path, elsewhere: Path | None) -> RunState:
    folder = RunFolder(elsewhere or runs, run)
    if row := folder.finished():
        return RunState(f"{FINISHED} in {elsewhere.parent.name}" if elsewhere else FINISHED, row)
    steps = folder.state()["step"] if folder.checkpoint.exists() else 0
    return RunState("begun" if steps else "to do", steps=steps)


def _estimates(
    waiting: Mapping[str, Experiment],
    states: Mapping[str, RunState],
    shorter: Mapping[str, RunFolder],
    images: Mapping[Data, ImageCounts],
    options: RunOptions,
) -> dict[str, Estimate]:
    """By name. Runs whose settings are not known yet are taken for others that look alike."""
    runs = list(waiting.values())
    rows = [state.row for state in states.values() if state.row and state.row.devices == options.execution.devices]
    rates = measured_rates(runs, images, rows, measuring) if options.estimate else {}
    done = {run.fingerprint: states[name].steps for name, run in waiting.items()}
    done |= {name: folder.experiment.training.steps for name, folder in shorter.items()}
    found = estimated(runs, images, rows, rates, done=done)
    return {name: found[run.fingerprint] for name, run in waiting.items()}


def _summary(planned: Sequence[PlannedRun | PendingRun], states: Mapping[str, RunState]) -> Table:
    """One line for each kind of run."""
    table = Table("runs", "number", "steps each", "finished", "begun", box=None)
    for kind in dict.fromkeys(map(_kind, planned)):
        runs = [run for run in planned if _kind(run) == kind]
        finished = sum(states[run.name].row is not None for run in runs)
        begun = sum(states[run.name].steps > 0 for run in runs)
        table.add_row(kind, f"{len(runs):,}", _steps(runs), f"{finished:,}", f"{begun:,}")
    return table


def _steps(runs: Sequence[PlannedRun | PendingRun]) -> str:
    return _from_to([run.experiment.training.steps for run in runs])


def _kind(run: PlannedRun | PendingRun) -> str:
    return KINDS[run.role] if isinstance(run, PlannedRun) else LATER


def _listed(
    planned: Sequence[PlannedRun | PendingRun], states: Mapping[str, RunState], estimates: Mapping[str, Estimate]
) -> Table:
    """One line for each run, with what it builds on."""
    labels = {cell.name: cell.label for cell in planned}
    table = Table("run", "state", "time", "disk", box=None)
    for run in planned:
        table.add_row(*_line(run, states[run.name], labels, estimates.get(run.name)))
    return table


def _line(
    planned: PlannedRun | PendingRun, state: RunState, labels: Mapping[str, str], estimate: Estimate | None
) -> tuple[Text, str, str, str]:
    run = planned.experiment
    grounds = [labels.get(ground.fingerprint, ground.fingerprint) for ground in run.dependencies.values()]
    told = [planned.name]
    if isinstance(planned, PendingRun):  # what it is like is not what it will be, not even its teacher
        told, grounds = [], [ground.partition(" at ")[0] for ground in grounds]
    told += [counted(run.training.steps, "step"), *([f"after {' and '.join(grounds)}"] if grounds else [])]
    name = Text.assemble(f"{planned.label}, seed {run.seed}\n", ("  " + ", ".join(told), "dim"), overflow="fold")
    return name, state.words, *((_time(estimate), decimal(estimate.disk)) if estimate else ("", ""))


def _time(estimate: Estimate) -> str:
    return "?" if estimate.seconds is None else duration_in_words(estimate.seconds)


def _print_total(
    waiting: Mapping[str, Experiment],
    estimates: Mapping[str, Estimate],
    shorter: Mapping[str, RunFolder],
    images: Mapping[Data, ImageCounts],
    options: RunOptions,
) -> None:
    if not waiting:
        tell("nothing is left to run")
        return
    runs = list(waiting.values())
    devices = options.execution.devices
    jobs = options.jobs or jobs_for(runs, devices)
    room = Room(images, jobs, devices=devices)
    begun_by = {name: folder.experiment.fingerprint for name, folder in shorter.items()}
    limits = Limits(jobs, options.together, room.fits)
    cohorts = rehearsed(waiting, limits, _steps_of, begun_by).cohorts
    whole = total([[estimates[name] for name in cohort] for cohort in cohorts], jobs)
    tell(f"{counted(len(waiting), 'run')} to make, {_together(cohorts)}{jobs} at once; disk: {decimal(whole.disk)}")
    tell_alone(options)
    tell(_memory_of_all(cohorts, room))
    tell(_time_of_all(whole, sum(estimate.seconds is None for estimate in estimates.values()), runs, options))
    if not options.list_runs:
        tell("--runs lists each run, with what it builds on")


def _steps_of(cohort: Cohort) -> float:
    """Stands for the time of a cohort, which may not be known."""
    return float(sum(run.training.steps for run in cohort.values()))


def _together(cohorts: Sequence[Cohort]) -> str:
    """How many runs are trained together; "" if none are."""
    sizes = sorted({len(cohort) for cohort in cohorts})
    if sizes == [1]:
        return ""
    return f"in {counted(len(cohorts), 'cohort')} of {_from_to(sizes)} that are trained together, "


def _memory_of_all(cohorts: Sequence[Cohort], room: Room) -> str:
    """The most that a cohort takes, beside what there is."""
    known = [runs for cohort in cohorts if not any(map(executes_users_code, runs := list(cohort.values())))]
    if not known:
        return "memory: not known, as losses from your files are not executed to find out"
    most = max(known, key=room.taken)
    device, taken = most[0].training.device, room.taken(most)
    share, where = room.share(device), "on the GPU" if device == "cuda" else "here"
    each = f" for each of {processes}" if (processes := room.processes(device)) > 1 else ""
    free = "" if math.isinf(share) else f", of {decimal(int(share))} that are free {where}"
    short = "" if taken <= share else "; that may not be enough: fewer --jobs or a smaller batch_size need less"
    return f"memory: about {decimal(taken)} at most{each}{free}{short}"


def _from_to(numbers: Collection[int]) -> str:
    """500, or 500 to 8,000."""
    return " to ".join(f"{end:,}" for end in sorted({min(numbers), max(numbers)}))


def _time_of_all(whole: Estimate, unknown: int, waiting: Sequence[Experiment], options: RunOptions) -> str:
    """How long all runs take together, or why that is not known."""
    if whole.seconds is None:
        return _why_unknown({run.training.device for run in waiting}, options)
    covered = f"{len(waiting) - unknown} of the {len(waiting)} runs" if unknown else "all of them"
    files = any(find_data_set(run.data.name, options.data).transform is PhotoTransform for run in waiting)
    more = "; reading and decoding image files comes on top" if files else ""
    devices = options.execution.devices
    alone = f" of one process: what {devices} take was not measured" if devices > 1 and whole.measured != BEFORE else ""
    judged = f"judging by {whole.measured}{alone}{more}{_not_in_it(options.execution)}"
    return f"time: about {duration_in_words(whole.seconds)} for {covered}, {judged}"


def _not_in_it(execution: Execution) -> str:
    """The options that no estimate knows, if they are given."""
    given = {"--workers": execution.workers != USUAL.workers, "--views-on": execution.views != USUAL.views}
    names = " and ".join(name for name, is_given in given.items() if is_given)
    return f"; what {names} may change is not in it" if names else ""


def _why_unknown(devices: Collection[str], options: RunOptions) -> str:
    if not options.estimate:
        return f"time: not known yet; --estimate measures it here, in {LONGEST:.0f} s at most"
    if "cuda" in devices and resolve_device("auto") == "cpu":
        return "time: not known, as it can only be measured on a GPU, and torch sees none here"
    return f"time: not known, as no training step could be measured within {LONGEST:.0f} s"
