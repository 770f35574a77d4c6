"""Forest plot that a page and the README begin with: how far each method stands from the teacher, and how surely."""

import textwrap
from collections import Counter
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from relbench.analysis.methods import Method
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison
from relbench.evaluation.metric_names import in_sentence, metric_name
from relbench.plain_text import counted, listed, signed
from relbench.report.figures.canvas import COLOURS, FAINT, INK, PAPER, drawn, plain
from relbench.report.wording import UNDECIDED, VERDICTS, groups_of_trials, net_name, seeds_in_words, verdict_word

LINE = 0.205  # inches of a line of letters
LOOKS: dict[str, dict[str, Any]] = {  # form and filling say the same as colour
    "beats": {"marker": ">", "color": COLOURS[0], "markerfacecolor": COLOURS[0]},
    "not shown to differ": {"marker": "o", "color": FAINT, "markerfacecolor": PAPER},
    UNDECIDED: {"marker": "s", "color": FAINT, "markerfacecolor": PAPER},
    "loses": {"marker": "<", "color": COLOURS[1], "markerfacecolor": COLOURS[1]},
    "no verdict": {"marker": "D", "color": FAINT, "markerfacecolor": PAPER},
}
INTERVAL: dict[str, Any] = {"linewidth": 1.8, "zorder": 2}


def forest_figure(summary: Summary, kind: Literal["png", "svg"], *, narrow: bool = False) -> bytes:
    """A line for each method, from greatest to least difference to the teacher, with its 95 % interval.

    Args:
        summary: The study; at least one method is compared with the teacher.
        kind: The file format.
        narrow: Shaped for a telephone.
    """
    methods = ranked(summary)
    names = [plain("\n".join(textwrap.wrap(label, 19 if narrow else 44))) for label in _with_nets(methods)]
    lines = sum(name.count("\n") + 1 for name in names)
    legend = _legend(methods, _over(summary))
    below = 1 if narrow else 3
    height = LINE * (lines + 0.15 * len(methods)) + 0.8 + LINE * -(-len(legend) // below)
    with drawn((4.2 if narrow else 9.0, height), kind) as (figure, content):
        axes = figure.add_subplot()
        places = _places(names)
        for place, method in zip(places, methods, strict=True):
            _draw(axes, place, method.against_teacher)
        axes.axvline(0, color=INK, linewidth=1, zorder=0)
        axes.set_yticks(places, names)
        axes.set_ylim(places[-1] - 0.7, 0)
        axes.tick_params("y", length=0)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"{metric_name(summary.primary)} minus the teacher's, points")
        figure.legend(legend.values(), legend, loc="outside lower left", ncols=below, fontsize="small")
    return content.getvalue()


def ranked(summary: Summary) -> list[Method]:
    """Every method that is compared with the teacher, from greatest to least difference."""
    return sorted(
        (method for method in summary.methods if method.against_teacher),
        key=lambda method: -_compared(method).difference,
    )


def _compared(method: Method) -> Comparison:
    if method.against_teacher is None:
        raise ValueError(f"method {method.label!r} has no comparison with the teacher")
    return method.against_teacher


def named(method: Method) -> str:
    """A control is no student, and is judged alone."""
    return f"{method.label} (control)" if method.role == "control" else method.label


def _with_nets(methods: list[Method]) -> list[str]:
    """With the network of those that don't have that of most: it may be what makes the difference."""
    usual = Counter(map(net_name, methods)).most_common(1)[0][0]
    return [
        named(method) if net_name(method) == usual else f"{named(method)}, {net_name(method)}" for method in methods
    ]


def _places(names: list[str]) -> list[float]:
    """From above, one below the other, with room for a name of several lines."""
    places, at = [], 0.0
    for name in names:
        half = (name.count("\n") + 1.15) / 2
        places.append(at - half)
        at -= 2 * half
    return places


def _draw(axes: Axes, place: float, comparison: Comparison | None) -> None:
    if comparison is None:
        return
    look = LOOKS[verdict_word(comparison)]
    low, high = comparison.interval.low, comparison.interval.high
    if low is not None and high is not None:
        axes.hlines(place, 100 * low, 100 * high, **INTERVAL, color=look["color"])
    axes.plot(100 * comparison.difference, place, **look, markersize=6, linestyle="none", zorder=3)
    axes.annotate(
        signed(comparison.difference), (1, place), (4, 0), va="center", xycoords=("axes fraction", "data"),
        textcoords="offset points", annotation_clip=False,
    )  # fmt: skip


def _legend(methods: list[Method], over: str) -> dict[str, Line2D]:
    """What stands for what, of that which is drawn."""
    verdicts = dict.fromkeys(verdict_word(_compared(method)) for method in methods)
    judged = map(_compared, methods)
    corrected = [it for it in judged if it.family > 1 and it.p_adjusted is not None]
    after = {verdict_word(it) for it in corrected}  # a control's is its own
    entries = {
        f"{VERDICTS.get(verdict, verdict)}{', after Holm' if verdict in after else ''}": Line2D(
            [], [], **LOOKS[verdict], markersize=6, linestyle="none"
        )
        for verdict in LOOKS
        if verdict in verdicts
    }
    return entries | ({f"95 % {over}": Line2D([], [], color=FAINT, **INTERVAL)} if _has_intervals(methods) else {})


def _over(summary: Summary) -> str:
    """What the intervals are over."""
    return f"over seeds and {groups_of_trials(summary)}"


def _has_intervals(methods: list[Method]) -> bool:
    """A single class has none, and neither has a single seed."""
    return any(_compared(method).interval.low is not None for method in methods)


def forest_in_words(summary: Summary) -> str:
    """For those who do not see the plot."""
    methods = ranked(summary)
    values = [f"{named(method)} {signed(_compared(method).difference)}" for method in methods]
    intervals = f", with 95 % intervals {_over(summary)}" if _has_intervals(methods) else ""
    return (
        f"A line for each of {counted(len(values), 'method')}: its {in_sentence(summary.primary)} minus the teacher's "
        f"in points, over {seeds_in_words(summary)}{intervals}. From greatest to least: "
        f"{listed(values)}."
    )
