"""Times that stay true on a busy machine: of a single thread, in turns, as medians with their quartiles.

On the CPU, what counts is the processor time of this process (`time.process_time`), which other processes do not
lengthen as they do the time on the clock; torch and BLAS use a single thread meanwhile, so that no time is counted
twice. (`time.thread_time` would miss what a library hands to a thread of its own.) On a GPU it is the time on the
clock, from an idle GPU to an idle GPU. Forms that are compared take turns, so that what slows the machine down, such
as a neighbour in its caches, meets all of them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median, quantiles

import torch

from relbench.benchmarks.figure import Bound, Figure
from relbench.training.computing import on_threads

Form = Callable[[], object]
Times = dict[str, list[float]]  # seconds of each form in each round


def timed(forms: Mapping[str, Form], rounds: int = 15, device: str = "cpu", warm: int = 1) -> Times:
    """Times of several forms of the same work, which take turns.

    Args:
        forms: by name.
        rounds: timings of each form.
        device: "cpu" or "cuda", where the work is done.
        warm: untimed calls right before each timing: another form's arrays have evicted everything from the caches.
    """
    return in_turns({name: partial(_seconds, form, device, warm) for name, form in forms.items()}, rounds)


def in_turns(forms: Mapping[str, Callable[[], float]], rounds: int) -> Times:
    """Times of several forms, each of which returns its own, by `now`.

    Args:
        forms: by name.
        rounds: timings of each form.
    """
    with on_threads(1):
        taken = [{name: form() for name, form in forms.items()} for _ in range(rounds)]
    return {name: [times[name] for times in taken] for name in forms}


def _seconds(form: Form, device: str, warm: int) -> float:
    for _ in range(warm):
        form()
    start = now(device)
    form()
    return now(device) - start


def now(device: str = "cpu") -> float:
    """The clock by which work on a device is timed, in seconds."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def seconds(name: str, times: Sequence[float], why: str = "") -> Figure:
    """The median time, with its quartiles."""
    return Figure(name=name, value=median(times), unit="s", spread=quartiles(times), why=why)


def ratio(
    name: str,
    above: Sequence[float],
    below: Sequence[float],
    *,
    target: float | None = None,
    bound: Bound = "at most",
    why: str = "",
) -> Figure:
    """The median of the rounds' ratios, with its quartiles: what slows a round down slows both its times.

    Args:
        name: what is compared.
        above: times in the numerator, by round.
        below: times in the denominator, of the same rounds.
        target: see `Figure`.
        bound: see `Figure`.
        why: see `Figure`.
    """
    ratios = [upper / lower for upper, lower in zip(above, below, strict=True)]
    return Figure(name=name, value=median(ratios), spread=quartiles(ratios), target=target, bound=bound, why=why)


def quartiles(values: Sequence[float]) -> tuple[float, float] | None:
    """The first and the third; None of a single value."""
    if len(values) < 2:
        return None
    first, _, third = quantiles(values, n=4, method="inclusive")
    return first, third
