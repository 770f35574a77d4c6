"""The table of all benchmarks' figures beside their targets."""

from collections.abc import Iterable, Iterator

import torch
from rich.table import Table
from rich.text import Text

from relbench.benchmarks import angle, evaluation, evaluation_kinds, images
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.section import Part, Section
from relbench.machine import describe_machine

PARTS: dict[str, Part] = {
    "angle": angle.figures,
    "evaluation": evaluation.figures,
    "kinds": evaluation_kinds.figures,
    "images": images.figures,
}
"""By the name that the command takes: a function that measures, and yields each figure as soon as it is known."""


def parts(what: str) -> dict[str, Part]:
    """Parts by name.

    Args:
        what: the name of a part, or "all".

    Raises:
        ValueError: there is no such part.
    """
    if what == "all":
        return PARTS
    if what not in PARTS:
        raise ValueError(f"unknown benchmark {what!r}: known are {', '.join(PARTS)} and all")
    return {what: PARTS[what]}


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
