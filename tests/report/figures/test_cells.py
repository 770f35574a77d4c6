"""The picture of marks: a line for each number, whatever the table's shape; the same each time."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import matplotlib.figure
import pytest
from printed_tables import SHAPES, figure3, finished, summary, table1, table1_cells, table3, unfinished, unpublished

from relbench.analysis.summary import Summary
from relbench.report.figures.cells import cells_figure, cells_in_words
from relbench.report.grids import parts

MARKED = [name for name in SHAPES if not name.startswith("figure 3")]
WHISKERS = "Whiskers: 95 % interval over seeds"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[matplotlib.figure.Figure]:
    """The figures that are saved, without drawing them."""
    found: list[matplotlib.figure.Figure] = []
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda figure, *_, **__: found.append(figure))
    return found


@pytest.mark.parametrize("shape", ["wide", "narrow"])
@pytest.mark.parametrize("name", MARKED)
def test_every_number_of_paper_and_ours_is_marked_where_it_is(
    name: str, shape: str, figures: list[matplotlib.figure.Figure]
) -> None:
    made = SHAPES[name]()
    cells_figure(made, "png", narrow=shape == "narrow")
    for axes, cells in zip(figures[0].axes, parts(made).values(), strict=True):
        drawn = sorted(round(float(line.get_xdata()[0]), 6) for line in axes.lines)
        means = [cell.ours[rule].interval.mean for cell in cells for rule in made.shown if rule in cell.ours]
        printed = [cell.published for cell in cells if cell.published is not None]
        assert drawn == sorted(round(100 * value, 6) for value in [*means, *printed])
        low, high = axes.get_xlim()
        assert -1 <= low < high <= 101


def test_lines_are_named_by_row_and_column(figures: list[matplotlib.figure.Figure]) -> None:
    for made in (table1(), table3(), summary([table1_cells()[0], table1_cells()[41]])):
        cells_figure(made, "png")
    labels = [[label.get_text() for label in figure.axes[0].get_yticklabels()] for figure in figures]
    assert labels[0][:4] == ["ResNet50-512", "Triplet (teacher)", "ResNet18-16", "Baseline (Triplet)"]
    assert labels[1][:2] == ["LiftedStruct, GoogLeNet-128", "K = 1"]
    assert labels[2] == ["ResNet50-512"]
    assert figures[0].axes[0].get_xlabel() == "Recall@1, %"
    assert figures[1].axes[0].get_xlabel() == "%"


ALL = table1(("last", "validation", "test"))
LEGENDS = {
    "every rule": (
        ALL,
        ["paper", "ours, last step", "ours, best on validation images", "ours, best on test images: peeking"],
        WHISKERS,
    ),
    "rules that no number has": (table1(("last",)).replaced(shown=ALL.shown), ["paper", "ours, last step"], WHISKERS),
    "nothing finished": (unfinished(ALL), ["paper"], ""),
    "nothing printed": (unpublished(table1(("last",))), ["ours, last step"], WHISKERS),
    "one seed": (summary([finished(table1_cells()[1], 1, 1)]), ["paper", "ours, last step"], ""),
}


@pytest.mark.parametrize(("made", "entries", "title"), LEGENDS.values(), ids=LEGENDS)
def test_the_legend_tells_what_is_drawn_and_nothing_else(
    made: Summary, entries: list[str], title: str, figures: list[matplotlib.figure.Figure]
) -> None:
    cells_figure(made, "png")
    legend = figures[0].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == entries
    assert legend.get_title().get_text() == title


def test_where_nothing_is_drawn_there_is_no_legend(figures: list[matplotlib.figure.Figure]) -> None:
    cells_figure(unpublished(unfinished(table1())), "png")
    assert figures[0].legends == []


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_table_gives_the_same_bytes(kind: str) -> None:
    made = table1()
    first, second = (cells_figure(made, kind) for _ in range(2))  # type: ignore[arg-type]
    assert first == second
    assert first.startswith(b"\x89PNG") if kind == "png" else len(ET.fromstring(first)) > 1


def test_toy_scale_is_in_the_title(figures: list[matplotlib.figure.Figure]) -> None:
    cells_figure(SHAPES["toy"](), "png")
    cells_figure(table1(), "png")
    titles = [re.sub(r"\s+", " ", figure.get_suptitle()) for figure in figures]
    assert "toy scale Toy scale: these numbers say only that everything runs." in titles[0]
    assert titles[1].endswith("paper protocol")


@pytest.mark.parametrize("make", [table1, figure3])
def test_changed_settings_are_in_the_title(
    make: Callable[..., Summary], figures: list[matplotlib.figure.Figure]
) -> None:
    cells_figure(make(changes="data.size = 128"), "png")
    assert re.sub(r"\s+", " ", figures[0].get_suptitle()).endswith("paper protocol, changed settings")


def test_words_tell_what_the_picture_shows() -> None:
    empty: Summary = summary(table1_cells(), claims=())
    assert "0 have been measured" in cells_in_words(empty)
    assert "stroke" in cells_in_words(empty)
    assert "a group of bars for each of its rows: the paper's hatched" in cells_in_words(figure3())
    assert "paper" not in cells_in_words(unpublished(figure3()))
