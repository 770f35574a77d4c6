"""A run that two devices share, beside the same run by one: equal but for rounding."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from relbench.benchmarks.cell import experiments
from relbench.benchmarks.figure import Figure
from relbench.execution import Execution
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder
from relbench.run import run
from relbench.trackers import Silent

STEPS = {"steps": 2, "validate_every": 1}  # differences grow from step to step: the first is judged
ROUNDING = 1e-4  # relative, of a loss in float32
DEVICES = 2


def figures(device: str) -> Iterator[Figure]:
    """How far the losses of a step depart from one device's; on a machine with one GPU, that there are no two.

    Args:
        device: "cpu" or "cuda".
    """
    there = torch.cuda.device_count()
    if device == "cuda" and there < DEVICES:
        yield Figure(name="GPUs that could share a run", value=there, unit="", why="not measured: that takes two")
        return
    alone, shared = _both(device)
    yield Figure(
        name=f"{device}: relative difference of a loss where {shared.devices} devices share the run",
        value=_difference(alone, shared),
        unit="",
        target=ROUNDING,
        why=f"{DEVICES} processes exchange outputs and gradients by {'nccl' if device == 'cuda' else 'gloo'}",
    )


def _both(device: str) -> tuple[Row, Row]:
    """Rows of the same student of the same teacher, made by one device and by several."""
    values = {f"{arm}.{key}": value for arm in ("teacher", "student") for key, value in STEPS.items()}
    teacher, student = experiments("toy", device, values)
    with TemporaryDirectory(prefix="relbench-shared-") as name:
        folder = Path(name)
        run(teacher, folder / "runs", folder, Silent())
        alone = run(student, folder / "runs", folder, Silent())
        RunFolder(folder / "runs", student).checkpoint.unlink()
        return alone, run(student, folder / "runs", folder, Silent(), Execution(DEVICES))


def _difference(alone: Row, shared: Row) -> float:
    """The largest of the loss terms of the first step."""
    terms = [term.loss for term in alone.experiment.terms]
    return max(abs(shared.history[0][term] / alone.history[0][term] - 1) for term in terms)
