"""The picture of bars: each number's height and place, from zero, whatever is missing; the same each time."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import matplotlib.figure
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from printed_tables import SHAPES, figure3, finished, hostile, summary, table1, unfinished, unpublished

from relbench.analysis.cells import FilledCell
from relbench.analysis.summary import Summary
from relbench.report.figures.bars import bars_figure
from relbench.report.figures.cells import cells_figure
from relbench.report.grids import parts
from relbench.report.wording import TOY

Figures = list[matplotlib.figure.Figure]
COLUMNS = ["RKD-DA (student)", "Triplet (teacher)", "Pretrained"]
MADE: dict[str, Callable[[], Summary]] = {
    "figure 3": figure3,
    "peeking first": lambda: figure3(("test", "last")),
    "nothing finished": lambda: unfinished(figure3()),
    "nothing printed": lambda: unpublished(figure3()),
    "nothing at all": lambda: unpublished(unfinished(figure3())),
    "toy": SHAPES["figure 3, toy"],
    "several parts, gaps": table1,
    "hostile": hostile,
    "one number": lambda: summary([figure3().cells[5]]),
}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Figures:
    """The figures that are saved, without drawing them."""
    found: Figures = []
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda figure, *_, **__: found.append(figure))
    return found


def bars(axes: Axes, *, paper: bool) -> list[Rectangle]:
    return [bar for bar in axes.patches if isinstance(bar, Rectangle) and bool(bar.get_hatch()) == paper]


def heights(drawn: list[Rectangle]) -> list[float]:
    return sorted(round(bar.get_height(), 6) for bar in drawn)


def whiskers(axes: Axes) -> list[tuple[float, float, float]]:
    """(place, low, high) of each."""
    segments = [path.vertices for lines in axes.collections for path in lines.get_paths()]
    return [(float(ends[0, 0]), float(ends[0, 1]), float(ends[1, 1])) for ends in segments]


def of_first_rule(made: Summary, cells: list[FilledCell]) -> list[FilledCell]:
    return [cell for cell in cells if made.shown[0] in cell.ours]


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("name", MADE)
def test_every_number_of_the_paper_s_and_of_the_first_rule_s_is_a_bar_from_zero(
    name: str, *, narrow: bool, figures: Figures
) -> None:
    made = MADE[name]()
    bars_figure(made, "png", narrow=narrow)
    first = made.shown[0]
    for axes, cells in zip(figures[0].axes, parts(made).values(), strict=True):
        means = [cell.ours[first].interval.mean for cell in of_first_rule(made, cells)]
        assert heights(bars(axes, paper=False)) == sorted(round(100 * value, 6) for value in means)
        printed = [cell.published for cell in cells if cell.published is not None]
        assert heights(bars(axes, paper=True)) == sorted(round(100 * value, 6) for value in printed)
        assert {bar.get_y() for bar in axes.patches if isinstance(bar, Rectangle)} <= {0}
        assert axes.get_ylim()[0] == 0
        assert axes.get_ylim()[1] <= 101


@pytest.mark.parametrize("name", MADE)
def test_no_bars_overlap_and_each_stands_in_its_group(name: str, figures: Figures) -> None:
    made = MADE[name]()
    bars_figure(made, "png")
    for axes in figures[0].axes:
        spans = sorted(
            (bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches if isinstance(bar, Rectangle)
        )
        assert all(right <= left + 1e-9 for (_, right), (left, _) in pairwise(spans))
        assert all(round(left) == round(right) for left, right in spans)


def test_the_interval_stands_in_the_middle_of_our_bar(figures: Figures) -> None:
    made = figure3()
    bars_figure(made, "png")
    runs = {round(100 * cell.ours["last"].interval.mean, 6): cell.ours["last"] for cell in made.cells}
    expected = []
    for bar in bars(figures[0].axes[0], paper=False):
        interval = runs[round(bar.get_height(), 6)].interval
        if interval.low is not None and interval.high is not None:
            expected.append((bar.get_x() + bar.get_width() / 2, 100 * interval.low, 100 * interval.high))
    assert len(expected) == 8  # the four networks of one seed have none
    for got, wanted in zip(sorted(whiskers(figures[0].axes[0])), sorted(expected), strict=True):
        assert got == pytest.approx(wanted)


@pytest.mark.parametrize("missing", range(3, 12))  # the first group says the columns' order
def test_a_missing_number_leaves_its_place_empty_and_moves_no_other(missing: int, figures: Figures) -> None:
    made = figure3()
    without = made.replaced(cells=made.cells[:missing] + made.cells[missing + 1 :])
    hollow = [replace(cell, ours={}, published=None) if at == missing else cell for at, cell in enumerate(made.cells)]
    for one in (made, without, made.replaced(cells=tuple(hollow))):
        bars_figure(one, "png")
    whole, *others = ([(bar.get_x(), bar.get_height()) for bar in figure.axes[0].patches] for figure in figures)
    for other in others:
        assert other == whole[: 2 * missing] + whole[2 * missing + 2 :]


def test_ours_stands_right_of_the_paper_s_in_the_column_s_colour(figures: Figures) -> None:
    bars_figure(figure3(), "png")
    axes = figures[0].axes[0]
    entries = [handle.get_facecolor() for handle in figures[0].legends[0].get_patches()][:3]
    ours = sorted(bars(axes, paper=False), key=Rectangle.get_x)
    papers = sorted(bars(axes, paper=True), key=Rectangle.get_x)
    for at, (our, paper) in enumerate(zip(ours, papers, strict=True)):
        assert paper.get_x() + paper.get_width() == pytest.approx(our.get_x())
        assert our.get_facecolor() == entries[at % 3]
        assert paper.get_edgecolor() == entries[at % 3]
        assert sum(paper.get_facecolor()[:3]) > sum(our.get_facecolor()[:3]) + 0.5
        assert paper.get_facecolor()[3] == 1  # an SVG's hatching would be as pale as the rest
    assert len(set(entries)) == 3


def test_groups_are_named_by_rows(figures: Figures) -> None:
    bars_figure(figure3(), "png")
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        *("Cars 196", "CUB-200-2011", "Stanford Dog", "CIFAR-100")
    ]
    assert axes.get_ylabel() == "Recall@1, %"
    assert axes.get_title("left") == "Trained on Cars 196"


OTHERS = "Drawn: last step. Only in the table: best on validation images; best on test images: peeking."
LEGENDS = {
    "all": (figure3(), [*COLUMNS, "paper", "ours, last step"], f"{OTHERS}\nWhiskers: 95 % interval over seeds"),
    "one rule": (
        figure3(("test",)),
        [*COLUMNS, "paper", "ours, best on test images: peeking"],
        "Whiskers: 95 % interval over seeds",
    ),
    "nothing finished": (unfinished(figure3(("last",))), [*COLUMNS, "paper"], ""),
    "nothing printed": (
        unpublished(figure3(("last",))),
        [*COLUMNS, "ours, last step"],
        "Whiskers: 95 % interval over seeds",
    ),
    "one seed": (
        summary([finished(cell, 1, 1) for cell in figure3().cells]),
        [*COLUMNS, "paper", "ours, last step"],
        "",
    ),
}


@pytest.mark.parametrize(("made", "entries", "title"), LEGENDS.values(), ids=LEGENDS)
def test_the_legend_tells_what_is_drawn_and_nothing_else(
    made: Summary, entries: list[str], title: str, figures: Figures
) -> None:
    bars_figure(made, "png")
    legend = figures[0].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == entries
    assert legend.get_title().get_text() == title


def test_toy_scale_is_in_the_title(figures: Figures) -> None:
    bars_figure(SHAPES["figure 3, toy"](), "png")
    assert f"toy scale {TOY}" in re.sub(r"\s+", " ", figures[0].get_suptitle())


def test_what_is_measured_on_other_data_is_drawn_as_bars(figures: Figures) -> None:
    for made in (figure3(), table1()):
        cells_figure(made, "png")
    assert [len(figure.axes[0].patches) for figure in figures] == [24, 0]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_table_gives_the_same_bytes(kind: str) -> None:
    made = figure3()
    first, second = (bars_figure(made, kind) for _ in range(2))  # type: ignore[arg-type]
    assert first == second
    assert first.startswith(b"\x89PNG") if kind == "png" else len(ET.fromstring(first)) > 1
