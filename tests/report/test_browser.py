"""The page in a real browser: on a telephone, on a desk, in the dark, on paper."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from printed_tables import SHAPES, hostile
from shown import distances, examples

from relbench.analysis.summary import Summary
from relbench.report.page import page_text

TempPaths = pytest.TempPathFactory


@dataclass(frozen=True)
class View:
    """How the page is looked at."""

    width: int  # CSS pixels
    height: int
    scheme: str = "light"
    media: str = "screen"


VIEWS = {
    "telephone": View(360, 740),
    "telephone, dark": View(360, 740, "dark"),
    "desk": View(1280, 900),
    "desk, dark": View(1280, 900, "dark"),
    "paper": View(703, 1000, media="print"),  # A4 less its margins, at 96 pixels an inch
}


@dataclass(frozen=True)
class Opened:
    """A page and what the browser had to say about it."""

    page: Any
    view: View
    complaints: list[str]
    requests: list[str]


@pytest.fixture(scope="module", params=[name for name in VIEWS if "dark" not in name])
def opened(browser: Any, page: str, request: pytest.FixtureRequest, tmp_path_factory: TempPaths) -> Iterator[Opened]:
    """Each shape of a summary, with pictures that cost no time; the dark moves nothing."""
    yield from _opened(browser, page, VIEWS[request.param], tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def full_text(many_seeds: Summary) -> str:
    """All that a page can hold: twenty methods, pairs, queries, distances, a hostile loss file, what is missing."""
    missing = ("Distances of pairs are not shown for rkd-a (runs/0123456789abcdef/embeddings.npz is not there).",)
    summary = many_seeds.replaced(examples=examples(), distances=distances(6), missing=missing)
    return page_text(summary)


@pytest.fixture(scope="module", params=VIEWS)
def full_opened(
    browser: Any, full_text: str, request: pytest.FixtureRequest, tmp_path_factory: TempPaths
) -> Iterator[Opened]:
    """Everything, with its own pictures."""
    yield from _opened(browser, full_text, VIEWS[request.param], tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module", params=VIEWS)
def printed_opened(browser: Any, request: pytest.FixtureRequest, tmp_path_factory: TempPaths) -> Iterator[Opened]:
    """A printed table at toy scale, eleven columns wide."""
    yield from _opened(browser, page_text(SHAPES["toy"]()), VIEWS[request.param], tmp_path_factory.mktemp("page"))


def _opened(browser: Any, text: str, view: View, folder: Path) -> Iterator[Opened]:
    file = folder / "report.html"
    file.write_text(text, encoding="utf-8")
    size = {"width": view.width, "height": view.height}
    page = browser.new_page(viewport=size, color_scheme=view.scheme)
    page.emulate_media(media=view.media)
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    if view.media == "screen":  # what is folded is printed all the same
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    yield Opened(page, view, complaints, requests)
    page.close()


def test_it_asks_for_nothing_else_and_complains_of_nothing(full_opened: Opened) -> None:
    assert full_opened.complaints == []
    asked = [address for address in full_opened.requests if not address.startswith("data:")]
    assert asked == [full_opened.page.url]
    assert full_opened.page.title() == "Quick start: students & their teacher on Glyphs"


def test_every_picture_is_shown_and_told(full_opened: Opened) -> None:
    images = full_opened.page.eval_on_selector_all(
        "picture img", "every => every.map(i => [i.complete, i.naturalWidth, i.currentSrc, i.alt])"
    )
    assert len(images) == 5
    assert all(complete and width > 0 and len(text) > 40 for complete, width, _, text in images)
    narrow = full_opened.page.eval_on_selector_all("source", "every => every.map(one => one.srcset)")
    assert [address in narrow for *_, address, _ in images] == [full_opened.view.width <= 600] * 5


def test_every_query_and_neighbour_is_shown_square_and_large_enough_to_be_seen(full_opened: Opened) -> None:
    sizes = full_opened.page.eval_on_selector_all(
        ".example img", "every => every.map(i => [i.naturalWidth, i.clientWidth, i.clientHeight])"
    )
    assert len(sizes) == 12 * 9
    assert all(natural == 28 and width >= 28 and abs(width - height) <= 1 for natural, width, height in sizes)


def test_the_contents_lead_to_every_section_that_is_there(full_opened: Opened) -> None:
    led_to = full_opened.page.eval_on_selector_all("nav a", "every => every.map(e => e.hash.slice(1))")
    there = full_opened.page.eval_on_selector_all("section", "every => every.map(e => e.id)")
    assert {"examples", "distances", "missing", "own"} <= set(there)
    assert led_to == [place for place in there if place != "missing"]


OUTSIDE = """inside => {
  const width = document.documentElement.clientWidth
  const seen = e => inside || e.matches('.scroll') || !e.closest('.scroll')
  const over = e => e.getBoundingClientRect().right > width + .5 || e.getBoundingClientRect().left < -.5
  const found = [...document.querySelectorAll('body *')].filter(e => seen(e) && over(e))
  return [document.documentElement.scrollWidth - width, found.map(e => e.outerHTML.slice(0, 100))]
}"""


def test_nothing_is_wider_than_the_view(opened: Opened) -> None:
    """Tables scroll on a screen, and must fit on paper."""
    assert opened.page.evaluate(OUTSIDE, opened.view.media == "print") == [0, []]


def test_nothing_of_everything_is_wider_than_the_view(full_opened: Opened) -> None:
    assert full_opened.page.evaluate(OUTSIDE, full_opened.view.media == "print") == [0, []]


def test_headings_stand_in_order(opened: Opened) -> None:
    levels = opened.page.eval_on_selector_all("h1, h2, h3, h4, h5, h6", "every => every.map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


COLOURS = """every => every.map(e => {
  let ground = e
  while (getComputedStyle(ground).backgroundColor == 'rgba(0, 0, 0, 0)') ground = ground.parentElement
  return [getComputedStyle(e).color, getComputedStyle(ground).backgroundColor].map(c => c.match(/\\d+/g).slice(0, 3))
})"""


def test_letters_stand_out_from_their_ground(full_opened: Opened) -> None:
    """At least 4.5 : 1, as WCAG 2.1 asks for at level AA."""
    assert_letters_stand_out(full_opened)


def assert_letters_stand_out(opened: Opened) -> None:
    pairs = opened.page.eval_on_selector_all(
        "h1, p, a, li, th, td, dt, dd, pre, figcaption, small, .mark, .faint", COLOURS
    )
    assert len(pairs) > 100
    for ink, ground in {(tuple(map(int, ink)), tuple(map(int, ground))) for ink, ground in pairs}:
        dark, light = sorted((luminance(ink), luminance(ground)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def luminance(colour: tuple[int, ...]) -> float:
    """WCAG 2.1, relative luminance."""
    shares = [level / 255 for level in colour]
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_printed_table_fits_complains_of_nothing_and_can_be_read(printed_opened: Opened) -> None:
    assert printed_opened.complaints == []
    assert printed_opened.page.evaluate(OUTSIDE, printed_opened.view.media == "print") == [0, []]
    assert_letters_stand_out(printed_opened)
    led_to = printed_opened.page.eval_on_selector_all("nav a", "every => every.map(e => e.hash.slice(1))")
    assert led_to == printed_opened.page.eval_on_selector_all("section", "every => every.map(e => e.id)")
    assert printed_opened.page.locator(".banner").is_visible()


@pytest.mark.parametrize("view", ["telephone", "paper"])
def test_a_printed_table_of_long_names_fits(browser: Any, view: str, tmp_path: Path) -> None:
    for opened in _opened(browser, page_text(hostile()), VIEWS[view], tmp_path):
        assert opened.page.evaluate(OUTSIDE, view == "paper") == [0, []]


def fresh(browser: Any, text: str, view: View, folder: Path) -> Any:
    """The page as a reader first sees it, nothing unfolded."""
    file = folder / "report.html"
    file.write_text(text, encoding="utf-8")
    page = browser.new_page(viewport={"width": view.width, "height": view.height}, color_scheme=view.scheme)
    page.goto(file.as_uri())
    return page


def test_the_first_screen_of_a_desk_holds_the_sentences_and_the_whole_forest_plot(
    browser: Any, full_text: str, tmp_path: Path
) -> None:
    page = fresh(browser, full_text, VIEWS["desk"], tmp_path)
    bottoms = page.eval_on_selector_all(
        ".headline, .first img", "every => every.map(e => e.getBoundingClientRect().bottom)"
    )
    assert len(bottoms) == 2
    assert max(bottoms) <= VIEWS["desk"].height
    page.close()


def test_folded_the_page_is_a_few_screens_long(browser: Any, full_text: str, tmp_path: Path) -> None:
    """It was twenty-one: 18,831 pixels for twenty methods."""
    page = fresh(browser, full_text, VIEWS["desk"], tmp_path)
    assert page.evaluate("document.documentElement.scrollHeight") < 6 * VIEWS["desk"].height
    page.close()


def test_a_link_of_the_contents_unfolds_what_it_leads_to(browser: Any, full_text: str, tmp_path: Path) -> None:
    page = fresh(browser, full_text, VIEWS["desk"], tmp_path)
    assert not page.locator("#seeds table").is_visible()
    page.click("nav a[href='#seeds']")
    page.locator("#seeds table").wait_for(state="visible", timeout=5000)
    assert page.locator("summary", has_text="Values by seed").bounding_box()["y"] >= 0
    page.close()


@pytest.mark.parametrize("width", [360, 768, 1024, 1280])
def test_every_verdict_is_in_view_without_scrolling_sideways(
    browser: Any, full_text: str, width: int, tmp_path: Path
) -> None:
    page = fresh(browser, full_text, View(width, 900), tmp_path)
    edges = page.eval_on_selector_all(
        "#results > .cards td.verdict:not(.nothing)",
        "every => every.map(e => [e.getBoundingClientRect().left, e.getBoundingClientRect().right, e.innerText])",
    )
    assert len(edges) == 19
    assert all(0 <= left < right <= width and text for left, right, text in edges)
    tops = page.eval_on_selector_all(  # in a card it comes first
        "#results > .cards tr:nth-child(2) td", "every => every.map(e => [e.className, e.getBoundingClientRect().top])"
    )
    assert width > 900 or min(tops, key=lambda cell: cell[1])[0].strip() == "verdict"
    page.close()


def test_values_of_a_card_stand_side_by_side_under_titles_of_any_length(
    browser: Any, full_text: str, tmp_path: Path
) -> None:
    page = fresh(browser, full_text, View(768, 900), tmp_path)
    bottoms = page.eval_on_selector_all(
        "#results > .cards tr:nth-child(2) td:not(.verdict, .nothing)",
        """every => {
          every[1].dataset.title = 'a title that takes two lines or more'
          const text = document.createRange()
          return every.map(cell => (text.selectNodeContents(cell), text.getBoundingClientRect().bottom))
        }""",
    )
    assert len(bottoms) >= 5
    assert max(bottoms[:3]) - min(bottoms[:3]) < 1
    page.close()


CORNERS = """async images => Promise.all(images.map(async image => {
  const canvas = new OffscreenCanvas(20, 20), brush = canvas.getContext('2d')
  await image.decode()
  brush.drawImage(image, 0, 0, 20, 20)
  return [...brush.getImageData(0, 0, 1, 1).data]
}))"""


def test_plots_follow_the_page_into_the_dark(full_opened: Opened) -> None:
    corners = full_opened.page.eval_on_selector_all("picture img", CORNERS)
    assert len(corners) == 5
    assert all((max(corner[:3]) < 80) == (full_opened.view.scheme == "dark") for corner in corners), corners
    assert full_opened.view.scheme == "dark" or all(min(corner) > 200 for corner in corners), corners


def test_a_hash_shows_its_first_digits_and_is_copied_whole(browser: Any, full_text: str, tmp_path: Path) -> None:
    whole = "0123456789abcdef" * 4
    shown = full_text.replace("5f0c9d1e77aa4b32<", f'<code class="hash">{whole}</code><')
    page = fresh(browser, shown, VIEWS["desk"], tmp_path)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    hashes = page.locator("td .hash")
    assert hashes.count() > 10
    assert hashes.first.bounding_box()["width"] < 100
    hashes.first.click()
    assert page.evaluate("String(getSelection())") == whole
    page.close()
