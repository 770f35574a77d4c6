"""The plot of distances of pairs, and what is said of it."""

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from relbench.report.distances import distances_in_words, distances_plot, how_measured
from relbench.report.images import Distances, Share, Spread
from relbench.report.page import page_text
from relbench.report.summary import Summary

LONG = "a label that is longer than any panel is wide, with $dollars$ and _more_"


def spread(label: str, number: int) -> Spread:
    bins = np.arange(20)
    same, other = (np.exp(-0.5 * ((bins - middle) / 3) ** 2) for middle in (5, 10 + number))
    return Spread(label, tuple(same.tolist()), tuple(other.tolist()), 0.9 + 0.01 * number)


def with_distances(study: Summary, count: int) -> Summary:
    labels = ["teacher", LONG, "rkd-d", "rkd-a", "rkd-da", "control"][:count]
    spreads = tuple(spread(label, number) for number, label in enumerate(labels))
    edges = tuple(np.linspace(0, 2, 21).tolist())
    return replace(study, distances=Distances(3, edges, Share(1234, 1234), Share(100_000, 165_945_888), spreads))


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_a_panel_a_network(study: Summary, count: int, narrow: bool) -> None:  # noqa: FBT001
    summary = with_distances(study, count)
    drawing = ET.fromstring(distances_plot(summary, "svg", narrow=narrow))
    panels = [one for one in drawing.iter() if re.fullmatch(r"axes_\d+", one.get("id", ""))]
    assert len(panels) == count


def test_the_same_summary_gives_the_same_bytes(study: Summary) -> None:
    one, two = (distances_plot(with_distances(study, 1), "svg") for _ in range(2))
    assert one == two


def test_the_narrow_plot_is_narrow(study: Summary) -> None:
    sizes = [
        PIL.Image.open(io.BytesIO(distances_plot(with_distances(study, 6), "png", narrow=narrow))).size
        for narrow in (True, False)
    ]
    assert sizes[0][0] < sizes[0][1]
    assert sizes[1][0] > sizes[1][1]


def test_kinds_differ_in_form_too(study: Summary) -> None:
    """One kind is hatched, the other dashed: without colour both are still told apart."""
    drawing = distances_plot(with_distances(study, 1), "svg").decode()
    assert "<pattern" in drawing
    assert "stroke-dasharray" in drawing


def test_words_name_values_seed_and_samples(study: Summary) -> None:
    distances = with_distances(study, 6).distances
    assert distances
    assert "teacher 0.900" in distances_in_words(distances)
    assert "control 0.950" in distances_in_words(distances)
    words = how_measured(distances)
    assert "seed 3" in words
    assert "all 1,234 pairs of one class" in words
    assert "100,000 drawn at random from 165,945,888 pairs of two" in words


def test_the_page_shows_it(study: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    for draw in ("recall_plot", "training_plot"):
        monkeypatch.setattr(f"relbench.report.page.{draw}", lambda *_, **__: b"<svg/>")
    page = page_text(with_distances(study, 2))
    assert "<h2>Distances of pairs</h2>" in page
    assert 'alt="A panel for each network' in page


def test_a_summary_without_distances(study: Summary) -> None:
    with pytest.raises(ValueError, match="has no distances"):
        distances_plot(study, "svg")
