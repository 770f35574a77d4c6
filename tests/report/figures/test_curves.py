"""The picture of curves: each number's height and place, gaps where a number is missing; only of tables that ask."""

import math
from collections.abc import Callable

import matplotlib.figure
import pytest
from matplotlib.axes import Axes
from printed_tables import finished, hostile, summary, table1, table3, unfinished, unpublished

from relbench.analysis.cells import FilledCell
from relbench.analysis.summary import Summary
from relbench.report.figures.cells import cells_figure, cells_in_words
from relbench.report.figures.curves import SPREAD, curves_figure, has_curves
from relbench.report.grids import parts, rows

Figures = list[matplotlib.figure.Figure]


def over(made: Summary, what: str = "images of each class") -> Summary:
    return unpublished(made).replaced(curves_over=what)


def curve(row: str, counts: list[int], missing: tuple[int, ...] = ()) -> list[FilledCell]:
    """A row of three seeds each, but for what is not finished."""
    cells = [FilledCell("Part", row, f"k = {k}", "accuracy", f"{row}/{k}", "", None, {}) for k in counts]
    return [cell if k in missing else finished(cell, k, 3) for k, cell in zip(counts, cells, strict=True)]


SMALL = [*curve("alone", [5, 10, 20]), *curve("taught", [5, 10, 20], missing=(10,)), *curve("other", [5], missing=(5,))]
MADE: dict[str, Callable[[], Summary]] = {
    "small": lambda: summary(SMALL, curves_over="images of each class"),
    "two parts, gaps": lambda: over(table3(), "K"),
    "many rows, gaps": lambda: over(table1()),
    "nothing finished": lambda: over(unfinished(table3())),
    "hostile": lambda: over(hostile(), hostile().title),
}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Figures:
    """The figures that are saved, without drawing them."""
    found: Figures = []
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda figure, *_, **__: found.append(figure))
    return found


def points(axes: Axes) -> list[tuple[int, float]]:
    """(column, height) of every point that is drawn."""
    found = [place for line in axes.lines for place in zip(*line.get_data(), strict=True)]
    assert all(abs(x - round(x)) <= SPREAD / 2 + 1e-9 for x, _ in found)
    return sorted((round(x), round(float(y), 6)) for x, y in found if not math.isnan(y))


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("name", MADE)
def test_every_number_of_the_first_rule_is_a_point_of_its_column(name: str, *, narrow: bool, figures: Figures) -> None:
    made = MADE[name]()
    curves_figure(made, "png", narrow=narrow)
    rule = made.shown[0]
    for axes, cells in zip(figures[0].axes, parts(made).values(), strict=True):
        columns = list(dict.fromkeys(cell.column for cell in cells))
        done = [cell for cell in cells if rule in cell.ours]
        means = [(columns.index(cell.column), round(100 * cell.ours[rule].interval.mean, 6)) for cell in done]
        assert points(axes) == sorted(means)
        assert len(axes.lines) == sum(any(rule in cell.ours for cell in row) for row in rows(cells).values())
        ends = sorted(tuple(path.vertices[:, 1]) for lines in axes.collections for path in lines.get_paths())
        intervals = [cell.ours[rule].interval for cell in done]
        known = [(100 * one.low, 100 * one.high) for one in intervals if one.low is not None and one.high is not None]
        assert ends == [pytest.approx(pair) for pair in sorted(known)]
        low, high = axes.get_ylim()
        assert 0 <= low < high <= 101


def test_a_missing_number_breaks_its_curve_and_a_row_without_any_is_not_in_the_legend(figures: Figures) -> None:
    curves_figure(MADE["small"](), "png")
    (axes,) = figures[0].axes
    assert [[math.isnan(y) for y in line.get_ydata()] for line in axes.lines] == [[False] * 3, [False, True, False]]
    legend = figures[0].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["alone", "taught"]
    assert legend.get_title().get_text() == "Whiskers: 95 % interval over seeds"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["k = 5", "k = 10", "k = 20"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("images of each class", "Accuracy, %")


def test_a_row_keeps_its_look_whatever_is_finished(figures: Figures) -> None:
    made = MADE["small"]()
    curves_figure(made, "png")
    curves_figure(made.replaced(cells=tuple(SMALL[3:])), "png")
    curves_figure(made.replaced(cells=(*unfinished(summary(SMALL[:3])).cells, *SMALL[3:])), "png")
    looks = [figure.axes[0].lines[-1].get_color() for figure in figures]
    assert looks[0] == looks[2] != looks[1]


def test_a_part_of_a_single_column_is_no_curve(figures: Figures) -> None:
    teacher = finished(FilledCell("Teacher", "ce", "WRN", "accuracy", "teacher", "", None, {}), 1, 3)
    cells_figure(summary([teacher, *SMALL], curves_over="images"), "png")
    assert [axes.get_title("left") for axes in figures[0].axes] == ["Part"]
    assert not has_curves(summary([teacher], curves_over="images"))


def test_only_tables_that_ask_have_curves_and_none_with_printed_numbers() -> None:
    assert not has_curves(summary(SMALL))
    assert not has_curves(table3().replaced(curves_over="K"))
    assert "a curve for each of its rows, over K: ours alone" in cells_in_words(over(table3(), "K"))
    assert "a line for each of its numbers" in cells_in_words(table3())


@pytest.mark.parametrize("name", ["small", "hostile", "nothing finished"])
def test_the_picture_is_the_same_each_time(name: str) -> None:
    made = MADE[name]()
    assert curves_figure(made, "svg") == curves_figure(made, "svg") == cells_figure(made, "svg")
