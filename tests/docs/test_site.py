"""The documentation's site: it is built without a warning, nothing is missing from it, and no link is dead."""

import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer.main
from sphinx.cmd.build import build_main
from sphinx.deprecation import RemovedInSphinx11Warning

from relbench.cli.main import app
from relbench.data.datasets.rendered import RENDERED
from relbench.data.download.card import card_names
from relbench.losses import LOSSES
from relbench.models import TRUNKS
from relbench.studies import STUDIES

ROOT = Path(__file__).parents[2]
LOADED = {"script": "src", "img": "src", "source": "srcset", "iframe": "src", "link": "href"}
"""What a browser loads of itself, by the attribute that says where it is."""


@dataclass
class Page(HTMLParser):
    """What a page has, leads to and loads."""

    text: str
    names: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names |= {given[name] for name in ("id", "name") if name in given}
        self.links += [given["href"]] if tag == "a" and "href" in given else []
        led_on = given.get("rel") in {"index", "search", "next", "prev", "author", "copyright"}
        self.loads += [given[LOADED[tag]]] if given.get(LOADED.get(tag, "")) and not led_on else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--fresh-env", "--fail-on-warning", "--keep-going", "--quiet"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RemovedInSphinx11Warning)  # Sphinx's napoleon asks Sphinx in an old way
        assert build_main([*options, "-d", str(folder / "trees"), str(ROOT / "docs"), str(folder / "html")]) == 0
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """All pages, by their path from the site."""
    return {str(path.relative_to(site)): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def targets(pages: dict[str, Page], site: Path) -> Iterator[tuple[str, str, Path, str]]:
    """Links within the site: the page, the link, the file that it leads to, and the place in it."""
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if not parts.scheme and not parts.netloc:
                file = (site / name).parent / unquote(parts.path) if parts.path else site / name
                yield name, link, file.resolve(), unquote(parts.fragment)


def test_no_link_is_dead(pages: dict[str, Page], site: Path) -> None:
    found = list(targets(pages, site))
    assert len(found) > 500
    assert [(page, link) for page, link, file, _ in found if not file.is_file()] == []
    within = [(page, link, pages[str(file.relative_to(site))], place) for page, link, file, place in found if place]
    assert [(page, link) for page, link, there, place in within if place not in there.names] == []


def test_nothing_is_loaded_from_elsewhere(pages: dict[str, Page], site: Path) -> None:
    loads = [(name, load) for name, page in pages.items() for load in page.loads if not load.startswith("data:")]
    assert len(loads) > 100
    assert [load for _, load in loads if "//" in load] == []
    assert [load for name, load in loads if not ((site / name).parent / urlsplit(load).path).is_file()] == []
    sheets = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert [sheet for sheet in sheets if "url(http" in sheet or "url(//" in sheet or "@import" in sheet] == []


def test_everything_has_its_entry(pages: dict[str, Page]) -> None:
    expected = {
        "reference/losses.html": {f"loss-{name.replace('_', '-')}" for name in LOSSES},
        "reference/studies.html": {f"study-{name}" for name in STUDIES},
        "reference/data-sets.html": {f"data-{name}" for name in (*RENDERED, *card_names())},
        "reference/commands.html": {f"relbench-{name}" for name in typer.main.get_command(app).commands},
    }
    for page, names in expected.items():
        assert names - pages[page].names == set(), page
    assert [name for name in TRUNKS if f">{name}<" not in pages["reference/trunks.html"].text] == []
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert [name for name in extras if f"[{name}]" not in pages["optional.html"].text] == []


def test_formulas_are_shown_as_they_are_written(pages: dict[str, Page]) -> None:
    text = pages["reference/losses.html"].text
    formula = "-log( exp(-|q - c_k|^2) / sum_j exp(-|q - c_j|^2) )."
    assert text.partition(formula)[0].endswith("<pre><span></span>")
    assert "the logits -|q - c_j|^2, without scale" in text
    assert [link for page in pages.values() for link in page.links if link.startswith("mailto:")] == []
    assert "_NestedSequence" not in pages["reference/python.html"].text  # a part of what numpy's ArrayLike stands for


WIDER = """() => {
  const width = document.documentElement.clientWidth
  const scrolls = '.table-wrapper, .highlight'
  const over = e => e.getBoundingClientRect().right > width + 1 && !e.parentElement.closest(scrolls)
  const found = [...document.querySelectorAll('article *')].filter(over).map(e => e.outerHTML.slice(0, 100))
  return [document.documentElement.scrollWidth - width, found]
}"""


@pytest.fixture(scope="module")
def view(browser: Any) -> Iterator[tuple[Any, list[str]]]:
    """A telephone's view without network, and what the browser had to complain of."""
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.context.set_offline(True)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
    yield page, complaints
    page.close()


def test_every_page_fits_a_telephone_and_nothing_is_complained_of(
    view: tuple[Any, list[str]], pages: dict[str, Page], site: Path
) -> None:
    page, complaints = view
    for name in pages:
        page.goto((site / name).as_uri())
        assert [name, *page.evaluate(WIDER)] == [name, 0, []]
        assert (name, complaints) == (name, [])


def test_the_search_finds_a_loss_without_network(view: tuple[Any, list[str]], site: Path) -> None:
    page, complaints = view
    page.goto(f"{(site / 'search.html').as_uri()}?q=darkrank")
    found = page.locator("#search-results a", has_text="hard_darkrank").first
    found.wait_for(timeout=10_000)
    found.click()
    assert urlsplit(page.url).path.endswith("/reference/losses.html")
    assert complaints == []
