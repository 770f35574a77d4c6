"""Dots over sizes are the summary's numbers, each alone in its place."""

import dataclasses
from collections.abc import Callable
from itertools import pairwise

from matplotlib.figure import Figure

from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Interval
from relbench.report.figures.sizes import size_figure


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
