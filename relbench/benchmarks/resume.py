"""A run that is stopped between two checkpoints and resumed, beside one that is not."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from relbench.benchmarks.cell import experiments
from relbench.benchmarks.figure import Figure
from relbench.experiment import Experiment
from relbench.results.records import Row
from relbench.run import run
from relbench.trackers import Silent

SAME = ("metrics", "history", "validation", "selected_step", "weights_hash", "embeddings_hash")
STEPS = {"steps": 9, "validate_every": 3}
STOPPED = 5  # after this step, which is no checkpoint's


class _Stop(Exception):  # noqa: N818 - nothing is wrong
    """Ends a run between two checkpoints."""


class _StopsAt(Silent):
    def __init__(self, last: int) -> None:
        self._last = last

    def step(self, done: int) -> None:
        if done == self._last:
            raise _Stop


def figures(device: str) -> Iterator[Figure]:
    """Whether a run that was stopped between checkpoints ends as one that was not, bit by bit in a fixed order.

    Args:
        device: "cpu" or "cuda".
    """
    values = {f"{arm}.{key}": value for arm in ("teacher", "student") for key, value in STEPS.items()}
    teacher, student = experiments("toy", device, values)
    with TemporaryDirectory(prefix="relbench-resume-") as folder, _fixed_order():
        data = Path(folder) / "data"
        rows = [
            _row(teacher, student, Path(folder) / name, data, stop)
            for name, stop in (("whole", 0), ("stopped", STOPPED))
        ]
    different = [name for name in SAME if getattr(rows[0], name) != getattr(rows[1], name)]
    yield Figure(
        name=f"{device}: parts of a row that differ after an interruption, in a fixed order of sums",
        value=len(different),
        unit="",
        target=0,
        why=", ".join(different),
    )


def _row(teacher: Experiment, student: Experiment, runs: Path, data: Path, stop: int) -> Row:
    run(teacher, runs, data, Silent())
    if stop:
        with suppress(_Stop):
            run(student, runs, data, _StopsAt(stop))
    return run(student, runs, data, Silent())


@contextmanager
def _fixed_order() -> Iterator[None]:
    """Sums are taken in a fixed order, which torch does on a GPU only when it is told to."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before)
