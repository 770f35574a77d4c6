"""Plots: right size and kind, the same bytes each time, every method to be told apart."""

import dataclasses
import io
import xml.etree.ElementTree as ET
from collections.abc import Callable

import matplotlib as mpl
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from PIL import Image

from relbench.report import plots
from relbench.report.plots import recall_plot, training_plot
from relbench.report.summary import Summary

Draw = Callable[..., bytes]
both = pytest.mark.parametrize("draw", [recall_plot, training_plot])


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn in a test."""
    drawn: list[Figure] = []

    class Kept(Figure):
        def __init__(self, **settings: object) -> None:
            super().__init__(**settings)  # type: ignore[arg-type]
            drawn.append(self)

    monkeypatch.setattr(plots, "Figure", Kept)
    return drawn


@pytest.mark.parametrize(("draw", "size"), [(recall_plot, (1200, 675)), (training_plot, (1350, 720))])
def test_png_opens_with_its_size(study: Summary, draw: Draw, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(draw(study, "png"))) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", size)
        assert image.convert("RGB").getpixel((2, image.height - 2)) == (255, 255, 255)


@both
def test_a_user_s_style_changes_nothing_and_is_left_alone(study: Summary, draw: Draw) -> None:
    plain = draw(study, "svg")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "pink"}):
        assert draw(study, "svg") == plain
        assert mpl.rcParams["font.size"] == 30


def test_curves_and_bands_are_the_summary_s_numbers(study: Summary, figures: list[Figure]) -> None:
    recall_plot(study, "svg")
    (axes,) = figures[0].axes
    for line, band, method in zip(axes.lines, axes.collections, study.methods, strict=True):
        intervals = [method.metrics[f"recall@{rank}"] for rank in (1, 2, 4, 8, 16)]
        assert list(line.get_xdata()) == [1, 2, 4, 8, 16]
        assert list(line.get_ydata()) == [100 * interval.mean for interval in intervals]
        edges = {round(float(y), 9) for y in band.get_paths()[0].vertices[:, 1]}
        assert {round(100 * bound, 9) for i in intervals for bound in (i.low, i.high) if bound is not None} <= edges
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "4", "8", "16"]
    assert axes.get_xscale() == "log"


def test_the_title_names_data_seeds_and_band(study: Summary, figures: list[Figure]) -> None:
    recall_plot(study, "svg")
    assert figures[0].get_suptitle() == "Recall@K on glyphs\nmean of 3 seeds, bands: 95 % interval over seeds"


def test_one_seed_has_no_band(make_summary: Callable[..., Summary], figures: list[Figure]) -> None:
    recall_plot(make_summary(seeds=(7,)), "svg")
    assert figures[0].get_suptitle() == "Recall@K on glyphs\n1 seed, no bands"
    assert all(not len(path.vertices) for band in figures[0].axes[0].collections for path in band.get_paths())


def test_training_panels_are_means_over_seeds(study: Summary, figures: list[Figure]) -> None:
    training_plot(study, "svg")
    axes = {panel.get_title(loc="left"): panel for panel in figures[0].axes}
    assert list(axes) == [
        "Loss term triplet",
        "Loss term rkd_distance",
        "Loss term rkd_angle",
        "Recall@1 on validation classes, %",
    ]
    recall = list(axes.values())[-1]
    for line, method in zip(recall.lines, study.methods, strict=True):
        histories = [row.history for row in method.rows]
        means = [100 * sum(entry["recall@1"] for entry in step) / 3 for step in zip(*histories, strict=True)]
        assert list(line.get_xdata()) == [entry["step"] for entry in histories[0]]
        assert list(line.get_ydata()) == pytest.approx(means)
    assert len(axes["Loss term rkd_angle"].lines) == 2


def test_the_teacher_stands_out_and_no_two_methods_look_alike(any_summary: Summary, figures: list[Figure]) -> None:
    recall_plot(any_summary, "svg")
    (legend,) = figures[0].legends
    looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in legend.get_lines()]
    assert len(set(looks)) == len(any_summary.methods)
    teacher = figures[0].axes[0].lines[0]
    assert teacher.get_color() == "black"
    assert all(line.get_linewidth() < teacher.get_linewidth() for line in figures[0].axes[0].lines[1:])


def test_the_legend_shows_every_label_as_it_is_written(any_summary: Summary, figures: list[Figure]) -> None:
    recall_plot(any_summary, "svg")
    (legend,) = figures[0].legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert not any(map(is_math_text, texts))
    shown = {"".join(text.replace(r"\$", "$").split()) for text in texts}
    assert shown == {"".join(method.label.split()) for method in any_summary.methods}


@both
@pytest.mark.parametrize("shape", ["wide", "narrow"])
def test_it_is_an_svg_with_nothing_outside_its_frame(
    crowded_summary: Summary, draw: Draw, shape: str, figures: list[Figure]
) -> None:
    content = draw(crowded_summary, "svg", narrow=shape == "narrow")
    assert ET.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"dc:date" not in content
    frame = figures[0].bbox
    for artist in (*figures[0].legends, *figures[0].axes):
        box = artist.get_tightbbox()
        assert box is not None
        assert frame.x0 - 1 <= box.x0 <= box.x1 <= frame.x1 + 1
        assert frame.y0 - 1 <= box.y0 <= box.y1 <= frame.y1 + 1


def test_a_run_without_history_says_so(study: Summary, figures: list[Figure]) -> None:
    methods = tuple(
        dataclasses.replace(method, rows=tuple(row.model_copy(update={"history": ()}) for row in method.rows))
        for method in study.methods
    )
    training_plot(dataclasses.replace(study, methods=methods), "svg")
    assert [text.get_text() for text in figures[0].axes[-1].texts] == ["not recorded"]
