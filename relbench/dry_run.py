"""What a command would do: each run, what it builds on, its state, and what it would take."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from relbench.console import out
from relbench.estimate import Estimate, estimated, image_counts, in_words, total
from relbench.experiment import Experiment
from relbench.grid import jobs_for
from relbench.kept import RunFolder
from relbench.ledger import Row
from relbench.making import Call, measuring, tell
from relbench.report.wording import counted
from relbench.reuse import to_be_taken_over
from relbench.studies import Cell
from relbench.table_plan import Undecided

FINISHED = "finished"
UNDECIDED = "once a rate is chosen"


@dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes:
        words: for the table.
        row: of a run that is finished here or elsewhere.
        steps: done of one that has begun.
    """

    words: str
    row: Row | None = None
    steps: int = 0


def show_plan(planned: Sequence[Cell | Undecided], folder: Path, call: Call) -> None:
    """Print each run, and what all together would take; do nothing.

    Args:
        planned: runs in an order in which they can be made.
        folder: of the study.
        call: where data and other studies are, and how many run at once.

    Raises:
        ValueError: a row or checkpoint is damaged.
    """
    states = _states(planned, folder / "runs", call.results)
    waiting = {one.name: one.experiment for one in planned if states[one.name].row is None}
    estimates = _estimates(waiting, states, call)
    labels = {cell.name: cell.label for cell in planned}
    table = Table("run", "state", "time", "disk", box=None)
    for one in planned:
        table.add_row(*_line(one, states[one.name], labels, estimates.get(one.name)))
    out.print(table)
    _print_total(list(waiting.values()), list(estimates.values()), call)


def _states(planned: Sequence[Cell | Undecided], runs: Path, results: Path) -> dict[str, State]:
    cells = [one for one in planned if isinstance(one, Cell)]
    elsewhere = to_be_taken_over([cell.experiment for cell in cells], runs, results)
    known = {cell.name: _state(cell.experiment, runs, elsewhere.get(cell.name)) for cell in cells}
    return {one.name: known.get(one.name) or State(UNDECIDED) for one in planned}


def _state(run: Experiment, runs: Path, elsewhere: Path | None) -> State:
    folder = RunFolder(elsewhere or runs, run)
    if row := folder.finished():
        return State(f"{FINISHED} in {elsewhere.parent.name}" if elsewhere else FINISHED, row)
    steps = folder.state()["step"] if folder.checkpoint.exists() else 0
    return State("begun" if steps else "to do", steps=steps)


def _estimates(waiting: dict[str, Experiment], states: dict[str, State], call: Call) -> dict[str, Estimate]:
    """By name. Runs whose settings are not known yet are taken for others that look alike."""
    images = {data: image_counts(data, call.data) for data in dict.fromkeys(one.data for one in waiting.values())}
    rows = [state.row for state in states.values() if state.row]
    done = {waiting[name].fingerprint: states[name].steps for name in waiting}
    found = estimated(list(waiting.values()), images, rows, measuring, done=done)
    return {name: found[run.fingerprint] for name, run in waiting.items()}


def _line(
    one: Cell | Undecided, state: State, labels: dict[str, str], estimate: Estimate | None
) -> tuple[Text, str, str, str]:
    run = one.experiment
    grounds = [labels.get(ground.fingerprint, ground.fingerprint) for ground in run.foundations.values()]
    told = [one.name]
    if isinstance(one, Undecided):  # what it is like is not what it will be, not even its teacher
        told, grounds = [], [ground.partition(" at ")[0] for ground in grounds]
    told += [counted(run.protocol.steps, "step"), *([f"after {' and '.join(grounds)}"] if grounds else [])]
    name = Text.assemble(f"{one.label}, seed {run.seed}\n", ("  " + ", ".join(told), "dim"), overflow="fold")
    return name, state.words, *((in_words(estimate.seconds), decimal(estimate.disk)) if estimate else ("", ""))


def _print_total(waiting: Sequence[Experiment], estimates: Sequence[Estimate], call: Call) -> None:
    if not waiting:
        tell("no run is left to make")
        return
    jobs = call.jobs or jobs_for(waiting)
    whole = total(estimates, jobs)
    tell(
        f"{len(waiting)} runs to make: about {in_words(whole.seconds)} with {jobs} at once, "
        f"{decimal(whole.disk)} of disk (time by {whole.measured}; reading and decoding of images not counted)"
    )
