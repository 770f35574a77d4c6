"""Figure of Recall@K over K, a curve for each method."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from relbench.analysis.methods import Method
from relbench.analysis.summary import Summary
from relbench.plain_text import percent
from relbench.report.figures.canvas import drawn
from relbench.report.figures.looks import (
    FLOOR,
    Legend,
    Looks,
    add_legend,
    add_title,
    keep_possible,
    legend_of,
    looks_of,
    name_floor,
    ranked,
)
from relbench.report.wording import RECALL, recall_ranks

ROOM = 0.055  # of a line of letters beside a curve's end, in heights of the axes


def recall_figure(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """Recall@K over K, one curve per method with its 95 % interval over seeds as a band.

    Args:
        summary: The study.
        kind: The file format.
        narrow: Shaped for a telephone: the legend below the curves.
    """
    looks = looks_of(summary)
    legend = legend_of(ranked(summary), narrow=narrow)
    with drawn((4.2, 4.0 + legend.height) if narrow else (8.0, max(4.5, legend.height + 0.6)), kind) as (
        figure,
        content,
    ):
        axes = figure.add_subplot()
        for method in summary.methods:
            _draw_recall(axes, method, looks[method.label])
        _draw_floors(axes, summary)
        _label_recall(axes, recall_ranks(summary.methods[0]))
        add_title(figure, summary, "Recall@K", "bands", "95 % interval over seeds")
        if narrow:
            add_legend(figure, legend, looks)
        else:
            _label_ends(axes, summary, legend, looks)
    return content.getvalue()


def _draw_recall(axes: Axes, method: Method, look: dict[str, Any]) -> None:
    ranks = recall_ranks(method)
    intervals = [method.metrics[f"{RECALL}{rank}"] for rank in ranks]
    axes.plot(ranks, [100 * interval.mean for interval in intervals], **look)
    low = [math.nan if interval.low is None else 100 * interval.low for interval in intervals]
    high = [math.nan if interval.high is None else 100 * interval.high for interval in intervals]
    axes.fill_between(ranks, low, high, color=look["color"], alpha=0.12, linewidth=0)


def _label_ends(axes: Axes, summary: Summary, legend: Legend, looks: Looks) -> None:
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
    """Heights in [0, 1], falling, near those wanted, so that texts of several lines do not cover each other.

    Texts that would are put into one block, around the mean of what they want; so are blocks that then meet.
    """
    room = min(ROOM, 1 / sum(lines))
    offsets = np.cumsum([room * count for count in lines]) - room * np.array(lines) / 2
    blocks: list[list[float]] = []  # of what each text wants, minus what stands above it
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
        name_floor(axes, floor, (ranks[-1], values[-1]))


def _label_recall(axes: Axes, ranks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlim(ranks[0] / 1.12, ranks[-1] * 1.12)
    axes.xaxis.set_major_locator(FixedLocator(ranks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ranks, [f"{rank:,}" for rank in ranks])
    axes.set(xlabel="K", ylabel="Recall@K, %")
    keep_possible(axes)


def has_recall_curves(summary: Summary) -> bool:
    """Whether recall was measured at several K."""
    return bool(summary.methods) and len(recall_ranks(summary.methods[0])) > 1


def recall_in_words(summary: Summary) -> str:
    """The figure for those who do not see it."""
    first = f"{RECALL}{recall_ranks(summary.methods[0])[0]}"
    values = "; ".join(f"{method.label} {percent(method.metrics[first].mean)} %" for method in summary.methods)
    floors = "; ".join(f"{floor.label} {percent(floor.metrics[first].mean)} %" for floor in summary.all_floors)
    dotted = f" Dotted, without training: {floors}." if floors else ""
    return (
        f"Curves of Recall@K over K, one for each method. At K = {first.removeprefix(RECALL)}: {values}.{dotted} "
        "The table above holds the other values."
    )
