"""Figure of the distances of pairs, one panel per network; and the same in words."""

import math
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from relbench.analysis.images import Distances, Share, Spread
from relbench.analysis.summary import Summary
from relbench.plain_text import counted
from relbench.report.figures.canvas import COLOURS, drawn, plain, shortened

SAME: dict[str, Any] = {
    "facecolor": COLOURS[4],
    "edgecolor": COLOURS[0],
    "linewidth": 1.4,
    "alpha": 0.75,
    "hatch": "////",
}
OTHER: dict[str, Any] = {"facecolor": "none", "edgecolor": COLOURS[1], "linewidth": 1.8, "linestyle": (0, (4, 1.5))}
PANEL = 1.75  # inches


def distances_figure(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """Densities of the distances of pairs of one class (filled, hatched) and of two (dashed), one panel per network.

    Args:
        summary: The study; it has distances.
        kind: The file format.
        narrow: Shaped for a telephone: one panel below the other.
    """
    distances = _of(summary)
    columns = 1 if narrow else min(3, len(distances.spreads))
    lines = math.ceil(len(distances.spreads) / columns)
    size = (4.2, 1.1 + PANEL * lines) if narrow else (3.0 * max(columns, 2), 1.2 + 1.2 * PANEL * lines)
    with drawn(size, kind) as (figure, content):
        panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, spread in zip(panels, distances.spreads, strict=False):
            _draw(axes, spread, distances)
        for axes in panels[len(distances.spreads) :]:
            axes.remove()
        for axes in panels[len(distances.spreads) - columns : len(distances.spreads)]:
            axes.set_xlabel("Distance, over the network's mean")
            axes.tick_params(labelbottom=True)
        title = f"Distances of pairs on test classes\nseed {distances.seed}, S: separation"
        figure.suptitle(title, fontsize="medium", x=0.01, ha="left")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return content.getvalue()


def _of(summary: Summary) -> Distances:
    if summary.distances is None:
        raise ValueError(f"the summary of {summary.name!r} has no distances of pairs: measure them first")
    return summary.distances


def _draw(axes: Axes, spread: Spread, distances: Distances) -> None:
    axes.stairs(spread.same, distances.edges, fill=True, label="one class", **SAME)
    axes.stairs(spread.other, distances.edges, fill=True, label="two classes", **OTHER)
    axes.set_xlim(0, distances.edges[-1])
    axes.set_ylim(0, _highest(distances))  # the same for all: panels share their axes, and the last to set it would win
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.spines["left"].set_visible(False)
    axes.set_title(f"{plain(shortened(spread.label, 32))}, S {spread.separation:.3f}")


def _highest(distances: Distances) -> float:
    """A little above the highest peak of all panels."""
    return 1.05 * max(density for spread in distances.spreads for density in (*spread.same, *spread.other))


def distances_in_words(distances: Distances) -> str:
    """For those who do not see the plot."""
    values = "; ".join(f"{spread.label} {spread.separation:.3f}" for spread in distances.spreads)
    return (
        "A panel for each network: the distances of pairs of one class, filled and hatched, and of pairs of two "
        f"classes, as a dashed line. Separation: {values}."
    )


def distances_measured(distances: Distances) -> str:
    """What the plot shows, and by how many pairs."""
    return (
        f"Distances between a query and another image, at seed {distances.seed}, divided by the mean over all such "
        f"pairs of the network, so that networks of any scale can be compared: {_share(distances.same)} of one class, "
        f"{_share(distances.other)} of two. Separation S: how often a random pair of one class is nearer than a random "
        "pair of two, ties counting half (the area under the ROC curve): 0.5 is chance, 1 no overlap. At most the "
        "farthest 0.1 % lie outside the plot."
    )


def _share(share: Share) -> str:
    if share.measured == share.total:
        return f"all {counted(share.total, 'pair')}"
    return f"{share.measured:,} drawn at random from {counted(share.total, 'pair')}"
