"""The plots of a study, as bytes: drawn on figures of their own, never through pyplot's global state.

Methods differ in colour, marker and line (full markers on full lines, hollow ones on dashed lines), so that they can be
told apart without colour, and up to 140 of them.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from relbench.analysis.methods import Floor, Method
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Interval
from relbench.report.canvas import COLOURS, FAINT, INK, PAPER, STRIP, drawn, plain, shortened
from relbench.report.wording import MAIN, RECALL, main_recall, recall_ranks, seeds_in_words
from relbench.results.records import WATCHED

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", (0, (4, 1.5)))
TEACHER = {"color": INK, "linestyle": (0, (5, 2)), "linewidth": 2.6, "marker": "o", "markersize": 3.5, "zorder": 3}
FLOOR: dict[str, Any] = {"color": FAINT, "linestyle": (0, (1, 2)), "linewidth": 1.4, "zorder": 1}
TERM = 26  # letters of a loss term's name in a line above its panel
LEGEND_LINE = 0.2  # inches
ROOM = 0.055  # of a line of letters beside a curve's end, in heights of the axes
SWAPPED = str.maketrans("-_", "_-")
SIZES: dict[str, Callable[[Method], int]] = {
    "Embedding dimensions (equal within a strip)": lambda method: method.row.experiment.net.dim,
    "Parameters (equal within a strip)": lambda method: method.row.parameters,
}
BOTH = "Parameters and dimensions (equal within a strip)"

Looks = dict[str, dict[str, Any]]  # label -> line properties


def recall_plot(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """Recall@K over K, a curve a method with its 95 % interval over seeds as a band.

    Args:
        summary: The study.
        kind: The file format.
        narrow: Shaped for a telephone: the legend below the curves.
    """
    looks = _looks(summary)
    legend = _legend(_ranked(summary), narrow=narrow)
    with drawn((4.2, 4.0 + legend.height) if narrow else (8.0, max(4.5, legend.height + 0.6)), kind) as (
        figure,
        content,
    ):
        axes = figure.add_subplot()
        for method in summary.methods:
            _draw_recall(axes, method, looks[method.label])
        _draw_floors(axes, summary)
        _label_recall(axes, recall_ranks(summary.methods[0]))
        _add_title(figure, summary, "Recall@K", "bands", "95 % interval over seeds")
        if narrow:
            _add_legend(figure, legend, looks)
        else:
            _label_ends(axes, summary, legend, looks)
    return content.getvalue()


def size_plot(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """Recall@1 against embedding dimensions and against parameters, a marker a method with its interval over seeds.

    One panel where both order the methods alike: two would show the same. Methods of one size stand side by side on a
    strip, from least to greatest recall: most share a size, and on top of each other none could be read.

    Args:
        summary: The study.
        kind: The file format.
        narrow: Shaped for a telephone: one panel below the other.
    """
    looks, legend = _dots(_looks(summary)), _legend(_ranked(summary), narrow=narrow)
    sizes = _sizes_shown(summary)
    size = (4.2, 3.0 * len(sizes) + legend.height) if narrow else (9.0, max(4.5, legend.height))
    lines, columns = (len(sizes), 1) if narrow else (1, len(sizes))
    with drawn(size, kind) as (figure, content):
        panels = figure.subplots(lines, columns, sharey=not narrow, squeeze=False).ravel()
        for axes, (name, size_of) in zip(panels, sizes.items(), strict=True):
            _draw_sizes(axes, summary, size_of, looks)
            axes.set(xlabel=name, ylabel="Recall@1, %" if narrow or axes is panels[0] else "")
        if BOTH in sizes:
            _name_dimensions(panels[0], summary)
        _add_title(figure, summary, "Recall@1 and size", "bars", "95 % interval over seeds")
        _add_legend(figure, legend, looks)
    return content.getvalue()


def training_plot(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """Recall@1 on validation classes, and below it every loss term, over steps; bands from least to greatest seed.

    Args:
        summary: The study.
        kind: The file format.
        narrow: Shaped for a telephone: the legend below the large panel, and two small panels in a line, not four.
    """
    frames = {method.label: _history(method) for method in summary.methods}
    names = dict.fromkeys(str(name) for frame in frames.values() for name in frame)
    terms = [name for name in names if name not in ("step", MAIN) and not name.startswith(WATCHED)]
    looks, legend = _looks(summary), _legend(summary.methods, narrow=narrow)
    lines, columns = _lines_and_columns(len(terms), at_most=2 if narrow else 4)
    heights = [2.8 + legend.height if narrow else max(3.4, legend.height), *([0.3 + 1.6 * lines] if terms else [])]
    with drawn((4.2 if narrow else 9.0, sum(heights)), kind) as (figure, content):
        above, *below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat
        axes = above.add_subplot()
        _draw_history(axes, frames, MAIN, looks, scale=100)
        axes.set(title="Recall@1 on validation classes, %", xlabel="Training step")
        _add_title(above, summary, "Training", "bands", "least to greatest seed")
        _add_legend(above, legend, looks)
        for part in below:
            _draw_terms(part.subplots(lines, columns, squeeze=False), frames, terms, looks)
            part.suptitle("Loss terms", fontsize="medium", x=0.01, ha="left")
    return content.getvalue()


def _looks(summary: Summary) -> Looks:
    """A line's properties by label: a thick black dashed line for the teacher, colour and marker for the others."""
    teacher, *others = summary.methods
    looks: Looks = {teacher.label: dict(TEACHER)}
    for index, method in enumerate(others):
        dashed = index // len(COLOURS) % len(LINES)
        looks[method.label] = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": MARKERS[index % len(MARKERS)],
            "linestyle": LINES[dashed],
            "markersize": 5,
            "linewidth": 1.6,
            "markerfacecolor": PAPER if dashed else COLOURS[index % len(COLOURS)],
        }
    return looks


