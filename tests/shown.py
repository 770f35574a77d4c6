"""What a page can show beside numbers: made-up examples of queries, and distances of pairs."""

import numpy as np

from relbench.analysis.images import Distances, Example, Examples, Image, Neighbour, Outcomes, Share, Spread

HOSTILE = '<b>"R&D"</b>'
LONG = "a label that is longer than any panel is wide, with $dollars$ and _more_"
NETWORKS = ("teacher", LONG, "rkd-d", "rkd-a", "rkd-da", "control")


def noise(number: int, side: int, channels: int) -> Image:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, channels), np.uint8)
    return Image(f"{HOSTILE} {number}", f"class {number} {HOSTILE}", pixels)


def example(number: int, side: int = 28, channels: int = 1) -> Example:
    images = [noise(9 * number + place, side, channels) for place in range(9)]
    found = [Neighbour(image, right=place % 3 == 0) for place, image in enumerate(images[1:])]
    return Example(images[0], tuple(found[:4]), tuple(found[4:]))


def examples(**options: int) -> Examples:
    drawn = [example(number, **options) for number in range(12)]
    return Examples("teacher", "rkd-da", 3, Outcomes(1000, 20, 10, 5), 0, tuple(drawn[:6]), tuple(drawn[6:]))


def distances(count: int) -> Distances:
    spreads = tuple(_spread(label, number) for number, label in enumerate(NETWORKS[:count]))
    edges = tuple(np.linspace(0, 2, 21).tolist())
    return Distances(3, edges, Share(1234, 1234), Share(100_000, 165_945_888), spreads)


def _spread(label: str, number: int) -> Spread:
    bins = np.arange(20)
    same, other = (np.exp(-0.5 * ((bins - middle) / 3) ** 2) for middle in (5, 10 + number))
    return Spread(label, tuple(same.tolist()), tuple(other.tolist()), 0.9 + 0.01 * number)
