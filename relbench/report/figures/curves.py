"""Figure of cells as curves: one for each row, over the columns of a table that count something.

Columns stand at equal distances, whatever they count. Points of a column stand a little beside each other, so that
their intervals can be told apart.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from relbench.analysis.cells import FilledCell
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Interval
from relbench.evaluation.metric_names import metric_name
from relbench.report.figures.canvas import drawn, plain
from relbench.report.figures.captions import drawn_rule, title_in_lines
from relbench.report.figures.looks import LEGEND_LINE, Legend, Looks, keep_possible, look_of, wrapped
from relbench.report.grids import parts, rows
from relbench.results.records import Selection

PANEL = 4.2  # inches of height
SPREAD = 0.24  # of a column's points, in distances of two columns


def has_curves(summary: Summary) -> bool:
    """Whether columns count something, and no printed number would have to stand beside ours."""
    return bool(summary.curves_over and not summary.has_published and _panels(summary))


def curves_figure(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """A panel for each sub-table of several columns, one below the other; ours under the first rule shown.

    Args:
        summary: The table.
        kind: The file format.
        narrow: Shaped for a telephone.
    """
    panels = _panels(summary)
    width, letters = (4.2, 44) if narrow else (8.0, 88)
    looks, meaning = _looks(panels, summary.shown[0]), drawn_rule(summary, letters)
    title, legend = title_in_lines(summary, letters), _legend(looks, narrow=narrow)
    words = LEGEND_LINE * (title.count("\n") + meaning.count("\n") + 2)
    with drawn((width, PANEL * len(panels) + words + legend.height), kind) as (figure, content):
        grid = figure.subplots(len(panels), 1, squeeze=False).flat
        for axes, (name, cells) in zip(grid, panels.items(), strict=True):
            _draw(axes, cells, looks, summary.shown[0])
            _name_columns(axes, _columns(cells), letters)
            axes.set_title(plain("\n".join(textwrap.wrap(name, letters))), fontsize="medium")
            axes.set_xlabel(plain(summary.curves_over))
        figure.suptitle(plain(title), fontsize="medium", x=0.01, ha="left")
        _add_legend(figure, legend, looks, meaning)
    return content.getvalue()


def _panels(summary: Summary) -> dict[str, list[FilledCell]]:
    """The sub-tables that make curves: a single column makes none."""
    return {name: cells for name, cells in parts(summary).items() if len(_columns(cells)) > 1}


def _columns(cells: Sequence[FilledCell]) -> list[str]:
    return list(dict.fromkeys(cell.column for cell in cells))


def _looks(panels: Mapping[str, Sequence[FilledCell]], rule: Selection) -> Looks:
    """The line of each row that has a point, the same in every panel, and whatever else is finished."""
    every = [cell for cells in panels.values() for cell in cells]
    looks = {name: look_of(index) for index, name in enumerate(rows(every))}
    return {name: looks[name] for name in _finished(every, rule)}


def _finished(cells: Sequence[FilledCell], rule: Selection) -> dict[str, list[FilledCell]]:
    """The rows that have any number of ours."""
    return {name: row for name, row in rows(cells).items() if any(rule in cell.ours for cell in row)}


def _draw(axes: Axes, cells: Sequence[FilledCell], looks: Looks, rule: Selection) -> None:
    columns, by_row = _columns(cells), _finished(cells, rule)
    asides = np.linspace(-SPREAD / 2, SPREAD / 2, len(by_row)) if len(by_row) > 1 else np.zeros(len(by_row))
    for aside, (row, numbers) in zip(asides, by_row.items(), strict=True):
        found = {cell.column: cell.ours[rule].interval for cell in numbers if rule in cell.ours}
        _draw_row(axes, float(aside), [found.get(column) for column in columns], looks[row])
    metrics = list(dict.fromkeys(metric_name(cell.metric) for cell in cells))
    axes.set_ylabel(f"{metrics[0]}, %" if len(metrics) == 1 else "%")
    if by_row:
        keep_possible(axes)
    else:
        axes.set_ylim(0, 100)


def _name_columns(axes: Axes, columns: Sequence[str], letters: int) -> None:
    room = max(letters // len(columns) - 1, 6)
    axes.set_xticks(range(len(columns)), [plain("\n".join(textwrap.wrap(column, room))) for column in columns])
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.grid(visible=False, axis="x")


def _draw_row(axes: Axes, aside: float, intervals: Sequence[Interval | None], look: Mapping[str, Any]) -> None:
    """A curve that is broken where a column has no number, with intervals over seeds."""
    places = [column + aside for column in range(len(intervals))]
    axes.plot(places, [100 * interval.mean if interval else math.nan for interval in intervals], **look)
    for place, interval in zip(places, intervals, strict=True):
        if interval and interval.low is not None and interval.high is not None:
            axes.vlines(place, 100 * interval.low, 100 * interval.high, color=look["color"], linewidth=1.2)


def _legend(looks: Looks, *, narrow: bool) -> Legend:
    texts = {row: wrapped(row, 16 if narrow else 24) for row in looks}
    return Legend(texts, 2 if narrow else 3, "outside lower left")


def _add_legend(figure: Figure, legend: Legend, looks: Looks, meaning: str) -> None:
    if not looks:
        return
    handles = [Line2D([], [], **look) for look in looks.values()]
    how: dict[str, Any] = {"loc": legend.place, "ncols": legend.columns, "alignment": "left", "handlelength": 3.2}
    figure.legend(handles, list(legend.texts.values()), title=meaning, **how)
