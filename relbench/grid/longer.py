"""Longer runs that go on from the checkpoint of a shorter one, which differs from them in its number of steps alone.

A training goes through the same states however far it goes, as long as its learning rates are the same. So a run of
more steps need not repeat those of a run of fewer. The weights are the same to the last bit as without, and so is all
of the row but the times: `train_seconds` includes those of the shorter run.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic_core import from_json

from relbench.experiment import Experiment
from relbench.files import read_regular
from relbench.machine import describe_machine
from relbench.plain_text import counted, listed
from relbench.results.checkpoint import save_checkpoint
from relbench.results.records import Row, read_record
from relbench.results.run_folder import RunFolder
from relbench.training.schedule import gone_on_from, may_go_on_from

Kin = str
"""What a longer run and a shorter one have in common."""


def shorter_runs(waiting: Mapping[str, Experiment], runs: Path, results: Path) -> dict[str, RunFolder]:
    """The longest run that each can go on from, finished or one of those that wait; by the longer run's fingerprint.

    Runs that have begun go on from their own checkpoint. Those with a user's loss begin at the first step: nobody knows
    what it remembers.

    Args:
        waiting: runs that are not finished.
        runs: holds a folder for each of them.
        results: holds the folders of all studies, whose finished runs serve as well.

    Raises:
        ValueError: the row of a run that might serve is damaged; one line.
    """
    longer = {name: run for name, run in waiting.items() if _may_go_on(RunFolder(runs, run))}
    kin = {name: _kin(run) for name, run in longer.items()}
    serving: dict[Kin, list[RunFolder]] = {common: [] for common in kin.values()}
    for run in waiting.values():
        serving.get(_kin(run), []).append(RunFolder(runs, run))
    for common, folder in _finished(results, serving):
        serving[common].append(folder)
    fitting = {name: [each for each in serving[kin[name]] if _serves(each, runs, run)] for name, run in longer.items()}
    return {name: max(found, key=_steps) for name, found in fitting.items() if found}


def _may_go_on(folder: RunFolder) -> bool:
    return not folder.checkpoint.exists() and not any(term.source for term in folder.experiment.terms)


def _serves(shorter: RunFolder, runs: Path, longer: Experiment) -> bool:
    """Whether a run is the beginning of a longer one, and was built on the weights that are here."""
    if not may_go_on_from(longer, shorter.experiment):
        return False
    if shorter.runs.resolve() == runs.resolve():
        return True
    row, here = shorter.finished(), RunFolder(runs, longer).dependencies()
    needed = {what: here.get(base.fingerprint) for what, base in longer.dependencies.items()}
    return row is not None and row.dependencies == {what: base.weights_hash for what, base in needed.items() if base}


def _steps(folder: RunFolder) -> int:
    return folder.experiment.training.steps


def gone_on_with(shorter: Collection[RunFolder]) -> str:
    """Words on the runs that longer ones go on from."""
    goes, it = ("goes", "its") if len(shorter) == 1 else ("go", "their")
    steps = [f"{step:,}" for step in sorted(set(map(_steps, shorter)))]
    return (
        f"{counted(len(shorter), 'run')} {goes} on from step {listed(steps)} of the same training with fewer steps, "
        f"which does not change {it} weights"
    )


def begin_with(shorter: RunFolder, longer: RunFolder) -> None:
    """Give a run the last state of a shorter one as its checkpoint.

    Raises:
        ValueError: a file of the shorter run is damaged; one line.
        OSError: the checkpoint can't be written.
    """
    try:
        state = shorter.state()
    except ValueError as error:
        raise ValueError(f"{error} (to run it again, delete {shorter.path})") from None
    save_checkpoint(gone_on_from(state, longer.experiment), longer.checkpoint)


def _kin(run: Experiment) -> Kin:
    settings: dict[str, Any] = from_json(run.model_dump_json())
    return _common(settings)


def _common(settings: dict[str, Any]) -> Kin:
    """All settings but the number of steps, and the shares of them after which the rate decays."""
    training = {name: value for name, value in settings["training"].items() if name not in {"steps", "decay_at"}}
    return json.dumps(settings | {"training": training}, sort_keys=True)


def _finished(results: Path, kin: Collection[Kin]) -> Iterator[tuple[Kin, RunFolder]]:
    """Runs of this and other studies that were finished on this machine, with all their files."""
    for path in sorted(results.glob("*/runs/*/row.json")) if kin else ():
        common = _kin_of_row(path)
        if common is None or common not in kin:
            continue
        row = read_record(Row, path)
        folder = RunFolder(path.parents[1], row.experiment)
        if _is_of_this_machine(row) and all(file.exists() for file in folder.files):
            yield common, folder


def _kin_of_row(path: Path) -> Kin | None:
    """Found without a look at what is not asked for: there may be thousands."""
    try:
        return _common(from_json(read_regular(path))["experiment"])
    except (ValueError, LookupError, TypeError, AttributeError, OSError):  # not a row that could be asked for
        return None


def _is_of_this_machine(row: Row) -> bool:
    """Whether this machine would have come to the same bits."""
    device = row.experiment.training.device
    if device == "cuda" and not torch.cuda.is_available():
        return False
    here = describe_machine(torch.device(device))
    return (row.machine.device, row.machine.versions) == (here.device, here.versions)
