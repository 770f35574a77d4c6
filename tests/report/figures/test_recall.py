"""Curves of Recall@K are the summary's numbers, named beside their ends."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from matplotlib.figure import Figure

from relbench.analysis.summary import Summary
from relbench.report.figures.recall import recall_figure, spread_out


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


def test_floors_are_dotted_curves_with_a_name(floored: Summary, figures: list[Figure]) -> None:
    recall_figure(floored, "png")
    (axes,) = figures[-1].axes
    flat = [line for line in axes.lines if set(line.get_ydata()) in ({20.0}, {10.0})]
    assert len(flat) == 2
    assert {"raw pixels", "untrained network"} <= {text.get_text() for text in axes.texts}
