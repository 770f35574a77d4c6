"""The page: well-formed, self-contained, escaped, complete, and no wider than a telephone."""

import base64
import html
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from relbench.report.page import page_text
from relbench.report.summary import Summary
from relbench.report.tables import formatted
from relbench.report.wording import headline, notes

VOID = {"meta", "img", "source", "br", "link"}
PAPER = "https://arxiv.org/abs/1904.05068"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Outline(HTMLParser):
    """Tags with their attributes, visible text, tables of cells; notices tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.tables: list[list[list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"td", "th"}:
            self.tables[-1][-1][-1] += data
        if self.open and self.open[-1] != "style":
            self.text.append(data)


DOT = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 450"/>'


@pytest.fixture(scope="session")
def page(any_summary: Summary) -> str:
    """The page with pictures that cost no time."""
    with pytest.MonkeyPatch.context() as patch:
        for draw in ("recall_plot", "training_plot"):
            patch.setattr(f"relbench.report.page.{draw}", lambda *_, **__: DOT)
        return page_text(any_summary)


@pytest.fixture(scope="session")
def study_page(study: Summary) -> Outline:
    """The page with its own pictures, read."""
    return outline(page_text(study))


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_it_is_well_formed_and_needs_nothing_else(page: str) -> None:
    read = outline(page)
    addresses = [
        value for _, given in read.tags for name, value in given.items() if name in {"src", "srcset", "href"} and value
    ]
    assert {address for address in addresses if not address.startswith("data:")} == {PAPER}
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe"}
    assert "@import" not in page
    assert "url(" not in page


def test_pictures_are_inside_in_two_shapes_with_words_for_them(study: Summary, study_page: Outline) -> None:
    images = [given for tag, given in study_page.tags if tag == "img"]
    sources = [given["srcset"] for tag, given in study_page.tags if tag == "source"]
    assert len(images) == len(sources) == 2
    assert all(given["alt"] and len(given["alt"]) > 40 for given in images)
    for address in [*(given["src"] for given in images), *sources]:
        assert address is not None
        kind, content = address.split(",", 1)
        assert kind == "data:image/svg+xml;base64"
        assert len(ET.fromstring(base64.b64decode(content))) > 1


def test_it_says_its_language_width_and_title(study: Summary, study_page: Outline) -> None:
    assert ("html", {"lang": "en"}) in study_page.tags
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in study_page.tags
    assert study.plan.title in study_page.text


def test_the_first_table_holds_the_same_cells(any_summary: Summary, page: str) -> None:
    table = formatted(any_summary)
    assert outline(page).tables[0] == [table.header, *map(list, table.rows)]


def test_labels_are_text_never_tags(any_summary: Summary, page: str) -> None:
    read = outline(page)
    assert "b" not in {tag for tag, _ in read.tags}
    assert all(method.label in read.text for method in any_summary.methods)


def test_headline_and_notes_are_there(any_summary: Summary, page: str) -> None:
    text = outline(page).text
    assert headline(any_summary) in text
    assert all(note in text for note in notes(any_summary))


def test_every_run_is_there_with_its_values_and_its_origin(study: Summary, study_page: Outline) -> None:
    tables = study_page.tables
    by_seed = {(line[0], line[1]): line for line in tables[1][1:]}
    runs = {(line[0], line[1]): line for line in tables[3][1:]}
    for method in study.methods:
        for row in method.rows:
            key = (method.label, str(row.experiment.seed))
            assert by_seed[key][2] == f"{100 * row.metrics['recall@1']:.1f}"
            assert by_seed[key][-2] == f"{100 * row.validation['recall@1']:.1f}"
            assert runs[key][2] == row.fingerprint
            assert runs[key][4:9] == [row.data_hash, "1", f"{row.train_seconds:.1f}", "1.2", "512"]
    assert len(by_seed) == len(runs) == 18


def test_settings_are_parted_into_same_and_different(study: Summary, study_page: Outline) -> None:
    header, *lines = study_page.tables[2]
    assert header[:3] == ["Method", "loss", "teacher"]
    assert set(header[3:]) == {
        *("net.width", "net.dim", "net.unit_length"),
        *("protocol.steps", "protocol.learning_rate"),
    }
    assert lines[4][1] == "triplet (margin = 0.2) + rkd_distance + 2 \N{MULTIPLICATION SIGN} rkd_angle"
    same = study_page.text[study_page.text.index("Settings that all methods share") :]
    assert "protocol.batch_size" in same
    assert "protocol.steps" not in same


def test_machine_and_citation_are_there(study: Summary, study_page: Outline) -> None:
    text = " ".join(study_page.text)
    assert "Some Processor @ 2.5 GHz, 2 cores, Linux 6.1; git commit 0123abcd; numpy 2.1.0, torch 2.6.0" in text
    assert "@inproceedings{park2019relational," in text


MEASURE = """<script>parent.document.title = [innerWidth, document.documentElement.scrollWidth,
Math.max(...[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') || e.matches('.scroll'))
.map(e => Math.ceil(e.getBoundingClientRect().right)))].join(' ')</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_nothing_hangs_over_the_edge_of_a_telephone(page: str, tmp_path: Path) -> None:
    frame = f'<iframe style="width: 360px; height: 800px; border: 0" srcdoc="{html.escape(page + MEASURE)}"></iframe>'
    file = tmp_path / "telephone.html"
    file.write_text(f"<!doctype html><title>not measured</title>{frame}", encoding="utf-8")
    switches = "headless no-sandbox disable-gpu no-first-run disable-sync disable-background-networking"
    switches += f" disable-component-update user-data-dir={tmp_path / 'browser'}"
    command = [CHROMIUM or "", *(f"--{switch}" for switch in switches.split()), "--dump-dom", file.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    title = re.search(r"<title>(\d+) (\d+) (\d+)</title>", ran.stdout)
    assert title, ran.stderr[-1000:]
    window_width, scroll_width, furthest = map(int, title.groups())
    assert window_width == 360
    assert max(scroll_width, furthest) <= window_width
