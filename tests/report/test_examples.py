"""The page's section on single queries: pictures, marks in form and in words, and its size."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from shown import HOSTILE, examples, noise

from relbench.analysis.summary import Summary
from relbench.report.examples import examples_shown

PageOf = Callable[[Summary], str]


@pytest.fixture
def page(study: Summary, page_of: PageOf) -> str:
    """A page with examples, and with plots that cost no time."""
    return page_of(study.replaced(examples=examples(), missing=(f"Not here: {HOSTILE}.",)))


def section(page: str) -> str:
    found = re.search(
        r"<h2>Queries that the student fixes and breaks</h2></summary>\s*<section id=\"examples\">.*?</section>",
        page,
        re.DOTALL,
    )
    assert found
    return found.group()


def test_counts_stand_in_a_sentence(page: str) -> None:
    assert (
        "Of 1,035 query images (seed 3), teacher and rkd-da both get 1,000 right; rkd-da fixes 20 that teacher gets "
        "wrong, and breaks 10 that teacher gets right; both get 5 wrong." in page
    )
    assert "drawn at random (seed 0), not picked" in page


def test_every_picture_has_words_and_every_neighbour_a_mark(page: str) -> None:
    part = section(page)
    words = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="([^"]+)"', part)
    assert len(words) == part.count("<img") == 12 * 9
    assert [word.split(":")[0] for word in words[:9]] == [
        "Query",
        *(["right", "wrong", "wrong", "right", "wrong", "wrong", "right", "wrong"]),
    ]
    assert part.count('<li class="wrong">') == part.count("✗") == part.count('alt="wrong') == 12 * 5
    assert part.count("<li>") == part.count("✓") == part.count('alt="right') == 12 * 3


def test_marks_differ_in_form_too(page: str) -> None:
    assert re.search(r"\.strip li \{[^}]*solid #009e73", page)
    assert re.search(r"\.strip li\.wrong \{[^}]*dashed #d55e00", page)


def test_names_are_text_never_tags(page: str) -> None:
    assert "<b>" not in page
    assert "class 9 &lt;b&gt;" in section(page)
    assert "Not here: &lt;b&gt;" in page


def test_the_notes_say_what_is_missing(page: str) -> None:
    assert "<h2>Not on this page</h2>" in page


def test_a_page_without_has_no_such_section(study: Summary, page_of: PageOf) -> None:
    page = page_of(study)
    for title in ("Queries that the student", "Distances of pairs", "Not on this page"):
        assert title not in page


def test_none_of_a_kind(study: Summary, page_of: PageOf) -> None:
    assert "<p>There are none.</p>" in page_of(study.replaced(examples=replace(examples(), broken=())))


def pictures(**options: int) -> list[PIL.Image.Image]:
    shown = examples_shown(examples(**options))
    assert shown
    cards = [card for group in shown.groups for card in group.cards]
    every = [one for card in cards for one in (card.query, *card.strips[0].pictures, *card.strips[1].pictures)]
    return [PIL.Image.open(io.BytesIO(base64.b64decode(one.address.partition(",")[2]))) for one in every]


@pytest.mark.parametrize("channels", [1, 3])
def test_small_pictures_are_kept_pixel_by_pixel(channels: int) -> None:
    first = pictures(channels=channels)[0]
    np.testing.assert_array_equal(np.asarray(first).reshape(28, 28, channels), noise(0, 28, channels).pixels)


def test_large_pictures_are_made_small() -> None:
    assert {picture.size for picture in pictures(side=224, channels=3)} == {(80, 80)}
    assert {picture.format for picture in pictures(side=224, channels=3)} == {"JPEG"}


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (227, 1), (28, 3), (227, 3)])
def test_the_page_stays_small_whatever_the_pictures_are(side: int, channels: int) -> None:
    """Even noise, which no format makes smaller."""
    shown = examples_shown(examples(side=side, channels=channels))
    assert shown
    assert len(str(shown)) < 600_000
