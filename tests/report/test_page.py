"""The page: well-formed, self-contained, escaped, complete."""

import dataclasses
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from outlined import Outline, outline

from relbench.analysis.summary import Summary
from relbench.experiment import Term
from relbench.report.headline import headline, in_brief
from relbench.report.notes import notes, pair_note
from relbench.report.page import page_text
from relbench.report.tables import method_table, pair_table
from relbench.report.wording import PAIRS_TITLE
from relbench.settings import changed

PageOf = Callable[[Summary], str]
SOURCES = {
    "https://arxiv.org/abs/1706.07567",
    "https://github.com/lenscloth/RKD/tree/0a6c3c0",
    "https://arxiv.org/abs/1904.05068",
}


@pytest.fixture(scope="session")
def study_page(study: Summary) -> Outline:
    """The page with its own pictures, read."""
    return outline(page_text(study))


def test_it_is_well_formed_and_needs_nothing_else(page: str) -> None:
    read = outline(page)
    addresses = [
        value for _, given in read.tags for name, value in given.items() if name in {"src", "srcset", "href"} and value
    ]
    assert {address for address in addresses if not address.startswith(("data:", "#"))} == SOURCES
    places = {address.removeprefix("#") for address in addresses if address.startswith("#")}
    assert places <= {given["id"] for _, given in read.tags if "id" in given}
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe"}
    assert "@import" not in page
    assert "url(" not in page


def test_pictures_are_inside_in_two_shapes_with_words_for_them(study: Summary, study_page: Outline) -> None:
    images = [given for tag, given in study_page.tags if tag == "img"]
    sources = [given["srcset"] for tag, given in study_page.tags if tag == "source"]
    assert len(images) == len(sources) == 4
    assert all(given["alt"] and len(given["alt"]) > 40 for given in images)
    for address in [*(given["src"] for given in images), *sources]:
        assert address is not None
        kind, content = address.split(",", 1)
        assert kind == "data:image/svg+xml"
        assert not set(content) & set(' \t\n"<>#')  # a set of sources is parted by spaces, an address by its hash
        assert len(ET.fromstring(unquote(content))) > 1


def test_it_says_its_language_width_and_title(study: Summary, study_page: Outline) -> None:
    assert ("html", {"lang": "en"}) in study_page.tags
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in study_page.tags
    assert study.title in study_page.text


def test_the_first_tables_hold_the_same_cells(any_summary: Summary, page: str) -> None:
    table, pairs = method_table(any_summary), [pair_table(any_summary)] if any_summary.pairs else []
    parts = [table.part(in_brief=True), table.part(in_brief=False), *pairs]
    assert outline(page).tables[: len(parts)] == [[part.header, *map(list, part.rows)] for part in parts]
    assert (PAIRS_TITLE in page) == (pair_note(any_summary) in outline(page).text) == bool(pairs)


def test_labels_are_text_never_tags(any_summary: Summary, page: str) -> None:
    read = outline(page)
    assert "b" not in {tag for tag, _ in read.tags}
    assert all(method.label in read.text for method in any_summary.methods)


def test_headline_and_notes_are_there(any_summary: Summary, page: str) -> None:
    text = outline(page).text
    first, others = in_brief(any_summary)
    assert " ".join(first) in text
    assert not others or " ".join(others) in text
    assert all(note in text for note in notes(any_summary))


def test_the_page_begins_with_two_sentences_and_the_forest_plot(any_summary: Summary, page: str) -> None:
    """The best student's, and the control's that puts it right: not five, and nothing before the figure."""
    first, others = in_brief(any_summary)
    assert len(first) <= 2
    assert sorted(" ".join([*first, *others]).split()) == sorted(headline(any_summary).split())  # nothing is lost
    start = page[page.index("<h1>") : page.index("<nav")]
    has_figure = any(method.against_teacher for method in any_summary.methods)
    assert start.count("<figure") == has_figure
    assert not has_figure or start.index("headline") < start.index("<figure") < start.rindex("</")


def test_a_control_that_puts_the_best_student_right_stands_beside_it(study: Summary) -> None:
    first, others = in_brief(study)
    assert "rkd-da" in first[0]
    assert "control" in first[1]
    assert not any("control" in sentence for sentence in others)


def test_details_are_folded_and_named_by_a_heading(study: Summary, study_page: Outline) -> None:
    tags = [tag for tag, _ in study_page.tags]
    assert tags.count("details") == tags.count("summary") >= 7
    assert not any("open" in given for tag, given in study_page.tags if tag == "details")
    after = [tags[at + 1] for at, tag in enumerate(tags) if tag == "summary"]
    assert set(after) == {"h2", "h3"}


def test_a_hash_is_whole_in_the_page_and_shown_by_its_first_digits(study: Summary, page_of: PageOf) -> None:
    whole = "0123456789abcdef" * 4
    rows = [tuple(row.model_copy(update={"data_hash": whole}) for row in method.rows) for method in study.methods]
    methods = tuple(dataclasses.replace(m, rows=given) for m, given in zip(study.methods, rows, strict=True))
    page = page_of(study.replaced(entries=(), methods=methods))
    shown = f'<code class="hash" title="{whole}">{whole}</code>'
    assert page.count(shown) == page.count(f">{whole}<") >= len(study.methods) * 3 + 1  # each run's, and the notes'
    assert re.search(r"\.hash \{[^}]*max-width: 9\.05ch[^}]*text-overflow: ellipsis[^}]*user-select: all", page)


