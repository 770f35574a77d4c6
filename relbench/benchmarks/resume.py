"""A run that is stopped between two checkpoints and resumed, beside one that is not."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from relbench.benchmarks.cell import experiments
from relbench.benchmarks.figure import Figure
from relbench.results.records import Row
from relbench.run import run
from relbench.trackers import Silent

SAME = ("metrics", "history", "validation", "selected_step", "weights_hash", "embeddings_hash")
STEPS = {"steps": 9, "validate_every": 3}
STOPPED = 5  # after this step, which is no checkpoint's
ROUNDING = 0.01  # relative, of a loss a few steps later: differences grow from step to step


class _Stop(Exception):  # noqa: N818 - nothing is wrong
    """Ends a run between two checkpoints."""


class _StopsAt(Silent):
    def __init__(self, last: int) -> None:
        self._last = last

    def step(self, done: int) -> None:
        if done == self._last:
            raise _Stop


class _Notes(Silent):
    """Notes the steps that are done, the one that a run begins with first."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def step(self, done: int) -> None:
        self.steps.append(done)


def figures(device: str) -> Iterator[Figure]:
    """Whether a run that was stopped between checkpoints ends as one that was not.

    Bit by bit in a fixed order of sums; in any order to rounding, at the first entry of the history after it.

    Args:
        device: "cpu" or "cuda".
    """
    with _fixed_order():
        whole, stopped = _both(device)
    different = [name for name in SAME if getattr(whole, name) != getattr(stopped, name)]
    yield Figure(
        name=f"{device}: parts of a row that differ after an interruption, in a fixed order of sums",
        value=len(different),
        unit="",
        target=0,
        why=", ".join(different),
    )
    whole, stopped = _both(device)
    yield Figure(
        name=f"{device}: relative difference of a loss after an interruption, in any order of sums",
        value=_difference(whole, stopped),
        unit="",
        target=ROUNDING,
    )


def _difference(whole: Row, stopped: Row) -> float:
    """The largest of the loss terms of the first entry after the interruption."""
    entries = [next(entry for entry in row.history if entry["step"] > STOPPED) for row in (whole, stopped)]
    terms = [name for name in entries[0] if name.startswith("rkd")]
    return max(abs(entries[1][name] / entries[0][name] - 1) for name in terms)


def _both(device: str) -> tuple[Row, Row]:
    """Rows of the same run, made at a stretch and with an interruption."""
    values = {f"{arm}.{key}": value for arm in ("teacher", "student") for key, value in STEPS.items()}
    teacher, student = experiments("toy", device, values)
    with TemporaryDirectory(prefix="relbench-resume-") as name:
        folder = Path(name)
        for runs in ("whole", "stopped"):
            run(teacher, folder / runs, folder, Silent())
        whole = run(student, folder / "whole", folder, Silent())
        with suppress(_Stop):
            run(student, folder / "stopped", folder, _StopsAt(STOPPED))
        resumed = _Notes()
        stopped = run(student, folder / "stopped", folder, resumed)
    if resumed.steps[0] == 0:
        raise RuntimeError("the run that was stopped has begun anew")
    return whole, stopped


@contextmanager
def _fixed_order() -> Iterator[None]:
    """Sums are taken in a fixed order, which torch does on a GPU only when it is told to."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before)
