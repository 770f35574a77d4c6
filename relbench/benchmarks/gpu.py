"""A check for machines with a GPU: does everything hold there, and how fast is it? A file of figures, and a table.

It needs neither network nor data. Each part is on its own: one that fails is told with its error, even if it takes its
process or the GPU's state along, and the file is written after each, so that nothing is lost. On the CPU all is of toy
size, which shows that it runs and nothing else.
"""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relbench.benchmarks import (
    agreement,
    cell,
    cohort,
    evaluation,
    exactness,
    loading,
    resume,
    shared,
    step,
    views,
    waits,
)
from relbench.benchmarks import angle as angle_loss
from relbench.benchmarks.apart import Apart, tell_on_stderr
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.section import Part, Section, measure
from relbench.benchmarks.timing import now
from relbench.evaluation import retrieval_metrics
from relbench.files import atomic_write
from relbench.machine import describe_machine
from relbench.results.records import Machine
from relbench.settings import Settings

PRECISIONS: Mapping[str, Mapping[str, Any]] = {
    "32-true": {},
    "tf32": {"training.precision": "tf32"},
    "bf16-mixed, channels last": {"training.precision": "bf16-mixed", "training.channels_last": True},
}
ANGLE_SIZES = ((128, 512), (128, 128), (128, 32), (256, 512), (37, 12))  # the last is no multiple of any tile's side
CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
FIXED_ORDER = ":4096:8"  # what cuBLAS must be told before its first product, or it takes sums in any order


class Report(Settings):
    """What a check has found: the file `gpu.json`.

    Attributes:
        machine: with the card's name, and versions.
        driver: of the card; empty on the CPU.
        device: "cpu" or "cuda".
        toy: whether all was of toy size, whose figures mean nothing.
        sections: those that are done.
    """

    machine: Machine
    driver: str
    device: str
    toy: bool
    sections: tuple[Section, ...] = ()


def check(device: str, file: Path, tell: Callable[[str], None]) -> Report:
    """Go through all parts.

    Args:
        device: "cuda"; or "cpu", at toy size.
        file: is written before the first part, so that one that can't be is told at once, and after each.
        tell: is told of each part and figure at once; on a GPU they are written to stderr.

    Raises:
        ValueError: there is no GPU.
        OSError: the file can't be written.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch sees no GPU: give --device cpu to see that all runs, at toy size")
    os.environ.setdefault(CUBLAS, FIXED_ORDER)
    report = Report(
        machine=describe_machine(torch.device(device)), driver=_driver(device), device=device, toy=device == "cpu"
    )
    _write(report, file)
    with ExitStack() as stack:
        if device == "cuda":
            measured: Callable[[str], Section] = stack.enter_context(Apart(on_the_gpu))
        else:
            measured = partial(_here, tell)
        for name in parts(device):
            report = report.model_copy(update={"sections": (*report.sections, measured(name))})
            _write(report, file)
    return report


def on_the_gpu(name: str) -> Section:
    """A part, measured in this process."""
    return measure(name, parts("cuda")[name], tell_on_stderr)


def _here(tell: Callable[[str], None], name: str) -> Section:
    return measure(name, parts("cpu")[name], tell)


def _write(report: Report, file: Path) -> None:
    with atomic_write(file) as temporary:
        temporary.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")


def parts(device: str) -> dict[str, Part]:
    """Parts by name: first what must hold, then what it costs."""
    if device == "cpu":
        return _parts_of_toys()
    return {
        "losses": partial(agreement.figures, device),
        "waits": partial(waits.figures, device),
        "exactness": partial(exactness.figures, device),
        "resuming": partial(resume.figures, device),
        "two devices": partial(shared.figures, device),
        "views": partial(views.on_device, device),
        "angle": partial(angle, device),
        **{f"step, {name}": partial(_step, device, name) for name in PRECISIONS},
        "cohort": partial(cohort.table, device, "full", PRECISIONS["bf16-mixed, channels last"]),
        **{f"cell, {name}": partial(_cell, device, name) for name in PRECISIONS},
        "loading": partial(loading.figures, loading.Loop(device), PRECISIONS),
        "evaluation": partial(evaluated, device),
    }


def _parts_of_toys() -> dict[str, Part]:
    loop = loading.Loop("cpu", "toy", workers=0, started=1, counted=2)
    return {
        "losses": partial(agreement.figures, "cpu"),
        "waits": waits.figures,
        "exactness": partial(exactness.figures, "cpu", count=300),
        "resuming": partial(resume.figures, "cpu"),
        "two devices": partial(shared.figures, "cpu"),
        "views": partial(views.on_device, "cpu", rounds=1),
        "angle": partial(angle, "cpu", sizes=((8, 4),)),
        "step": partial(step.figures, step.Plan(scale="toy", settings={}, rounds=2)),
        "cohort": partial(cohort.table, "cpu", "toy", {}, rounds=2, steps=1),
        "cell": partial(cell.figures, "cpu", "toy", {}, "32-true"),
        "loading": partial(loading.figures, loop, {"32-true": {}}),
        "evaluation": partial(evaluated, "cpu", count=1500, dim=8),
    }


def _step(device: str, name: str) -> Iterator[Figure]:
    plan = step.Plan(device, "full", PRECISIONS[name], rounds=5, steps=5)
    yield from step.figures(plan, f", {name}")
    yield step.memory(plan, f", {name}")


def _cell(device: str, name: str) -> Iterator[Figure]:
    own = {key.removeprefix("training."): value for key, value in PRECISIONS[name].items()}
    yield from cell.figures(device, "full", own, name)


def angle(device: str, sizes: tuple[tuple[int, int], ...] = ANGLE_SIZES) -> Iterator[Figure]:
    """RKD-A by each kernel beside the plain form: the same loss and gradient, and how much faster with its gradient.

    Args:
        device: "cpu" or "cuda".
        sizes: pairs of batch and dim.
    """
    for batch, dim in sizes:
        yield from angle_loss.departures(device, batch, dim)
        yield from angle_loss.speeds(device, batch, dim)


def evaluated(device: str, count: int = 60_502, dim: int = 512) -> Iterator[Figure]:
    """All metrics of as many embeddings as Stanford Online Products has.

    Args:
        device: "cpu" or "cuda", where the embeddings are.
        count: rows.
        dim: columns.
    """
    rows, labels = evaluation.clustered(count, dim, np.random.default_rng(0))
    embeddings = torch.from_numpy(rows).to(device)
    retrieval_metrics(embeddings[:2000], labels[:2000], (1,))
    start = now(device)
    metrics = retrieval_metrics(embeddings, labels, evaluation.KS)
    took = now(device) - start
    name = f"Recall@1,10,100,1000, R-precision and MAP@R of {count:,} x {dim}"
    yield Figure(name=f"{name}: time", value=took, unit="s", why=f"Recall@1 {100 * metrics['recall@1']:.2f} %")


def _driver(device: str) -> str:
    """The card's driver, as its own tool says; nothing where that is missing."""
    if device == "cpu":
        return ""
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip()