def test_every_run_is_there_with_its_values_and_its_origin(study: Summary, study_page: Outline) -> None:
    tables = study_page.tables
    by_seed = {(line[0], line[1]): line for line in tables[3][1:]}
    runs = {(line[0], line[1]): line for line in tables[5][1:]}
    for method in study.methods:
        for row in method.rows:
            key = (method.label, str(row.experiment.seed))
            assert by_seed[key][2] == f"{100 * row.metrics['recall@1']:.1f}"
            assert by_seed[key][-2] == f"{100 * row.validation['recall@1']:.1f}"
            assert runs[key][2] == row.fingerprint
            assert runs[key][4:9] == [row.data_hash, "1", f"{row.train_seconds:.1f}", "1.2", "512"]
    assert len(by_seed) == len(runs) == 18


def test_settings_are_parted_into_same_and_different(study: Summary, study_page: Outline) -> None:
    header, *lines = study_page.tables[4]
    assert header[:3] == ["Method", "loss", "teacher"]
    assert set(header[3:]) == {
        *("net.width", "net.dim", "net.unit_length"),
        *("training.steps", "training.learning_rate"),
    }
    assert lines[4][1] == "triplet (margin = 0.2) + rkd_distance + 2 \N{MULTIPLICATION SIGN} rkd_angle"
    same = study_page.text[study_page.text.index("Settings that all methods share") :]
    assert "training.batch_size" in same
    assert "training.steps" not in same


def test_machine_and_citation_are_there(study: Summary, study_page: Outline) -> None:
    text = " ".join(study_page.text)
    assert "Some Processor @ 2.5 GHz, 2 cores, Linux 6.1; git commit 0123abcd; numpy 2.1.0, torch 2.6.0" in text
    assert "@inproceedings{park2019relational," in text
    assert "@misc{relbench," in text


def test_each_loss_names_its_source_with_addresses(study_page: Outline) -> None:
    text = "".join(study_page.text)
    assert "triplet: arXiv:1706.07567; lenscloth/RKD@0a6c3c0\n" in text
    assert "my_loss:MyLoss: not known <b>here</b>\n" in text


def test_without_sources_no_loss_is_credited(study: Summary, page_of: PageOf) -> None:
    assert "authors of the losses" not in page_of(study.replaced(sources={}))


@pytest.fixture(scope="session")
def many_page(many: Summary, page_of: PageOf) -> Outline:
    """A page with a loss of the user's and a method in two stages."""
    return outline(page_of(many))


def test_a_loss_from_a_file_is_shown_as_text_never_as_tags(many: Summary, many_page: Outline) -> None:
    (source,) = {term.source for row in many.rows for term in row.experiment.terms if term.source}
    assert "</pre><script>" in source
    assert source in "".join(many_page.text)
    assert not {"script", "x"} & {tag for tag, _ in many_page.tags}
    assert all((given.get("src") or "data:").startswith("data:") for _, given in many_page.tags)


def test_a_loss_from_a_file_in_a_first_stage_is_shown_too(many: Summary, page_of: PageOf) -> None:
    own = Term(loss="mine:f", source="# the text of an earlier stage\n")
    first = many.methods[1].row.experiment
    staged = changed(first, {"initialized_from": changed(first, {"terms": (own,)})})
    rows = (many.methods[1].row.model_copy(update={"experiment": staged}),)
    methods = (many.methods[0], dataclasses.replace(many.methods[1], rows=rows))
    text = page_of(many.replaced(entries=(), methods=methods, pairs=()))
    assert "<h3>mine:f</h3>\n<pre># the text of an earlier stage\n</pre>" in text


def test_without_losses_from_files_there_is_no_such_section(study_page: Outline) -> None:
    assert "Losses from files" not in study_page.text


def test_two_stages_are_told_with_both_losses_their_steps_and_the_teacher(many: Summary, many_page: Outline) -> None:
    different = next(table for table in many_page.tables if table[0][:3] == ["Method", "loss", "teacher"])
    line = next(line for line in different if line[0] == "fitnet-2-stages")
    settings = dict(zip(different[0], line, strict=True))
    assert settings["loss"] == "first 3 \N{MULTIPLICATION SIGN} fitnet, then triplet (margin = 0.2)"
    assert settings["training.steps"] == "1,500 + 1,500"
    assert settings["teacher"] == "conv4, 128-d"
    runs = next(table for table in many_page.tables if "Teacher's run" in table[0])
    last_teacher = {line[0]: line[3] for line in runs}
    assert last_teacher["fitnet-2-stages"] == last_teacher["rkd-d"] != "\N{EN DASH}"
    assert last_teacher["triplet"] == "\N{EN DASH}"


def test_pictures_are_told_with_their_values(study: Summary, study_page: Outline) -> None:
    forest, recall, size, training = (given["alt"] or "" for tag, given in study_page.tags if tag == "img")
    for method in study.methods:
        mean = f"{100 * method.metrics['recall@1'].mean:.1f}"
        net = f"{method.row.experiment.net.dim} dimensions, {method.row.parameters:,} parameters"
        last = sum(row.history[-1]["recall@1"] for row in method.rows) / 3
        assert f"{method.label} {mean} %" in recall
        if method.against_teacher:
            assert f" {100 * method.against_teacher.difference:+.1f}".replace("-", "\N{MINUS SIGN}") in forest
        assert f"{method.label}: {net}, {mean} ± " in size
        assert f"{method.label} {100 * last:.1f} %" in training


def test_a_run_without_history_says_so_in_words(study: Summary, page_of: PageOf) -> None:
    rows = tuple(row.model_copy(update={"history": ()}) for row in study.methods[1].rows)
    methods = (study.methods[0], dataclasses.replace(study.methods[1], rows=rows))
    assert "triplet not recorded." in page_of(study.replaced(entries=(), methods=methods))
