"""Figure of the primary metric over embedding dimensions and over parameters, a marker for each method."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from relbench.analysis.methods import Floor, Method
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Interval
from relbench.evaluation.metric_names import metric_name
from relbench.models import embedding_size
from relbench.report.figures.canvas import INK, STRIP, drawn
from relbench.report.figures.looks import (
    FLOOR,
    TEACHER,
    Looks,
    add_legend,
    add_title,
    keep_possible,
    legend_of,
    looks_of,
    name_floor,
    ranked,
)
from relbench.report.wording import mean_cell


def _dimensions(method: Method) -> int:
    """Of its embeddings."""
    run = method.row.experiment
    return embedding_size(run.net, run.data.size)


SIZES: dict[str, Callable[[Method], int]] = {
    "Embedding dimensions (equal within a strip)": _dimensions,
    "Parameters (equal within a strip)": lambda method: method.row.parameters,
}
BOTH = "Parameters and dimensions (equal within a strip)"


def size_figure(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """The primary metric over embedding dimensions and parameters, a marker per method with its interval over seeds.

    One panel where both order the methods alike: two would show the same. Methods of one size stand side by side on a
    strip, from least to greatest value: most share a size, and on top of each other none could be read.

    Args:
        summary: The study.
        kind: The file format.
        narrow: Shaped for a telephone: one panel below the other.
    """
    looks, legend = _dots(looks_of(summary)), legend_of(ranked(summary), narrow=narrow)
    sizes = _sizes_shown(summary)
    size = (4.2, 3.0 * len(sizes) + legend.height) if narrow else (9.0, max(4.5, legend.height))
    lines, columns = (len(sizes), 1) if narrow else (1, len(sizes))
    metric = metric_name(summary.primary)
    with drawn(size, kind) as (figure, content):
        panels = figure.subplots(lines, columns, sharey=not narrow, squeeze=False).ravel()
        for axes, (name, size_of) in zip(panels, sizes.items(), strict=True):
            _draw_sizes(axes, summary, size_of, looks)
            axes.set(xlabel=name, ylabel=f"{metric}, %" if narrow or axes is panels[0] else "")
        if BOTH in sizes:
            _name_dimensions(panels[0], summary)
        add_title(figure, summary, f"{metric} and size", "bars", "95 % interval over seeds")
        add_legend(figure, legend, looks)
    return content.getvalue()


def _dots(looks: Looks) -> Looks:
    """The same looks for single values: larger markers, and a line for the teacher alone, thin, to compare with."""
    teacher, *_ = looks
    return {
        label: {**look, "markersize": 6, "linewidth": 1, "linestyle": look["linestyle"] if label == teacher else "none"}
        for label, look in looks.items()
    }


def _draw_low_floors(axes: Axes, floors: Sequence[Floor], primary: str) -> None:
    """The floors' primary metric, where it is among the methods' values: elsewhere it would press them together."""
    low, high = axes.get_ylim()
    for floor in floors:
        value = 100 * floor.metrics[primary].mean
        if low < value < high:
            axes.axhline(value, **FLOOR)
            name_floor(axes, floor, (axes.get_xlim()[1], value))


def _draw_sizes(axes: Axes, summary: Summary, size_of: Callable[[Method], int], looks: Looks) -> None:
    axes.set_xscale("log", base=2)
    groups: dict[int, list[Method]] = {}
    for method in reversed(ranked(summary)):
        groups.setdefault(size_of(method), []).append(method)
    step = _step(sorted(groups), max(map(len, groups.values())))
    for size, methods in groups.items():
        half = step * len(methods) / 2
        axes.axvspan(size * 2**-half, size * 2**half, color=STRIP, zorder=0)
        for place, method in enumerate(methods):
            _draw_dot(
                axes, size * 2 ** (step * (place + 0.5) - half), method.metrics[summary.primary], looks[method.label]
            )
    axes.axhline(100 * summary.score(summary.methods[0]), color=INK, linestyle=TEACHER["linestyle"], linewidth=1)
    _label_sizes(axes, sorted(groups))
    keep_possible(axes)
    _draw_low_floors(axes, summary.all_floors, summary.primary)


def _sizes_shown(summary: Summary) -> dict[str, Callable[[Method], int]]:
    """Both sizes, or parameters alone where dimensions part and order the methods in the same way."""
    dimensions, parameters = SIZES.values()
    pairs = sorted({(parameters(method), dimensions(method)) for method in summary.methods})
    alike = all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(pairs))
    return {BOTH: parameters} if alike else SIZES


def _name_dimensions(axes: Axes, summary: Summary) -> None:
    """Below each number of parameters the dimensions that go with it."""
    dimensions = {method.row.parameters: _dimensions(method) for method in summary.methods}
    sizes = [round(tick) for tick in axes.get_xticks()]
    axes.set_xticks(sizes, [f"{size:,}\n{dimensions[size]:,}-d" for size in sizes])


def _step(sizes: Sequence[int], most: int) -> float:
    """Octaves between neighbours on a strip of `most` methods or fewer, so that all strips stay apart."""
    gaps = [math.log2(after / before) for before, after in pairwise(sizes)]
    return min(0.2, *(0.8 * gap / most for gap in gaps or [2]))


def _draw_dot(axes: Axes, place: float, interval: Interval, look: dict[str, Any]) -> None:
    axes.plot(place, 100 * interval.mean, **look)
    if interval.low is not None and interval.high is not None:
        axes.vlines(place, 100 * interval.low, 100 * interval.high, color=look["color"], linewidth=1.2, zorder=1.5)


def _label_sizes(axes: Axes, sizes: Sequence[int]) -> None:
    """Ticks at the sizes that there are, without those whose labels would run into the label before."""
    low, high = map(math.log2, axes.get_xlim())
    shown: list[int] = []
    for size in sizes:
        if not shown or math.log2(size / shown[-1]) > (high - low) / 5:
            shown.append(size)
    axes.set_xticks(shown, [f"{size:,}" for size in shown])
    axes.xaxis.set_minor_locator(NullLocator())


def size_in_words(summary: Summary) -> str:
    """The figure for those who do not see it."""
    values = "; ".join(
        f"{method.label}: {_dimensions(method):,} dimensions, "
        f"{method.row.parameters:,} parameters, {mean_cell(method.metrics[summary.primary])} %"
        for method in summary.methods
    )
    axes = "over embedding dimensions, and over parameters"
    return f"{metric_name(summary.primary)} {axes}, a marker for each method. {values}."
