"""Plots: right size and kind, the same bytes each time, every method to be told apart."""

import dataclasses
import io
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from PIL import Image

from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Interval
from relbench.report.figures import canvas
from relbench.report.figures.recall import recall_figure, spread_out
from relbench.report.figures.sizes import size_figure
from relbench.report.figures.training import training_figure
from relbench.results.records import Row

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


def test_curves_and_bands_are_the_summary_s_numbers(study: Summary, figures: list[Figure]) -> None:
    recall_figure(study, "svg")
    (axes,) = figures[0].axes
    for line, band, method in zip(axes.lines[: len(study.methods)], axes.collections, study.methods, strict=True):
        intervals = [method.metrics[f"recall@{rank}"] for rank in (1, 2, 4, 8, 16)]
        assert list(line.get_xdata()) == [1, 2, 4, 8, 16]
        assert list(line.get_ydata()) == [100 * interval.mean for interval in intervals]
        edges = {round(float(y), 9) for y in band.get_paths()[0].vertices[:, 1]}
        assert {round(100 * bound, 9) for i in intervals for bound in (i.low, i.high) if bound is not None} <= edges
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "4", "8", "16"]
    assert axes.get_xscale() == "log"


def test_each_curve_is_named_beside_its_end_by_its_marker(any_summary: Summary, figures: list[Figure]) -> None:
    """Twenty methods, and no legend to look them up in: a name is joined to its curve, in the order of the ends."""
    recall_figure(any_summary, "svg")
    (axes,) = figures[0].axes
    count = len(any_summary.methods)
    curves, markers = axes.lines[:count], axes.lines[count:]
    names = [text for text in axes.texts if text.get_text()]
    leaders = [text for text in axes.texts if not text.get_text()]
    assert len(markers) == len(names) == len(leaders) == count
    looks = {(one.get_color(), one.get_marker(), one.get_markerfacecolor()): one for one in curves}
    ends = [looks[m.get_color(), m.get_marker(), m.get_markerfacecolor()].get_ydata()[-1] for m in markers]
    assert ends == sorted(ends, reverse=True)
    for end, marker, leader in zip(ends, markers, leaders, strict=True):
        assert leader.xy[1] == end
        assert leader.xyann[1] == marker.get_ydata()[0]
    boxes = [name.get_window_extent() for name in names]
    assert all(below.y1 <= above.y0 + 1 for above, below in pairwise(boxes))
    shown = {"".join(name.get_text().split()) for name in names}
    assert shown == {"".join(method.label.split()) for method in any_summary.methods}


@pytest.mark.parametrize(
    ("wanted", "lines", "placed"),
    [
        ([0.9, 0.5], [1, 1], [0.9, 0.5]),
        ([0.5, 0.5], [1, 1], [0.5275, 0.4725]),  # half a line each way
        ([1.0, 0.99], [1, 1], [0.9725, 0.9175]),  # the first fits below the top, the second below the first
        ([0.01, 0.0], [1, 1], [0.0825, 0.0275]),
        ([0.5, 0.5, 0.5], [1, 2, 1], [0.5825, 0.5, 0.4175]),
    ],
)
def test_names_are_spread_out_around_the_ends_of_their_curves(
    wanted: list[float], lines: list[int], placed: list[float]
) -> None:
    assert spread_out(wanted, lines) == pytest.approx(placed)


def test_the_title_names_data_seeds_and_band(study: Summary, figures: list[Figure]) -> None:
    recall_figure(study, "svg")
    assert figures[0].get_suptitle() == "Recall@K on glyphs\nmean of 3 seeds, bands: 95 % interval over seeds"


def test_one_seed_has_no_band(make_summary: Callable[..., Summary], figures: list[Figure]) -> None:
    recall_figure(make_summary(seeds=(7,)), "svg")
    assert figures[0].get_suptitle() == "Recall@K on glyphs\n1 seed, no bands"
    assert all(not len(path.vertices) for band in figures[0].axes[0].collections for path in band.get_paths())


def test_training_panels_are_means_over_seeds(study: Summary, figures: list[Figure]) -> None:
    training_figure(study, "svg")
    axes = {panel.get_title(loc="left"): panel for panel in figures[0].axes}
    assert list(axes) == [
        "Recall@1 on validation classes, %",
        "triplet",
        "rkd_distance",
        "rkd_angle",
    ]
    recall = next(iter(axes.values()))
    for line, method in zip(recall.lines, study.methods, strict=True):
        histories = [row.history for row in method.rows]
        means = [100 * sum(entry["recall@1"] for entry in step) / 3 for step in zip(*histories, strict=True)]
        assert list(line.get_xdata()) == [entry["step"] for entry in histories[0]]
        assert list(line.get_ydata()) == pytest.approx(means)
    assert len(axes["rkd_angle"].lines) == 2


def test_what_was_watched_of_test_classes_is_no_loss_term(study: Summary, figures: list[Figure]) -> None:
    def seen(row: Row) -> Row:
        return row.model_copy(update={"history": tuple({**one, "test.recall@1": 0.1} for one in row.history)})

    methods = (dataclasses.replace(method, rows=tuple(map(seen, method.rows))) for method in study.methods)
    for summary in (study, study.replaced(entries=(), methods=tuple(methods))):
        training_figure(summary, "svg")
    drawn = [
        {panel.get_title(loc="left"): [list(line.get_ydata()) for line in panel.lines] for panel in figure.axes}
        for figure in figures
    ]
    assert drawn[0] == drawn[1]


