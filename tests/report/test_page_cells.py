"""The page of a printed table: well-formed, self-contained, escaped, complete."""

import xml.etree.ElementTree as ET
from urllib.parse import unquote

import pytest
from outlined import outline
from printed_tables import CLAIMS, HOSTILE, NOTES, SHAPES, figure3, hostile, summary, table1, table1_cells

from relbench.analysis.summary import Summary
from relbench.report.grids import formatted_parts
from relbench.report.page import page_text
from relbench.report.reading import PEEKING_CLAIMS
from relbench.report.wording import TOY


@pytest.fixture(params=["table 3", "figure 3", "empty", "toy", "hostile", "nobody's numbers"], scope="module")
def shape(request: pytest.FixtureRequest) -> Summary:
    return SHAPES[request.param]()


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time spent on drawing, where the test is about the text."""
    monkeypatch.setattr("relbench.report.page.cells_figure", lambda *_, **__: b"drawn")


def test_it_is_well_formed_holds_every_cell_and_needs_nothing_else(shape: Summary, no_pictures: None) -> None:
    read = outline(page_text(shape))
    given = [
        value for _, tag in read.tags for name, value in tag.items() if name in {"src", "srcset", "href"} and value
    ]
    outside = {address for address in given if not address.startswith(("data:", "#"))}
    assert outside <= {"https://arxiv.org/abs/1904.05068", "https://github.com/lenscloth/RKD/tree/0a6c3c0"}
    places = {address.removeprefix("#") for address in given if address.startswith("#")}
    assert places == {tag["id"] for _, tag in read.tags if "id" in tag}
    for part, table in zip(formatted_parts(shape), read.tables, strict=False):
        assert table[0] == ["", *part.columns]
        lines = [line for block in part.blocks for line in block.lines]
        assert [row[1:] for row in table[1:]] == [list(line.cells) for line in lines]


def test_each_line_names_its_row(no_pictures: None) -> None:
    """Those who hear the page do not see the name some lines above."""
    read = outline(page_text(figure3()))
    assert [row[0] for row in read.tables[0][1:6]] == [
        "Cars 196paper",
        "Cars 196: ours, last step",
        "Cars 196: ours, best on validation",
        "Cars 196: ours, best on test: peeking",
        "Cars 196: difference",
    ]


def test_toy_scale_has_a_banner(no_pictures: None) -> None:
    read = outline(page_text(SHAPES["toy"]()))
    assert ("p", {"class": "banner", "role": "note"}) in read.tags
    assert TOY in read.text
    assert "toy scale" in "".join(read.text)
    assert not any(tag.get("class") == "banner" for _, tag in outline(page_text(figure3())).tags)


def test_claims_and_notes_are_there(no_pictures: None) -> None:
    text = "".join(outline(page_text(figure3())).text)
    for words in (*NOTES, *(claim.text for claim in CLAIMS), "Not shown"):
        assert words in text
    empty = outline(page_text(summary(table1_cells(), claims=(), notes=())))
    assert [tag["id"] for kind, tag in empty.tags if kind == "section"] == ["table", "picture", "cite"]


def test_claims_by_peeking_say_so(no_pictures: None) -> None:
    peeking, other = ("".join(outline(page_text(table1(rules))).text) for rules in (("test", "last"), ("last", "test")))
    assert peeking.index("Claims of the paper") < peeking.index(PEEKING_CLAIMS) < peeking.index(CLAIMS[0].text)
    assert PEEKING_CLAIMS not in other


def test_nobody_s_numbers_name_no_paper(no_pictures: None) -> None:
    page = page_text(SHAPES["nobody's numbers"]())
    text = "".join(outline(page).text)
    for words in ("Claims of the paper", "paper's", "difference"):
        assert words not in text
    assert '<tr class="paper">' not in page
    assert "Our numbers" in text


def test_changed_settings_are_in_the_title_and_the_first_sentence(no_pictures: None) -> None:
    page = page_text(SHAPES["nobody's numbers"]())
    for tag in ("title", "h1"):
        title = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        assert title.endswith("paper protocol, changed settings")
    assert "Protocol: paper, with changed settings (data.size = 128, training.steps = 2);" in page


def test_text_is_escaped(no_pictures: None) -> None:
    read = outline(page_text(hostile()))
    assert [kind for kind, _ in read.tags].count("b") == 20  # rows' names, and none of a hostile text's
    assert HOSTILE in "".join(read.text)


def test_values_by_seed_stand_behind_each_mean(no_pictures: None) -> None:
    made = figure3()
    lines = outline(page_text(made)).tables[-1][1:]
    runs = [(cell, rule) for cell in made.cells for rule in made.shown if rule in cell.ours]
    assert len(lines) == len(runs) == 12 + 2 * 2
    for line, (cell, rule) in zip(lines, runs, strict=True):
        assert line[0] == cell.path
        assert line[5] == ", ".join(f"{100 * value:.1f}" for value in cell.ours[rule].values)
        assert line[6] == ", ".join(map(str, cell.ours[rule].steps))


def test_the_picture_is_inside_in_two_shapes_with_words_for_it() -> None:
    tags = outline(page_text(figure3())).tags
    image, source = (next(tag for kind, tag in tags if kind == wanted) for wanted in ("img", "source"))
    assert len(image["alt"] or "") > 40
    for address in (image["src"], source["srcset"]):
        assert len(ET.fromstring(unquote((address or "").split(",", 1)[1]))) > 1
