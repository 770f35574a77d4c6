"""Figure of cells: on a line for each number, the paper's and ours; a figure of bars as bars, of curves as curves.

Marks on a line rather than bars: differences of a point are small beside the numbers themselves, a bar would have to
begin at zero, and names stand level however many there are.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from relbench.analysis.cells import FilledCell, Ours
from relbench.analysis.summary import Summary
from relbench.evaluation.metric_names import metric_name
from relbench.report.figures.bars import bars_figure
from relbench.report.figures.canvas import COLOURS, FAINT, INK, drawn, plain
from relbench.report.figures.captions import title_in_lines, whiskers
from relbench.report.figures.curves import curves_figure, has_curves
from relbench.report.grids import parts, rows
from relbench.report.headline import outcome
from relbench.report.wording import RULES
from relbench.results.records import Selection

LINE = 0.12  # inches of a line, and in addition of each rule on it
RULE = 0.05
LONGEST = 30  # letters of a name
PAPERS: dict[str, Any] = {"color": INK, "marker": "|", "markersize": 10, "markeredgewidth": 1.8, "zorder": 5}
OURS: dict[Selection, dict[str, Any]] = {
    "last": {"color": COLOURS[0], "marker": "o", "markersize": 5, "zorder": 4},
    "validation": {"color": COLOURS[2], "marker": "^", "markersize": 5, "zorder": 4},
    "test": {"color": COLOURS[1], "marker": "X", "markersize": 5, "zorder": 4},
}


@dataclass(frozen=True)
class _Place:
    """A line of a panel: a row's name, or a number."""

    name: str
    cell: FilledCell | None


def cells_figure(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """Curves where columns count something, bars where networks are measured on other data sets, else marks on lines.

    Args:
        summary: The table.
        kind: The file format.
        narrow: Shaped for a telephone.
    """
    if has_curves(summary):
        return curves_figure(summary, kind, narrow=narrow)
    return (bars_figure if _is_of_bars(summary) else _marks_figure)(summary, kind, narrow=narrow)


def _is_of_bars(summary: Summary) -> bool:
    return any(cell.on for cell in summary.cells)


def _marks_figure(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """A panel for each sub-table: black strokes for the paper's numbers, ours with 95 % intervals over seeds.

    Args:
        summary: The table.
        kind: The file format.
        narrow: Shaped for a telephone: one panel below the other.
    """
    panels = {title: _places(cells) for title, cells in parts(summary).items()}
    columns = 1 if narrow else min(2, len(panels))
    counts = [len(places) for places in panels.values()]
    line = LINE + RULE * len(summary.shown)
    heights = [0.6 + line * max(counts[start : start + columns]) for start in range(0, len(counts), columns)]
    title, legend = title_in_lines(summary, 46 if narrow else 52 * columns), _legend(summary)
    above_and_below = 0.2 * (title.count("\n") + 1) + 0.25 * (1 + len(legend))
    size = (4.2 if narrow else 4.8 * columns, sum(heights) + above_and_below)
    with drawn(size, kind) as (figure, content):
        grid = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights).ravel()
        for axes, (name, places) in zip(grid, panels.items(), strict=False):
            _draw(axes, name, places, summary.shown)
        for axes in grid[len(panels) :]:
            axes.remove()
        figure.suptitle(plain(title), fontsize="medium", x=0.01, ha="left")
        _add_legend(figure, legend, whiskers(summary, summary.shown))
    return content.getvalue()


def _places(cells: Sequence[FilledCell]) -> list[_Place]:
    """The lines of a panel, from above: a row's name, then its numbers; on one line where each row has one number."""
    by_row = rows(cells)
    if len(by_row) == len(cells):
        same = len({cell.column for cell in cells}) == 1
        return [_Place(cell.row if same else f"{cell.row}, {cell.column}", cell) for cell in cells]
    places = []
    for row, numbers in by_row.items():
        places += [*([_Place(row, None)] if len(by_row) > 1 else []), *(_Place(cell.column, cell) for cell in numbers)]
    return places


def _draw(axes: Axes, title: str, places: Sequence[_Place], shown: Sequence[Selection]) -> None:
    for height, place in enumerate(places):
        if place.cell:
            _draw_number(axes, height, place.cell, shown)
    axes.set_title("\n".join(textwrap.wrap(plain(title), 44)), fontsize="medium")
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.set_yticks(range(len(places)), [plain(textwrap.shorten(place.name, LONGEST)) for place in places])
    axes.tick_params("y", length=0, labelsize="small")
    for label, place in zip(axes.get_yticklabels(), places, strict=True):
        label.set_fontweight("normal" if place.cell else "bold")
    axes.set_xlabel(_metrics(places))
    _keep_possible(axes)


def _metrics(places: Sequence[_Place]) -> str:
    metrics = dict.fromkeys(metric_name(place.cell.metric) for place in places if place.cell)
    return f"{next(iter(metrics))}, %" if len(metrics) == 1 else "%"


def _draw_number(axes: Axes, height: int, cell: FilledCell, shown: Sequence[Selection]) -> None:
    """Rules above each other where there are several, so that their intervals do not cover each other."""
    if cell.published is not None:
        axes.plot(100 * cell.published, height, **PAPERS)
    if cell.published is not None and shown[0] in cell.ours:
        ends = (100 * cell.published, 100 * cell.ours[shown[0]].interval.mean)
        axes.hlines(height, *ends, color=FAINT, linewidth=1, zorder=1)
    for at, rule in enumerate(shown):
        if rule in cell.ours:
            _draw_ours(axes, height + 0.7 * ((at + 0.5) / len(shown) - 0.5), cell.ours[rule], OURS[rule])


def _draw_ours(axes: Axes, height: float, ours: Ours, look: dict[str, Any]) -> None:
    axes.plot(100 * ours.interval.mean, height, **look)
    if ours.interval.low is not None and ours.interval.high is not None:
        axes.hlines(height, 100 * ours.interval.low, 100 * ours.interval.high, color=look["color"], linewidth=1.8)


def _keep_possible(axes: Axes) -> None:
    """Where nothing is drawn, all that a share can be; else what is drawn, without what no share can be."""
    low, high = axes.get_xlim() if axes.lines else (0, 100)
    axes.set_xlim(max(low, -1), min(high, 101))


def _legend(summary: Summary) -> dict[str, dict[str, Any]]:
    """A mark's looks by what it stands for, of those that are drawn."""
    paper = {"paper": PAPERS} if summary.has_published else {}
    return paper | {f"ours, {RULES[rule]}": OURS[rule] for rule in summary.finished_rules}


def _add_legend(figure: Figure, entries: dict[str, dict[str, Any]], title: Sequence[str]) -> None:
    handles = [Line2D([], [], **{**look, "linestyle": "none"}) for look in entries.values()]
    if handles:
        figure.legend(handles, list(entries), loc="outside lower left", title=" ".join(title), alignment="left")


def cells_in_words(summary: Summary) -> str:
    """For those who do not see the picture."""
    if has_curves(summary):
        shapes, paper = f"a curve for each of its rows, over {summary.curves_over}", ""
    elif _is_of_bars(summary):
        shapes, paper = "a group of bars for each of its rows", "the paper's hatched, ours solid beside it"
    else:
        shapes, paper = "a line for each of its numbers", "the paper's as a black stroke, ours as a mark"
    looks = paper if summary.has_published else "ours alone"
    return (
        f"A panel for each sub-table and {shapes}: {looks}, with its interval over seeds. "
        f"{outcome(summary)} The tables above hold the values."
    )
