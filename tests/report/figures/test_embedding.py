"""A drawing inside a page: the same picture, shorter, in the page's colours."""

import re
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import pytest

from relbench.report.figures.canvas import COLOURS, INK, ON_DARK, PAPER, drawn, plain
from relbench.report.figures.embedding import compact, embedded, themed


@pytest.fixture(scope="module")
def drawing() -> bytes:
    with drawn((3, 2), "svg") as (figure, content):
        axes = figure.add_subplot(title=plain('it\'s -->; "quoted" & <b>'))
        for at, colour in enumerate(COLOURS):
            axes.plot([0, 1.23456789], [at, -at], color=colour, marker="o", markerfacecolor=PAPER)
        axes.stairs([1, 2], [0, 1, 2], fill=True, hatch="//", facecolor=COLOURS[4], edgecolor=COLOURS[0])
    return content.getvalue()


def test_an_address_is_one_word_that_holds_a_whole_drawing(drawing: bytes) -> None:
    address = embedded(drawing)
    assert not set(address) & set(' \t\n"<>#\\^`')
    assert ET.fromstring(unquote(address.partition(",")[2])).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(address) < 0.75 * len(drawing) * 4 / 3  # of base64


def test_every_colour_has_another_in_the_dark_and_none_is_left_behind(drawing: bytes) -> None:
    svg = themed(drawing.decode())
    rules, _, body = svg.partition("</style>")
    assert "@media screen and (prefers-color-scheme:dark)" in rules
    assert not re.findall(r"#[0-9a-f]{6}\b(?=[;\"\']|$)", body)
    used = set(re.findall(r"var\((--c[0-9a-f]{6})\)", body))
    assert {f"--c{colour[1:]}" for colour in (*COLOURS, INK, PAPER)} <= used
    assert all(rules.count(f"{name}:") == 2 for name in used)


def test_every_colour_stands_out_from_its_ground_in_the_dark() -> None:
    """At least 3 : 1, as WCAG 2.1 asks for of graphics."""
    ground = luminance(ON_DARK[PAPER])
    assert all((luminance(ON_DARK[colour]) + 0.05) / (ground + 0.05) >= 3 for colour in (*COLOURS, INK))


def luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_paths_end_where_they_did_to_a_hundredth_of_a_point(drawing: bytes) -> None:
    before, after = (paths(svg) for svg in (drawing.decode(), compact(drawing.decode())))
    assert len(before) == len(after) > 20
    for one, other in zip(before, after, strict=True):
        assert other == pytest.approx(one, abs=0.0051)


def paths(svg: str) -> list[list[float]]:
    every = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
    return [[float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", path.get("d", ""))] for path in every]


def test_no_comment_and_no_metadata_is_left(drawing: bytes) -> None:
    assert not re.search("<!--|<metadata|<\\?xml|<!DOCTYPE", compact(drawing.decode()))
