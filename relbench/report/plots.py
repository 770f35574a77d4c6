"""The plots of a study, as bytes: drawn on figures of their own, never through pyplot's global state.

Methods differ in colour, marker and line, so that they can be told apart without colour, and up to 84 of them. The
colours are Okabe and Ito's (2008, jfly.uni-koeln.de/color), less yellow, which is too pale on white, and black, which
is the teacher's.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from relbench.report.summary import Method, Summary
from relbench.report.wording import MAIN, RECALL, main_recall, recall_ranks, seeds_in_words

DOTS_PER_INCH = 150
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", (0, (4, 1.5)))
TEACHER = {"color": "black", "linestyle": (0, (5, 2)), "linewidth": 2.6, "marker": ".", "markersize": 7, "zorder": 3}
LEGEND_LINE = 0.2  # inches
STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "font.size": 9.5,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "svg.fonttype": "path",  # the same picture where the font is missing
    "svg.hashsalt": "relbench",  # names inside the file that do not change from one run to the next
}

Looks = dict[str, dict[str, Any]]  # label -> line properties


def recall_plot(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """Recall@K over K, a curve a method with its 95 % interval over seeds as a band.

    Args:
        summary: The study.
        kind: The file format.
        narrow: Shaped for a telephone: the legend below the curves.
    """
    looks = _looks(summary)
    ranked = sorted(summary.methods, key=main_recall, reverse=True)  # the legend in the order of the curves
    legend = _legend(ranked, narrow=narrow)
    with _drawn((4.2, 4.0 + legend.height) if narrow else (8.0, max(4.5, legend.height)), kind) as (figure, content):
        axes = figure.add_subplot()
        for method in summary.methods:
            _draw_recall(axes, method, looks[method.label])
        _label_recall(axes, recall_ranks(summary.methods[0]))
        _add_title(figure, summary, "Recall@K", "95 % interval over seeds")
        _add_legend(figure, legend, looks)
    return content.getvalue()


def training_plot(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """Every loss term, and recall@1 on validation classes, over steps: means, and bands from least to greatest seed.

    Args:
        summary: The study.
        kind: The file format.
        narrow: Shaped for a telephone: one panel below the other.
    """
    frames = {method.label: _history(method) for method in summary.methods}
    terms = list(dict.fromkeys(str(name) for frame in frames.values() for name in frame if name not in ("step", MAIN)))
    looks, legend = _looks(summary), _legend(summary.methods, narrow=narrow)
    tall, wide = (4.2, 4.0 + 1.7 * len(terms) + legend.height), (9.0, max(4.5, 1.6 * len(terms), legend.height))
    with _drawn(tall if narrow else wide, kind) as (figure, content):
        *term_axes, recall_axes = _panels(figure, len(terms), narrow=narrow)
        for axes, term in zip(term_axes, terms, strict=True):
            _draw_history(axes, frames, term, looks)
            axes.set_title(f"Loss term {_plain(term)}")
        _draw_history(recall_axes, frames, MAIN, looks, scale=100)
        recall_axes.set(title="Recall@1 on validation classes, %", xlabel="Training step")
        _add_title(figure, summary, "Training", "least to greatest seed")
        _add_legend(figure, legend, looks)
    return content.getvalue()


@contextmanager
def _drawn(size: tuple[float, float], kind: str) -> Iterator[tuple[Figure, BytesIO]]:
    """A figure of so many inches, whose picture is in the buffer after the block; a user's matplotlibrc has no say."""
    content = BytesIO()
    with matplotlib.style.context(["default", STYLE], after_reset=True):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        yield figure, content
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(content, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)


def _looks(summary: Summary) -> Looks:
    """A line's properties by label: a thick black dashed line for the teacher, colour and marker for the others."""
    teacher, *others = summary.methods
    looks: Looks = {teacher.label: dict(TEACHER)}
    for index, method in enumerate(others):
        looks[method.label] = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": MARKERS[index % len(MARKERS)],
            "linestyle": LINES[index // len(COLOURS) % len(LINES)],
            "markersize": 5,
            "linewidth": 1.6,
        }
    return looks


def _draw_recall(axes: Axes, method: Method, look: dict[str, Any]) -> None:
    ranks = recall_ranks(method)
    intervals = [method.metrics[f"{RECALL}{rank}"] for rank in ranks]
    axes.plot(ranks, [100 * interval.mean for interval in intervals], **look)
    low = [math.nan if interval.low is None else 100 * interval.low for interval in intervals]
    high = [math.nan if interval.high is None else 100 * interval.high for interval in intervals]
    axes.fill_between(ranks, low, high, color=look["color"], alpha=0.12, linewidth=0)


def _label_recall(axes: Axes, ranks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlim(ranks[0] / 1.12, ranks[-1] * 1.12)
    axes.xaxis.set_major_locator(FixedLocator(ranks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ranks, [f"{rank:,}" for rank in ranks])
    axes.set(xlabel="K", ylabel="Recall@K, %")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0), min(high, 101))  # an interval of few seeds reaches beyond what a share can be


def _add_title(figure: Figure, summary: Summary, what: str, bands: str) -> None:
    """Two lines: what on which data; how many seeds, and what the bands are."""
    spread = f"mean of {seeds_in_words(summary)}, bands: {bands}" if len(summary.seeds) > 1 else "1 seed, no bands"
    data = _plain(summary.methods[0].row.experiment.data.name)
    figure.suptitle(f"{what} on {data}\n{spread}", fontsize="medium", x=0.01, ha="left")


def _history(method: Method) -> pd.DataFrame:
    """All seeds' training histories, one entry a line."""
    return pd.DataFrame([entry for row in method.rows for entry in row.history])


def _panels(figure: Figure, terms: int, *, narrow: bool) -> list[Axes]:
    """One small panel a term, and last the large one: beside them, or below them where the figure is narrow."""
    if narrow or not terms:
        grid = figure.add_gridspec(terms + 1, 1, height_ratios=[1.0] * terms + [1.8])
        return [figure.add_subplot(grid[row, 0]) for row in range(terms + 1)]
    grid = figure.add_gridspec(terms, 2, width_ratios=(1.0, 1.3))
    panels = [figure.add_subplot(grid[row, 0]) for row in range(terms)]
    panels[-1].set_xlabel("Training step")
    return [*panels, figure.add_subplot(grid[:, 1])]


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
        lines = sum(text.count("\n") + 1 for text in self.texts.values())
        return LEGEND_LINE * (lines / self.columns + 2)


def _legend(methods: Sequence[Method], *, narrow: bool) -> _Legend:
    texts = {method.label: _wrapped(method.label, 18 if narrow else 26) for method in methods}
    return _Legend(texts, 2, "outside lower left") if narrow else _Legend(texts, 1, "outside right upper")


def _wrapped(label: str, width: int) -> str:
    return _plain("\n".join(textwrap.wrap(label, width)))


def _add_legend(figure: Figure, legend: _Legend, looks: Looks) -> None:
    handles = [Line2D([], [], **looks[label]) for label in legend.texts]
    figure.legend(handles, list(legend.texts.values()), loc=legend.place, ncols=legend.columns, handlelength=3.2)


def _plain(text: str) -> str:
    """Text that matplotlib shows as it is: no mathematics between dollar signs, no line hidden by an underscore."""
    shown = text.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
