"""The table of all benchmarks' figures beside their targets."""

from collections.abc import Callable, Iterable, Iterator

import torch
from rich.table import Table
from rich.text import Text

from relbench.benchmarks import (
    angle,
    cohort,
    devices,
    evaluation,
    evaluation_kinds,
    executors,
    few_shot,
    images,
    shards,
    small_images,
    start,
    startup,
    step,
    views,
    waits,
)
from relbench.benchmarks.cost import prediction
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.section import Part, Section, measure
from relbench.machine import describe_machine

PARTS: dict[str, Part] = {
    "angle": angle.figures,
    "evaluation": evaluation.figures,
    "plan": prediction.figures,
    "shards": shards.figures,
    "kinds": evaluation_kinds.figures,
    "few-shot": few_shot.figures,
    "images": images.figures,
    "small-images": small_images.figures,
    "views": views.figures,
    "step": step.figures,
    "cohort": cohort.quick_start,
    "startup": startup.figures,
    "start": start.figures,
    "executors": executors.figures,
    "devices": devices.figures,
    "waits": waits.figures,
}
"""By the name that the command takes: a function that measures, and yields each figure as soon as it is known."""


def measured(what: str, tell: Callable[[str], None]) -> tuple[Section, ...]:
    """What the parts have found, each on its own.

    Args:
        what: the name of a part, or "all".
        tell: is told of each part and figure at once.

    Raises:
        ValueError: there is no such part.
    """
    if what not in (*PARTS, "all"):
        raise ValueError(f"unknown benchmark {what!r}: known are {', '.join(PARTS)}, all and gpu")
    return tuple(measure(name, part, tell) for name, part in PARTS.items() if what in (name, "all"))


def machine_line(device: str = "cpu") -> str:
    """The machine that was measured: processor or card, cores, and versions."""
    machine = describe_machine(torch.device(device))
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return f"{machine.device}, {machine.cores} cores; {versions}"


def table(sections: Iterable[Section]) -> Table:
    """One table: a line for each figure, beside its target; for each part that failed, its error."""
    made = Table("", "measured", "quartiles", "target")
    for section in sections:
        for figure in section.figures:
            made.add_row(figure.name, figure.shown, figure.shown_spread, _judged(figure))
        if section.error:
            made.add_row(section.name, Text("FAILED", style="red"), "", section.error)
        made.add_section()
    return made


def notes(sections: Iterable[Section]) -> Iterator[str]:
    """What the figures can't say themselves, a line for each."""
    for section in sections:
        yield from (f"{figure.name}: {figure.why}" for figure in section.figures if figure.why)


def _judged(figure: Figure) -> Text:
    return Text(figure.verdict, style="red" if figure.met is False else "")
