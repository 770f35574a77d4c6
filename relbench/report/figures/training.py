"""Figure of training: the primary metric on validation classes, and every loss term, over steps."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from relbench.analysis.methods import Method
from relbench.analysis.summary import Summary
from relbench.plain_text import listed
from relbench.report.figures.canvas import drawn, shortened
from relbench.report.figures.looks import Looks, add_legend, add_title, legend_of, looks_of, wrapped
from relbench.report.wording import metric_name, percent
from relbench.results.records import WATCHED

TERM = 26  # letters of a loss term's name in a line above its panel


def training_figure(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """The primary metric on validation classes, and below it every loss term, over steps.

    Bands reach from the least to the greatest seed.

    Args:
        summary: The study.
        kind: The file format.
        narrow: Shaped for a telephone: the legend below the large panel, and two small panels in a line, not four.
    """
    frames = {method.label: _history(method) for method in summary.methods}
    names = dict.fromkeys(str(name) for frame in frames.values() for name in frame)
    terms = [name for name in names if name not in ("step", summary.primary) and not name.startswith(WATCHED)]
    looks, legend = looks_of(summary), legend_of(summary.methods, narrow=narrow)
    lines, columns = _lines_and_columns(len(terms), at_most=2 if narrow else 4)
    heights = [2.8 + legend.height if narrow else max(3.4, legend.height), *([0.3 + 1.6 * lines] if terms else [])]
    with drawn((4.2 if narrow else 9.0, sum(heights)), kind) as (figure, content):
        above, *below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat
        axes = above.add_subplot()
        _draw_history(axes, frames, summary.primary, looks, scale=100)
        axes.set(title=f"{metric_name(summary.primary)} on validation classes, %", xlabel="Training step")
        add_title(above, summary, "Training", "bands", "least to greatest seed")
        add_legend(above, legend, looks)
        for part in below:
            _draw_terms(part.subplots(lines, columns, squeeze=False), frames, terms, looks)
            part.suptitle("Loss terms", fontsize="medium", x=0.01, ha="left")
    return content.getvalue()


def _history(method: Method) -> pd.DataFrame:
    """Training histories of all seeds, one entry per line."""
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
        axes.set_title(wrapped(shortened(term, 3 * TERM), TERM), fontsize="small")
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


def training_in_words(summary: Summary) -> str:
    """The figure for those who do not see it."""
    terms = dict.fromkeys(term.loss for row in summary.rows for term in row.experiment.terms)
    values = "; ".join(f"{method.label} {_last_validation(method, summary.primary)}" for method in summary.methods)
    return (
        f"Curves over training steps, one for each method: a panel for each loss term ({listed(list(terms))}), "
        f"and one for {metric_name(summary.primary)} on validation classes. Its last values: {values}."
    )


def _last_validation(method: Method, primary: str) -> str:
    recorded = [[entry[primary] for entry in row.history if primary in entry] for row in method.rows]
    last = [values[-1] for values in recorded if values]
    return f"{percent(fmean(last))} %" if last else "not recorded"
