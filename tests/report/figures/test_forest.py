"""The forest plot: every difference with its interval, from greatest to least, verdicts told by form."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from relbench.analysis.summary import Summary
from relbench.report.figures.forest import LOOKS, forest_figure, forest_in_words, named, ranked
from relbench.report.wording import net_name

shapes = pytest.mark.parametrize("narrow", [False, True])


def compared(summary: Summary) -> list[str]:
    return [method.label for method in summary.methods if method.against_teacher]


def test_every_difference_stands_at_its_place_with_its_interval(study: Summary, figures: list[Figure]) -> None:
    forest_figure(study, "svg")
    (axes,) = figures[0].axes
    points, lines = [line for line in axes.lines if line.get_marker() != "None"], axes.collections
    assert len(points) == len(ranked(study)) == len(compared(study)) == len(lines)
    segments = [tuple(line.get_segments()[0].ravel()) for line in lines if isinstance(line, LineCollection)]
    for point, method in zip(points, ranked(study), strict=True):
        comparison = method.against_teacher
        assert comparison
        (x,), (y,) = point.get_data()
        assert x == 100 * comparison.difference
        interval = comparison.interval
        assert interval.low is not None
        assert interval.high is not None
        assert (100 * interval.low, y, 100 * interval.high, y) in segments
        assert point.get_marker() == LOOKS[comparison.verdict]["marker"]
    heights = [point.get_ydata()[0] for point in points]
    assert heights == sorted(heights, reverse=True)


def test_from_greatest_to_least(study: Summary) -> None:
    differences = [method.against_teacher.difference for method in ranked(study) if method.against_teacher]
    assert differences == sorted(differences, reverse=True)


def test_verdicts_differ_in_form_and_filling_not_in_colour_alone() -> None:
    assert len({look["marker"] for look in LOOKS.values()}) == len(LOOKS)
    filled = {verdict for verdict, look in LOOKS.items() if look["markerfacecolor"] == look["color"]}
    assert filled == {"beats", "loses"}


def test_a_method_is_marked_by_its_corrected_verdict_not_by_its_intervals(
    study: Summary, figures: list[Figure]
) -> None:
    """An interval above zero, and yet not shown to differ: Holm's correction has the last word."""
    best = next(method for method in study.methods if method.label == "rkd-da")
    assert best.against_teacher
    undecided = replace(best.against_teacher, verdict="not shown to differ", p_adjusted=0.052)
    for family, words in ((1, "not shown to differ"), (18, "not shown to differ, after Holm")):
        methods = (study.methods[0], replace(best, against_teacher=replace(undecided, family=family)))
        forest_figure(study.replaced(entries=(), methods=methods), "svg")
        (point,) = [line for line in figures[-1].axes[0].lines if line.get_marker() != "None"]
        assert point.get_marker() == LOOKS["not shown to differ"]["marker"]
        assert figures[-1].legends[0].get_texts()[0].get_text() == words


@shapes
def test_everything_is_inside_and_no_two_names_touch(
    crowded_summary: Summary,
    narrow: bool,  # noqa: FBT001
    figures: list[Figure],
) -> None:
    content = forest_figure(crowded_summary, "svg", narrow=narrow)
    assert len(ET.fromstring(content)) > 1
    (axes,) = figures[0].axes
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(boxes) == len(compared(crowded_summary))
    assert all(below.y1 <= above.y0 + 1 for above, below in pairwise(boxes))
    assert min(box.x0 for box in boxes) >= -1
    box = axes.get_tightbbox()
    assert box
    assert box.x1 <= figures[0].bbox.x1 + 1


def test_a_network_is_named_where_it_is_not_that_of_most(study: Summary, figures: list[Figure]) -> None:
    forest_figure(study, "svg")
    names = [label.get_text().replace("\n", " ") for label in figures[-1].axes[0].get_yticklabels()]
    control, *students = ranked(study)
    assert control.role == "control"
    assert names == [f"{named(control)}, {net_name(control)}", *(student.label for student in students)]


def test_words_hold_the_same_values_and_name_the_controls(study: Summary) -> None:
    words = forest_in_words(study)
    for method in ranked(study):
        assert method.against_teacher
        sign = "+" if method.against_teacher.difference > 0 else "\N{MINUS SIGN}"
        assert f"{named(method)} {sign}{abs(100 * method.against_teacher.difference):.1f}" in words
    assert words.count("(control)") == 1


def test_what_gives_no_interval_and_no_verdict_is_not_in_the_legend(
    make_summary: Callable[..., Summary], one_class: Summary, figures: list[Figure]
) -> None:
    """Of a single seed, or of a single class of queries, there is no interval, and nothing is corrected."""
    for summary in (make_summary(seeds=(7,)), one_class):
        forest_figure(summary, "svg")
        texts = [text.get_text() for text in figures[-1].legends[0].get_texts()]
        assert texts == ["no verdict"]
        assert "interval" not in forest_in_words(summary)
