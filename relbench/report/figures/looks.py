"""Looks of methods, legends and titles, the same in every figure of methods.

Methods differ in colour, marker and line (full markers on full lines, hollow ones on dashed lines), so that they can be
told apart without colour, and up to 140 of them.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D

from relbench.analysis.methods import Floor, Method
from relbench.analysis.summary import Summary
from relbench.report.figures.canvas import COLOURS, FAINT, INK, PAPER, plain
from relbench.report.wording import seeds_in_words

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", (0, (4, 1.5)))
TEACHER = {"color": INK, "linestyle": (0, (5, 2)), "linewidth": 2.6, "marker": "o", "markersize": 3.5, "zorder": 3}
FLOOR: dict[str, Any] = {"color": FAINT, "linestyle": (0, (1, 2)), "linewidth": 1.4, "zorder": 1}
LEGEND_LINE = 0.2  # inches
SWAPPED = str.maketrans("-_", "_-")

Looks = dict[str, dict[str, Any]]  # label -> line properties


def looks_of(summary: Summary) -> Looks:
    """A line's properties by label: a thick black dashed line for the teacher, colour and marker for the others."""
    teacher, *others = summary.methods
    looks: Looks = {teacher.label: dict(TEACHER)}
    return looks | {method.label: look_of(index) for index, method in enumerate(others)}


def look_of(index: int) -> dict[str, Any]:
    """The line's properties of the method of a number, from 0."""
    dashed = index // len(COLOURS) % len(LINES)
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[dashed],
        "markersize": 5,
        "linewidth": 1.6,
        "markerfacecolor": PAPER if dashed else COLOURS[index % len(COLOURS)],
    }


def ranked(summary: Summary) -> list[Method]:
    """The methods in the order of their curves."""
    return sorted(summary.methods, key=summary.score, reverse=True)


def name_floor(axes: Axes, floor: Floor, place: tuple[float, float]) -> None:
    """Write a floor's label beside the end of its line."""
    look: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": "small", "color": FAINT}
    axes.annotate(floor.label, place, (0, 2), textcoords="offset points", **look)


def keep_possible(axes: Axes) -> None:
    """An interval of few seeds reaches beyond what a share can be; the axis does not."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0), min(high, 101))


def add_title(figure: FigureBase, summary: Summary, what: str, marks: str, meaning: str) -> None:
    """Two lines: what on which data; how many seeds, and what shows their spread."""
    spread = (
        f"mean of {seeds_in_words(summary)}, {marks}: {meaning}" if len(summary.seeds) > 1 else f"1 seed, no {marks}"
    )
    data = plain(summary.methods[0].row.experiment.data.name)
    figure.suptitle(f"{what} on {data}\n{spread}", fontsize="medium", x=0.01, ha="left")


@dataclass(frozen=True)
class Legend:
    """Labels, wrapped to the room they have, and where they stand."""

    texts: dict[str, str]  # label -> what is written
    columns: int
    place: Literal["outside right upper", "outside lower left"]

    @property
    def height(self) -> float:
        """Inches that the figure must at least have for it."""
        lines = [text.count("\n") + 1 for text in self.texts.values()]
        return LEGEND_LINE * (max(map(sum, np.array_split(lines, self.columns))) + 2)  # as matplotlib parts them


def legend_of(methods: Sequence[Method], *, narrow: bool) -> Legend:
    """The legend of methods in an order: right of a figure, or below a narrow one."""
    texts = {method.label: wrapped(method.label, 18 if narrow else 26) for method in methods}
    return Legend(texts, 2, "outside lower left") if narrow else Legend(texts, 1, "outside right upper")


def wrapped(label: str, width: int) -> str:
    """In lines that end at spaces and, for names of losses, after underscores: textwrap knows hyphens alone."""
    return plain("\n".join(textwrap.wrap(label.translate(SWAPPED), width)).translate(SWAPPED))


def add_legend(figure: FigureBase, legend: Legend, looks: Looks) -> None:
    """Draw a legend where it says."""
    handles = [Line2D([], [], **looks[label]) for label in legend.texts]
    figure.legend(handles, list(legend.texts.values()), loc=legend.place, ncols=legend.columns, handlelength=3.2)