def _dots(looks: Looks) -> Looks:
    """The same looks for single values: larger markers, and a line for the teacher alone, thin, to compare with."""
    teacher, *_ = looks
    return {
        label: {**look, "markersize": 6, "linewidth": 1, "linestyle": look["linestyle"] if label == teacher else "none"}
        for label, look in looks.items()
    }


def _ranked(summary: Summary) -> list[Method]:
    """The methods in the order of their curves."""
    return sorted(summary.methods, key=main_recall, reverse=True)


def _draw_recall(axes: Axes, method: Method, look: dict[str, Any]) -> None:
    ranks = recall_ranks(method)
    intervals = [method.metrics[f"{RECALL}{rank}"] for rank in ranks]
    axes.plot(ranks, [100 * interval.mean for interval in intervals], **look)
    low = [math.nan if interval.low is None else 100 * interval.low for interval in intervals]
    high = [math.nan if interval.high is None else 100 * interval.high for interval in intervals]
    axes.fill_between(ranks, low, high, color=look["color"], alpha=0.12, linewidth=0)


def _label_ends(axes: Axes, summary: Summary, legend: "_Legend", looks: Looks) -> None:
    """Name each curve beside its end, in the order of the ends, with a thin line from one to the other."""
    low, high = axes.get_ylim()
    last = recall_ranks(summary.methods[0])[-1]
    ends = {method.label: 100 * method.metrics[f"{RECALL}{last}"].mean for method in summary.methods}
    labels = sorted(ends, key=lambda label: -ends[label])
    wanted = [(ends[label] - low) / (high - low) for label in labels]
    lines = [legend.texts[label].count("\n") + 1 for label in labels]
    for label, height in zip(labels, spread_out(wanted, lines), strict=True):
        look = {**looks[label], "linestyle": "none", "clip_on": False, "transform": axes.transAxes}
        leader = {"arrowstyle": "-", "color": looks[label]["color"], "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (last, ends[label]), (1.07, height), textcoords="axes fraction", arrowprops=leader)
        axes.plot(1.085, height, **look)
        axes.annotate(legend.texts[label], (1.11, height), xycoords="axes fraction", va="center", annotation_clip=False)


def spread_out(wanted: Sequence[float], lines: Sequence[int]) -> list[float]:
    """Heights in [0, 1], falling, near those wanted, so that texts of so many lines do not cover each other.

    Texts that would are put into one block, around the mean of what they want; so are blocks that then meet.
    """
    room = min(ROOM, 1 / sum(lines))
    offsets = np.cumsum([room * count for count in lines]) - room * np.array(lines) / 2
    blocks: list[list[float]] = []  # of what each text wants, less what stands above it
    for place in np.add(wanted, offsets):
        blocks.append([place])
        while len(blocks) > 1 and np.mean(blocks[-2]) < np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    starts = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    return [float(height) for height in np.clip(starts, room * sum(lines), 1) - offsets]


def _draw_floors(axes: Axes, summary: Summary) -> None:
    """Recall@K without training: dotted, with a name at the end."""
    ranks = recall_ranks(summary.methods[0])
    for floor in summary.all_floors:
        values = [100 * floor.metrics[f"{RECALL}{rank}"].mean for rank in ranks]
        axes.plot(ranks, values, **FLOOR)
        _name_floor(axes, floor, (ranks[-1], values[-1]))


def _name_floor(axes: Axes, floor: Floor, place: tuple[float, float]) -> None:
    look: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": "small", "color": FAINT}
    axes.annotate(floor.label, place, (0, 2), textcoords="offset points", **look)


def _draw_low_floors(axes: Axes, floors: Sequence[Floor]) -> None:
    """Recall@1 without training, where it is among the methods' values: elsewhere it would press them together."""
    low, high = axes.get_ylim()
    for floor in floors:
        value = 100 * floor.metrics[MAIN].mean
        if low < value < high:
            axes.axhline(value, **FLOOR)
            _name_floor(axes, floor, (axes.get_xlim()[1], value))


def _label_recall(axes: Axes, ranks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlim(ranks[0] / 1.12, ranks[-1] * 1.12)
    axes.xaxis.set_major_locator(FixedLocator(ranks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ranks, [f"{rank:,}" for rank in ranks])
    axes.set(xlabel="K", ylabel="Recall@K, %")
    _keep_possible(axes)


def _keep_possible(axes: Axes) -> None:
    """An interval of few seeds reaches beyond what a share can be; the axis does not."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0), min(high, 101))


def _draw_sizes(axes: Axes, summary: Summary, size_of: Callable[[Method], int], looks: Looks) -> None:
    axes.set_xscale("log", base=2)
    groups: dict[int, list[Method]] = {}
    for method in reversed(_ranked(summary)):
        groups.setdefault(size_of(method), []).append(method)
    step = _step(sorted(groups), max(map(len, groups.values())))
    for size, methods in groups.items():
        half = step * len(methods) / 2
        axes.axvspan(size * 2**-half, size * 2**half, color=STRIP, zorder=0)
        for place, method in enumerate(methods):
            _draw_dot(axes, size * 2 ** (step * (place + 0.5) - half), method.metrics[MAIN], looks[method.label])
    axes.axhline(100 * main_recall(summary.methods[0]), color=INK, linestyle=TEACHER["linestyle"], linewidth=1)
    _label_sizes(axes, sorted(groups))
    _keep_possible(axes)
    _draw_low_floors(axes, summary.all_floors)


def _sizes_shown(summary: Summary) -> dict[str, Callable[[Method], int]]:
    """Both sizes, or parameters alone where dimensions part and order the methods in the same way."""
    dimensions, parameters = SIZES.values()
    pairs = sorted({(parameters(method), dimensions(method)) for method in summary.methods})
    alike = all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(pairs))
    return {BOTH: parameters} if alike else SIZES


def _name_dimensions(axes: Axes, summary: Summary) -> None:
    """Below each number of parameters the dimensions that go with it."""
    dimensions = {method.row.parameters: method.row.experiment.net.dim for method in summary.methods}
    sizes = [round(tick) for tick in axes.get_xticks()]
    axes.set_xticks(sizes, [f"{size:,}\n{dimensions[size]:,}-d" for size in sizes])


def _step(sizes: Sequence[int], most: int) -> float:
    """Octaves from one method to the next on a strip of so many at most, so that all strips stay apart."""
    gaps = [math.log2(after / before) for before, after in pairwise(sizes)]
    return min(0.2, *(0.8 * gap / most for gap in gaps or [2]))


def _draw_dot(axes: Axes, place: float, interval: Interval, look: dict[str, Any]) -> None:
    axes.plot(place, 100 * interval.mean, **look)
    if interval.low is not None and interval.high is not None:
        axes.vlines(place, 100 * interval.low, 100 * interval.high, color=look["color"], linewidth=1.2, zorder=1.5)


def _label_sizes(axes: Axes, sizes: Sequence[int]) -> None:
    """Ticks at the sizes that there are, less those whose labels would run into the one before."""
    low, high = map(math.log2, axes.get_xlim())
    shown: list[int] = []
    for size in sizes:
        if not shown or math.log2(size / shown[-1]) > (high - low) / 5:
            shown.append(size)
    axes.set_xticks(shown, [f"{size:,}" for size in shown])
    axes.xaxis.set_minor_locator(NullLocator())


def _add_title(figure: FigureBase, summary: Summary, what: str, marks: str, meaning: str) -> None:
    """Two lines: what on which data; how many seeds, and what shows their spread."""
    spread = (
        f"mean of {seeds_in_words(summary)}, {marks}: {meaning}" if len(summary.seeds) > 1 else f"1 seed, no {marks}"
    )
    data = plain(summary.methods[0].row.experiment.data.name)
    figure.suptitle(f"{what} on {data}\n{spread}", fontsize="medium", x=0.01, ha="left")


def _history(method: Method) -> pd.DataFrame:
    """All seeds' training histories, one entry a line."""
    return pd.DataFrame([entry for row in method.rows for entry in row.history])


def _lines_and_columns(panels: int, *, at_most: int) -> tuple[int, int]:
    """Of a grid whose lines are as full as can be: five panels in at most four columns are three and two."""
    lines = math.ceil(panels / at_most)
    return lines, math.ceil(panels / max(lines, 1))


def _draw_terms(
    grid: Sequence[Sequence[Axes]], frames: dict[str, pd.DataFrame], terms: Sequence[str], looks: Looks
) -> None:
    panels = [axes for line in grid for axes in line]
    for axes, term in zip(panels, terms, strict=False):
        _draw_history(axes, frames, term, looks)
        axes.set_title(_wrapped(shortened(term, 3 * TERM), TERM), fontsize="small")
        axes.tick_params(labelsize="small")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))  # the default's depend on a height that is not yet known
    for axes in panels[len(terms) :]:
        axes.remove()


def _draw_history(axes: Axes, frames: dict[str, pd.DataFrame], name: str, looks: Looks, scale: float = 1) -> None:
    for label, frame in frames.items():
        if name not in frame:
            continue
        spread = (scale * frame.set_index("step")[name].dropna()).groupby(level="step").agg(["mean", "min", "max"])
        every = max(1, math.ceil(len(spread) / 6))  # as many markers as tell the lines apart, and no more
        axes.plot(spread.index, spread["mean"], **{**looks[label], "markevery": every})
        axes.fill_between(spread.index, spread["min"], spread["max"], color=looks[label]["color"], alpha=0.15, lw=0)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    if not axes.lines:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", va="center")


@dataclass(frozen=True)
class _Legend:
    """Labels, wrapped to the room they have, and where they stand."""

    texts: dict[str, str]  # label -> what is written
    columns: int
    place: Literal["outside right upper", "outside lower left"]

    @property
    def height(self) -> float:
        """Inches that the figure must at least have for it."""
        lines = [text.count("\n") + 1 for text in self.texts.values()]
        return LEGEND_LINE * (max(map(sum, np.array_split(lines, self.columns))) + 2)  # as matplotlib parts them


def _legend(methods: Sequence[Method], *, narrow: bool) -> _Legend:
    texts = {method.label: _wrapped(method.label, 18 if narrow else 26) for method in methods}
    return _Legend(texts, 2, "outside lower left") if narrow else _Legend(texts, 1, "outside right upper")


def _wrapped(label: str, width: int) -> str:
    """In lines that end at spaces and, for names of losses, after underscores: textwrap knows hyphens alone."""
    return plain("\n".join(textwrap.wrap(label.translate(SWAPPED), width)).translate(SWAPPED))


def _add_legend(figure: FigureBase, legend: _Legend, looks: Looks) -> None:
    handles = [Line2D([], [], **looks[label]) for label in legend.texts]
    figure.legend(handles, list(legend.texts.values()), loc=legend.place, ncols=legend.columns, handlelength=3.2)
