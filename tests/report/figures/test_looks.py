"""Figures of methods are whole, and tell every method from the others."""

import io
import xml.etree.ElementTree as ET
from collections.abc import Callable

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from PIL import Image

from relbench.analysis.summary import Summary
from relbench.report.figures import canvas
from relbench.report.figures.recall import recall_figure
from relbench.report.figures.sizes import size_figure
from relbench.report.figures.training import training_figure

Draw = Callable[..., bytes]
each = pytest.mark.parametrize("draw", [recall_figure, size_figure, training_figure])


@pytest.mark.parametrize(
    ("draw", "size"), [(recall_figure, (1200, 675)), (size_figure, (1350, 675)), (training_figure, (1350, 795))]
)
def test_png_opens_with_its_size(study: Summary, draw: Draw, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(draw(study, "png"))) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", size)
        assert image.convert("RGB").getpixel((2, image.height - 2)) == (255, 255, 255)


@each
def test_a_user_s_style_changes_nothing_and_is_left_alone(study: Summary, draw: Draw) -> None:
    plain = draw(study, "svg")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "pink"}):
        assert draw(study, "svg") == plain
        assert mpl.rcParams["font.size"] == 30


def test_the_teacher_stands_out_and_no_two_methods_look_alike(any_summary: Summary, figures: list[Figure]) -> None:
    recall_figure(any_summary, "svg", narrow=True)
    (legend,) = figures[0].legends
    looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in legend.get_lines()]
    assert len(set(looks)) == len(any_summary.methods)
    markers = [(line.get_color(), line.get_marker(), line.get_markerfacecolor()) for line in legend.get_lines()]
    assert len(set(markers)) == len(any_summary.methods)  # where there are no lines
    teacher = figures[0].axes[0].lines[0]
    assert teacher.get_color() == canvas.INK
    assert all(line.get_linewidth() < teacher.get_linewidth() for line in figures[0].axes[0].lines[1:])


def test_the_legend_shows_every_label_as_it_is_written(any_summary: Summary, figures: list[Figure]) -> None:
    recall_figure(any_summary, "svg", narrow=True)
    (legend,) = figures[0].legends
    assert not any(text.get_parse_math() for text in legend.get_texts())
    shown = {"".join(text.get_text().split()) for text in legend.get_texts()}
    assert shown == {"".join(method.label.split()) for method in any_summary.methods}


@each
@pytest.mark.parametrize("shape", ["wide", "narrow"])
def test_it_is_an_svg_with_nothing_outside_its_frame(
    crowded_summary: Summary, draw: Draw, shape: str, figures: list[Figure]
) -> None:
    content = draw(crowded_summary, "svg", narrow=shape == "narrow")
    assert ET.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"dc:date" not in content
    frame = figures[0].bbox
    legends = [legend for part in (figures[0], *figures[0].subfigs) for legend in part.legends]
    assert len(legends) == (shape == "narrow" or draw is not recall_figure)
    for artist in (*legends, *figures[0].axes):
        box = artist.get_tightbbox()
        assert box is not None
        assert frame.x0 - 1 <= box.x0 <= box.x1 <= frame.x1 + 1
        assert frame.y0 - 1 <= box.y0 <= box.y1 <= frame.y1 + 1