def test_the_name_of_a_loss_term_is_no_wider_than_its_panel(study: Summary, figures: list[Figure]) -> None:
    teacher, *others = study.methods
    history = tuple({"a_loss_" * 15: 1.0} | entry for entry in teacher.row.history)
    rows = tuple(row.model_copy(update={"history": history}) for row in teacher.rows)
    training_figure(study.replaced(entries=(), methods=(dataclasses.replace(teacher, rows=rows), *others)), "svg")
    titles = [panel.get_title(loc="left") for panel in figures[0].axes[1:]]
    lines = next(title.split("\n") for title in titles if title.startswith("a_loss_"))
    assert 1 < len(lines) <= 4
    assert max(map(len, lines)) <= 26


def test_many_loss_terms_stand_in_a_grid(many: Summary, figures: list[Figure]) -> None:
    terms = {term.loss for method in many.methods for term in method.row.experiment.terms}
    for narrow, columns in ((False, 4), (True, 2)):
        training_figure(many, "svg", narrow=narrow)
        panels = figures[-1].axes[1:]
        assert {panel.get_title(loc="left") for panel in panels} == terms
        assert len({round(panel.get_position().x1, 3) for panel in panels}) == columns


def test_dots_and_bars_are_the_summary_s_numbers(study: Summary, figures: list[Figure]) -> None:
    size_figure(study, "svg")
    (axes,) = figures[0].axes
    *dots, reference = axes.lines
    means = {100 * method.metrics["recall@1"].mean for method in study.methods}
    assert {dot.get_ydata()[0] for dot in dots} == means
    assert set(reference.get_ydata()) == {100 * study.methods[0].metrics["recall@1"].mean}
    ends = {round(float(y), 9) for bars in axes.collections for path in bars.get_paths() for y in path.vertices[:, 1]}
    bounds = [(method.metrics["recall@1"].low, method.metrics["recall@1"].high) for method in study.methods]
    assert ends == {round(100 * bound, 9) for pair in bounds for bound in pair if bound is not None}
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["56,000\n32-d", "112,000\n128-d"]
    assert axes.get_xscale() == "log"


def test_dimensions_have_a_panel_of_their_own_only_where_it_shows_something_else(
    sized_summary: Summary, figures: list[Figure]
) -> None:
    """Two panels that order all methods alike are one picture twice: 8 wide, 32-d and 16 wide, 128-d are such."""
    size_figure(sized_summary, "svg")
    crossed = any(method.label == "width 8, 512-d" for method in sized_summary.methods)
    assert len(figures[0].axes) == (2 if crossed else 1)


def test_every_dot_stands_alone_on_the_strip_of_its_size(sized_summary: Summary, figures: list[Figure]) -> None:
    size_figure(sized_summary, "svg")
    sizes_of = (lambda method: method.row.experiment.net.dim, lambda method: method.row.parameters)
    panels = figures[0].axes
    for axes, size_of in zip(panels, sizes_of[2 - len(panels) :], strict=True):
        places = {dot.get_ydata()[0]: dot.get_xdata()[0] for dot in axes.lines[:-1]}
        assert len(set(places.values())) == len(sized_summary.methods)
        strips = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches)
        assert all(left[1] < right[0] for left, right in pairwise(strips))
        for method in sized_summary.methods:
            (strip,) = [(low, high) for low, high in strips if low < size_of(method) < high]
            assert strip[0] < places[100 * method.metrics["recall@1"].mean] < strip[1]


def test_one_seed_has_dots_and_no_bars(make_summary: Callable[..., Summary], figures: list[Figure]) -> None:
    size_figure(make_summary(seeds=(7,)), "svg")
    assert figures[0].get_suptitle() == "Recall@1 and size on glyphs\n1 seed, no bars"
    assert not any(axes.collections for axes in figures[0].axes)


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


def test_a_run_without_history_says_so(study: Summary, figures: list[Figure]) -> None:
    methods = tuple(
        dataclasses.replace(method, rows=tuple(row.model_copy(update={"history": ()}) for row in method.rows))
        for method in study.methods
    )
    training_figure(study.replaced(entries=(), methods=methods), "svg")
    assert [text.get_text() for text in figures[0].axes[-1].texts] == ["not recorded"]


def test_floors_are_dotted_curves_with_a_name(floored: Summary, figures: list[Figure]) -> None:
    recall_figure(floored, "png")
    (axes,) = figures[-1].axes
    flat = [line for line in axes.lines if set(line.get_ydata()) in ({20.0}, {10.0})]
    assert len(flat) == 2
    assert {"raw pixels", "untrained network"} <= {text.get_text() for text in axes.texts}


def test_a_floor_among_the_values_is_a_line_and_one_far_below_presses_nothing_together(
    floored: Summary, figures: list[Figure]
) -> None:
    pixels, network = floored.all_floors
    near = dataclasses.replace(pixels, metrics={**pixels.metrics, "recall@1": Interval(0.5)})
    size_figure(floored.replaced(floors={"Glyphs": (near, network)}), "png")
    for axes in figures[-1].axes:
        assert axes.get_ylim()[0] > 20
        assert [set(line.get_ydata()) for line in axes.lines].count({50.0}) == 1
        assert "raw pixels" in {text.get_text() for text in axes.texts}
        assert "untrained network" not in {text.get_text() for text in axes.texts}
