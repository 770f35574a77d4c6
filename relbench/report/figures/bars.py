"""Figure of cells as bars, as the paper draws it: a group for each row, in it a pair of bars for each column.

The paper's bar is hatched; ours stands beside it, solid, with its interval. Bars begin at zero.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from relbench.analysis.cells import FilledCell, Ours
from relbench.analysis.summary import Summary
from relbench.evaluation.metric_names import metric_name
from relbench.report.figures.canvas import COLOURS, FAINT, INK, PAPER, drawn, plain, shortened
from relbench.report.figures.captions import drawn_rule, title_in_lines
from relbench.report.grids import parts, rows
from relbench.report.wording import RULES

GROUP = 0.86  # share of a group's place that its pairs fill
PAIR = 0.94  # share of a pair's place that its bars fill
LONGEST = 30  # letters of a column's name
HALO = withStroke(linewidth=2.4, foreground=PAPER)  # dark on a dark bar is not seen
WHISKER: dict[str, Any] = {"color": INK, "linewidth": 1.2, "zorder": 4, "path_effects": [HALO]}


def bars_figure(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """A panel for each sub-table, one below the other; ours under the first rule shown.

    Args:
        summary: The table.
        kind: The file format.
        narrow: Shaped for a telephone.
    """
    panels, colours = parts(summary), _colours(summary)
    width, letters = (4.2, 40) if narrow else (9.0, 100)
    across = 2 if narrow else 3
    title, legend, meaning = title_in_lines(summary, letters), _legend(summary, colours), drawn_rule(summary, letters)
    height = 2.9 * len(panels) + 0.2 * (title.count("\n") + meaning.count("\n") + len(legend) / across) + 0.6
    with drawn((width, height), kind) as (figure, content):
        for axes, (name, cells) in zip(
            figure.subplots(len(panels), 1, squeeze=False).flat, panels.items(), strict=True
        ):
            _draw(axes, cells, colours, summary)
            axes.set_title(plain("\n".join(textwrap.wrap(name, letters))), fontsize="medium")
            _label_groups(axes, list(rows(cells)), letters)
        figure.suptitle(plain(title), fontsize="medium", x=0.01, ha="left")
        _add_legend(figure, legend, across, meaning)
    return content.getvalue()


def _colours(summary: Summary) -> dict[str, str]:
    """One for each column, the same in every panel."""
    columns = dict.fromkeys(cell.column for cell in summary.cells)
    return {column: COLOURS[index % len(COLOURS)] for index, column in enumerate(columns)}


def _draw(axes: Axes, cells: Sequence[FilledCell], colours: Mapping[str, str], summary: Summary) -> None:
    """Each column has its place in every group, which stays empty where the group has no such number."""
    columns = [column for column in colours if any(cell.column == column for cell in cells)]
    place = GROUP / len(columns)
    width = PAIR * place / (2 if summary.has_published else 1)
    for group, numbers in enumerate(rows(cells).values()):
        for cell in numbers:
            left = group - GROUP / 2 + (columns.index(cell.column) + (1 - PAIR) / 2) * place
            _draw_number(axes, left, width, cell, colours[cell.column], summary)
    axes.set_ylabel(_metrics(cells))
    axes.grid(visible=False, axis="x")
    _begin_at_zero(axes)


def _draw_number(axes: Axes, left: float, width: float, cell: FilledCell, colour: str, summary: Summary) -> None:
    """The paper's bar, if the figure has such, and ours right of it."""
    if cell.published is not None:
        axes.bar(left, 100 * cell.published, width, align="edge", **_papers(colour))
    ours = cell.ours.get(summary.shown[0])
    if ours:
        _draw_ours(axes, left + (width if summary.has_published else 0), width, ours, colour)


def _draw_ours(axes: Axes, left: float, width: float, ours: Ours, colour: str) -> None:
    axes.bar(left, 100 * ours.interval.mean, width, align="edge", **_solid(colour))
    if ours.interval.low is not None and ours.interval.high is not None:
        axes.vlines(left + width / 2, 100 * ours.interval.low, 100 * ours.interval.high, **WHISKER)


def _papers(colour: str) -> dict[str, Any]:
    return {"facecolor": PAPER, "edgecolor": colour, "linewidth": 0.8, "hatch": "///", "zorder": 2}


def _solid(colour: str) -> dict[str, Any]:
    return {"facecolor": colour, "edgecolor": colour, "linewidth": 0.8, "zorder": 3}


def _begin_at_zero(axes: Axes) -> None:
    """Up to what is drawn, or to all that a share can be where nothing is."""
    high = axes.get_ylim()[1] if axes.patches else 100
    axes.set_ylim(0, min(high, 101))


def _metrics(cells: Sequence[FilledCell]) -> str:
    metrics = dict.fromkeys(metric_name(cell.metric) for cell in cells)
    return f"{next(iter(metrics))}, %" if len(metrics) == 1 else "%"


def _label_groups(axes: Axes, names: Sequence[str], letters: int) -> None:
    width = max(letters // len(names), 8)
    axes.set_xticks(range(len(names)), [plain("\n".join(textwrap.wrap(name, width))) for name in names])
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.tick_params("x", length=0, labelsize="small")


def _legend(summary: Summary, colours: Mapping[str, str]) -> list[tuple[str, Patch]]:
    """Columns by colour, paper and ours by filling; only what is drawn."""
    first = summary.shown[0]
    entries = [(plain(shortened(column, LONGEST)), _solid(colour)) for column, colour in colours.items()]
    entries += [("paper", _papers(FAINT))] if summary.has_published else []
    entries += [(f"ours, {RULES[first]}", _solid(FAINT))] if first in summary.finished_rules else []
    return [(text, Patch(**look)) for text, look in entries]


def _add_legend(figure: Figure, entries: Sequence[tuple[str, Patch]], across: int, meaning: str) -> None:
    texts, handles = zip(*entries, strict=True)
    figure.legend(handles, texts, loc="outside lower left", ncols=across, title=meaning, alignment="left")
