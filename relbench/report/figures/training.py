"""Figure of training: the primary metric on validation images, and every loss term, over steps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from relbench.analysis.methods import Method
from relbench.analysis.summary import Summary
from relbench.evaluation.metric_names import in_sentence, metric_name
from relbench.plain_text import listed, percent
from relbench.report.figures.canvas import drawn, shortened
from relbench.report.figures.looks import Looks, add_legend, add_title, legend_of, looks_of, wrapped
from relbench.results.records import WATCHED

TERM = 26  # letters of a loss term's name in a line above its panel


def training_figure(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """The primary metric on validation images, and below it every loss term, over steps.

    Bands reach from the least to the greatest seed.

    Args:
        summary: The study.
        kind: The file format.
        narrow: Shaped for a telephone: the legend below the large panel, and two small panels in a line, not four.
    """
    curves = {method.label: _curves(method) for method in summary.methods}
    names = dict.fromkeys(name for own in curves.values() for name in own)
    terms = [name for name in names if name != summary.primary and not name.startswith(WATCHED)]
    looks, legend = looks_of(summary), legend_of(summary.methods, narrow=narrow)
    lines, columns = _lines_and_columns(len(terms), at_most=2 if narrow else 4)
    heights = [2.8 + legend.height if narrow else max(3.4, legend.height), *([0.3 + 1.6 * lines] if terms else [])]
    with drawn((4.2 if narrow else 9.0, sum(heights)), kind) as (figure, content):
        above, *below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat
        axes = above.add_subplot()
        _draw_history(axes, curves, summary.primary, looks, scale=100)
        axes.set(title=f"{metric_name(summary.primary)} on validation images, %", xlabel="Training step")
        add_title(above, summary, "Training", "bands", "least to greatest seed")
        add_legend(above, legend, looks)
        for part in below:
            _draw_terms(part.subplots(lines, columns, squeeze=False), curves, terms, looks)
            part.suptitle("Loss terms", fontsize="medium", x=0.01, ha="left")
    return content.getvalue()


@dataclass(frozen=True)
class _Curve:
    """A number of the history over steps, of all seeds that have it there."""

    steps: NDArray[np.float64]
    mean: NDArray[np.float64]
    least: NDArray[np.float64]
    greatest: NDArray[np.float64]


Curves = Mapping[str, Mapping[str, _Curve]]  # by method, by what was recorded


def _curves(method: Method) -> dict[str, _Curve]:
    """By what was recorded."""
    alike: dict[tuple[str, ...], list[Mapping[str, float]]] = {}
    for row in method.rows:
        for entry in row.history:
            alike.setdefault(tuple(entry), []).append(entry)
    tables = [(names, _table(entries)) for names, entries in alike.items()]
    every = dict.fromkeys(name for names in alike for name in names if name != "step")
    return {
        name: _curve([table[:, [names.index("step"), names.index(name)]] for names, table in tables if name in names])
        for name in every
    }


def _table(entries: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """(entries, names) of entries with the same names in the same order."""
    numbers = np.fromiter(chain.from_iterable(entry.values() for entry in entries), dtype=np.float64)
    return numbers.reshape(len(entries), -1)


def _curve(points: Sequence[NDArray[np.float64]]) -> _Curve:
    """From arrays (entries, step and value), in any order."""
    step, value = np.concatenate(points).T
    order = np.argsort(step, kind="stable")
    steps, first = np.unique(step[order], return_index=True)
    parts = value[order]
    mean = np.add.reduceat(parts, first) / np.diff([*first, len(parts)])
    return _Curve(steps, mean, np.minimum.reduceat(parts, first), np.maximum.reduceat(parts, first))


def _lines_and_columns(panels: int, *, at_most: int) -> tuple[int, int]:
    """Of a grid whose lines are as full as can be: five panels in at most four columns are three and two."""
    lines = math.ceil(panels / at_most)
    return lines, math.ceil(panels / max(lines, 1))


def _draw_terms(grid: Sequence[Sequence[Axes]], curves: Curves, terms: Sequence[str], looks: Looks) -> None:
    panels = [axes for line in grid for axes in line]
    for axes, term in zip(panels, terms, strict=False):
        _draw_history(axes, curves, term, looks)
        axes.set_title(wrapped(shortened(term, 3 * TERM), TERM), fontsize="small")
        axes.tick_params(labelsize="small")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))  # the default's depend on a height that is not yet known
    for axes in panels[len(terms) :]:
        axes.remove()


def _draw_history(axes: Axes, curves: Curves, name: str, looks: Looks, scale: float = 1) -> None:
    for label, own in curves.items():
        if name not in own:
            continue
        curve = own[name]
        every = max(1, math.ceil(len(curve.steps) / 6))  # as many markers as tell the lines apart, and no more
        axes.plot(curve.steps, scale * curve.mean, **{**looks[label], "markevery": every})
        band = scale * curve.least, scale * curve.greatest
        axes.fill_between(curve.steps, *band, color=looks[label]["color"], alpha=0.15, lw=0)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    if not axes.lines:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", va="center")


def training_in_words(summary: Summary) -> str:
    """The figure for those who do not see it."""
    terms = dict.fromkeys(term.loss for row in summary.rows for term in row.experiment.terms)
    values = "; ".join(f"{method.label} {_last_validation(method, summary.primary)}" for method in summary.methods)
    return (
        f"Curves over training steps, one for each method: a panel for each loss term ({listed(list(terms))}), "
        f"and one for {in_sentence(summary.primary)} on validation images. Its last values: {values}."
    )


def _last_validation(method: Method, primary: str) -> str:
    recorded = [[entry[primary] for entry in row.history if primary in entry] for row in method.rows]
    last = [values[-1] for values in recorded if values]
    return f"{percent(fmean(last))} %" if last else "not recorded"
