"""What it costs to share a run between devices: a step of two processes, beside one of a single process.

The step is that of the training loop, with images that are there: each process shows its half of them to teacher and
student, all compute the losses of the whole batch, and gradients are summed. Work that is done more than once shows in
the processor time of both processes; that they wait for each other, in the time on the clock. All forms take turns.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from relbench.benchmarks.cell import experiments
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.step import CLASSES, NO_END, ON_THE_CPU, alone, made_up
from relbench.benchmarks.timing import ratio, seconds
from relbench.experiment import Experiment
from relbench.ranks import Ranks, launched
from relbench.studies.study import Scale
from relbench.training.assemble import UntrainedNetworks
from relbench.training.computing import computing
from relbench.training.division import Layout

DEVICES = 2
FORMS = {"shared": (DEVICES, 1), "threads": (1, DEVICES), "single": (1, 1)}
"""Processes, and threads of each."""

SIZES: Mapping[str, tuple[Scale, Mapping[str, Any]]] = {
    "small": ("toy", {"training.batch_size": 64}),
    "realistic": ("full", ON_THE_CPU),
}
"""By name: small networks and images; those of RKD's Table 1, at the size that fits a CPU."""

IDLE = "where cores are idle: on a busy machine the threads of a process wait for each other far longer"


def figures(
    sizes: Mapping[str, tuple[Scale, Mapping[str, Any]]] = SIZES, rounds: int = 3, steps: int = 1
) -> Iterator[Figure]:
    """The start of processes, and the step of all forms.

    Args:
        sizes: see `SIZES`.
        rounds: timings of each form.
        steps: in each timing, after one that is not timed.
    """
    start = time.perf_counter()
    launched(_nothing, DEVICES, "cpu")
    began = time.perf_counter() - start
    yield Figure(name=f"{DEVICES} devices: start and end", value=began, unit="s", why="torch is loaded in each")
    for name, (scale, settings) in sizes.items():
        student = experiments(scale, "cpu", {**settings, **NO_END})[1]
        taken = [{form: _launched(form, student, steps) for form in FORMS} for _ in range(rounds)]
        clock, processor = (
            {form: [each[form][kind] for each in taken] for form in FORMS} for kind in ("clock", "processor")
        )
        yield from _compared(f"{name} step, {student.training.batch_size} x {student.data.size} px", clock, processor)


def _compared(size: str, clock: Mapping[str, list[float]], processor: Mapping[str, list[float]]) -> Iterator[Figure]:
    yield ratio(
        f"{size}: processor time of {DEVICES} devices, times that of 1", processor["shared"], processor["single"]
    )
    yield seconds(f"{size}, 1 device: processor time", processor["single"])
    said = f"{size}: time on the clock of {DEVICES} devices, times that of 1 with {DEVICES} threads"
    yield ratio(said, clock["shared"], clock["threads"], why=IDLE)
    yield seconds(f"{size}, {DEVICES} devices: time on the clock", clock["shared"])


def _launched(form: str, student: Experiment, steps: int) -> dict[str, float]:
    count, threads = FORMS[form]
    return launched(step_seconds, count, "cpu", student, threads, steps)


def step_seconds(ranks: Ranks, student: Experiment, threads: int, steps: int) -> dict[str, float]:
    """Seconds of a step, the mean of some: on this process's clock, and of the processors of all ranks.

    Args:
        ranks: that share it.
        student: what is trained.
        threads: of this process.
        steps: how many are timed, after one that is not.
    """
    layout = Layout(parts=student.training.batch_norm_parts, ranks=ranks)
    with computing(threads, student.training.precision):
        step = alone(student, made_up(student, layout), UntrainedNetworks(3, CLASSES))
        step()
        ranks.wait()
        clock, processor = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return {"clock": clock / steps, "processor": sum(ranks.objects(processor)) / steps}


def _nothing(ranks: Ranks) -> None:
    """Be there, and wait for the others."""
    ranks.wait()
