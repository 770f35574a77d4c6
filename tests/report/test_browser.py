"""The page in a real browser: on a telephone, on a desk, in the dark, on paper."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from relbench.report.page import page_text
from relbench.report.summary import Summary

playwright = pytest.importorskip("playwright.sync_api", reason="playwright, of the group dev, is not installed")
TempPaths = pytest.TempPathFactory
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Playwright's own Chromium, or the system's."""
    with playwright.sync_playwright() as driver:
        places = [driver.chromium.executable_path, *map(shutil.which, NAMES)]
        path = next((place for place in places if place and Path(place).exists()), None)
        if path is None:
            pytest.skip("no Chromium is installed: apt install chromium, or playwright install chromium")
        running = driver.chromium.launch(executable_path=path)
        yield running
        running.close()


@pytest.fixture(scope="module", params=[name for name in VIEWS if "dark" not in name])
def opened(browser: Any, page: str, request: pytest.FixtureRequest, tmp_path_factory: TempPaths) -> Iterator[Opened]:
    """Each shape of a summary, with pictures that cost no time; the dark moves nothing."""
    yield from _opened(browser, page, VIEWS[request.param], tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def study_text(study: Summary) -> str:
    return page_text(study)


@pytest.fixture(scope="module", params=VIEWS)
def study_opened(
    browser: Any, study_text: str, request: pytest.FixtureRequest, tmp_path_factory: TempPaths
) -> Iterator[Opened]:
    """The quick start with its own pictures."""
    yield from _opened(browser, study_text, VIEWS[request.param], tmp_path_factory.mktemp("page"))


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
    yield Opened(page, view, complaints, requests)
    page.close()


def test_it_asks_for_nothing_else_and_complains_of_nothing(study_opened: Opened) -> None:
    assert study_opened.complaints == []
    asked = [address for address in study_opened.requests if not address.startswith("data:")]
    assert asked == [study_opened.page.url]


def test_every_picture_is_shown_and_told(study_opened: Opened) -> None:
    images = study_opened.page.evaluate(
        "[...document.images].map(i => [i.complete, i.naturalWidth, i.currentSrc, i.alt])"
    )
    assert len(images) == 3
    assert all(complete and width > 0 and len(text) > 40 for complete, width, _, text in images)
    narrow = study_opened.page.eval_on_selector_all("source", "every => every.map(one => one.srcset)")
    assert [address in narrow for *_, address, _ in images] == [study_opened.view.width <= 600] * 3


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


def test_letters_stand_out_from_their_ground(study_opened: Opened) -> None:
    """At least 4.5 : 1, as WCAG 2.1 asks for at level AA."""
    pairs = study_opened.page.eval_on_selector_all("h1, p, a, li, th, td, dt, dd, pre", COLOURS)
    assert len(pairs) > 100
    for ink, ground in {(tuple(map(int, ink)), tuple(map(int, ground))) for ink, ground in pairs}:
        dark, light = sorted((luminance(ink), luminance(ground)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def luminance(colour: tuple[int, ...]) -> float:
    """WCAG 2.1, relative luminance."""
    shares = [level / 255 for level in colour]
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
