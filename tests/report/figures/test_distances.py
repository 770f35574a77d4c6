"""The plot of distances of pairs, and what is said of it."""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure
from shown import distances

from relbench.analysis.summary import Summary
from relbench.report.figures.distances import distances_figure, distances_in_words, distances_measured

PageOf = Callable[[Summary], str]


def with_distances(study: Summary, count: int) -> Summary:
    return study.replaced(distances=distances(count))


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_a_panel_a_network(study: Summary, count: int, narrow: bool) -> None:  # noqa: FBT001
    summary = with_distances(study, count)
    drawing = ET.fromstring(distances_figure(summary, "svg", narrow=narrow))
    panels = [one for one in drawing.iter() if re.fullmatch(r"axes_\d+", one.get("id", ""))]
    assert len(panels) == count


@pytest.mark.parametrize("narrow", [False, True])
def test_every_peak_is_inside_its_panel(study: Summary, narrow: bool, figures: list[Figure]) -> None:  # noqa: FBT001
    """Panels share their axes: each that set its own limit cut off the peaks of those before it."""
    high = distances(6)
    spreads = tuple(
        replace(one, same=tuple(np.multiply(one.same, scale)))
        for one, scale in zip(high.spreads, (9, 7, 5, 3, 2, 1), strict=True)
    )
    distances_figure(study.replaced(distances=replace(high, spreads=spreads)), "svg", narrow=narrow)
    for axes, spread in zip(figures[0].axes, spreads, strict=True):
        assert axes.get_ylim()[1] > max(*spread.same, *spread.other)


def test_a_long_name_without_blanks_keeps_its_beginning(study: Summary, figures: list[Figure]) -> None:
    """Python's own shortening knows words alone: of such a name it left nothing."""
    made_up = distances(1)
    spreads = (replace(made_up.spreads[0], label="a_loss_" * 15),)
    distances_figure(study.replaced(distances=replace(made_up, spreads=spreads)), "svg")
    assert figures[0].axes[0].get_title(loc="left").startswith("a_loss_a_loss_a_loss_")


@pytest.mark.parametrize("end", [1.5476, 2.0, 3.26, 0.83])
def test_no_two_tick_labels_touch(study: Summary, end: float, figures: list[Figure]) -> None:
    drawn = replace(distances(6), edges=tuple(np.linspace(0, end, 21).tolist()))
    distances_figure(study.replaced(distances=drawn), "svg")
    boxes = [
        label.get_window_extent()
        for axes in figures[0].axes
        for tick in axes.xaxis.get_major_ticks()
        if (label := tick.label1).get_visible() and label.get_text() and 0 <= tick.get_loc() <= end
    ]
    assert len(boxes) >= 6
    for one, other in combinations(boxes, 2):
        assert not one.expanded(1.2, 1).overlaps(other)


def test_the_same_summary_gives_the_same_bytes(study: Summary) -> None:
    one, two = (distances_figure(with_distances(study, 1), "svg") for _ in range(2))
    assert one == two


def test_the_narrow_plot_is_narrow(study: Summary) -> None:
    sizes = [
        PIL.Image.open(io.BytesIO(distances_figure(with_distances(study, 6), "png", narrow=narrow))).size
        for narrow in (True, False)
    ]
    assert sizes[0][0] < sizes[0][1]
    assert sizes[1][0] > sizes[1][1]


def test_kinds_differ_in_form_too(study: Summary) -> None:
    """One kind is hatched, the other dashed: without colour both are still told apart."""
    drawing = distances_figure(with_distances(study, 1), "svg").decode()
    assert "<pattern" in drawing
    assert "stroke-dasharray" in drawing


def test_words_name_values_seed_and_samples() -> None:
    assert "teacher 0.900" in distances_in_words(distances(6))
    assert "control 0.950" in distances_in_words(distances(6))
    words = distances_measured(distances(6))
    assert "seed 3" in words
    assert "all 1,234 pairs of one class" in words
    assert "100,000 drawn at random from 165,945,888 pairs of two" in words


def test_the_page_shows_it(study: Summary, page_of: PageOf) -> None:
    page = page_of(with_distances(study, 2))
    assert "<h2>Distances of pairs</h2>" in page
    assert 'alt="A panel for each network' in page


def test_a_summary_without_distances(study: Summary) -> None:
    with pytest.raises(ValueError, match="has no distances"):
        distances_figure(study, "svg")
