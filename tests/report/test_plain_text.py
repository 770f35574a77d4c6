"""Text from outside is markup nowhere: nasty names on their way through the terminal and every format of a report."""

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from outlined import outline
from rich.table import Table as ConsoleTable

from relbench.analysis.summary import Summary
from relbench.cli.console import Terminal
from relbench.cli.main import _print_lists
from relbench.cli.options import written
from relbench.plain_text import one_line, visible
from relbench.report import markup
from relbench.report.console import method_console, pair_console
from relbench.report.figures import canvas
from relbench.report.table_formats import csv_text, latex, latex_table, markdown_line, markdown_table
from relbench.report.tables import Column, filled
from relbench.report.write import files_of

NASTY = (
    *("[v2]", "[/y]", "a[bold red]b[/]", "[link=file:///etc/passwd]x[/link]", ":key: :smile:", "x\\[y]", "\\"),
    *("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\rb", "\x9b2J", "nul\x00", "bell\x07", "two\nlines", "a\ttab"),
    *("\u202egnp.exe", "\u2066isolated", "\u2028line", "\ufeffmark", "lone \udcff half"),
    *("<script>alert(1)</script>", "\"onload='x'", "&amp;", "</style>", "<!-- x -->", "{{ 7 * 7 }}", "{% raw %}"),
    *("=1+1", "+1", "-1", "@sum(a1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "\uff1d1", "a,b", '"quoted"', "'=1"),
    *("*stars*", "_under_", "`code`", "~~gone~~", "| pipe |", "# title", "- item", "+ item", "= x", "---", "1. one"),
    *("2) two", "> quote", "[a](https://x.invalid)", "![a](https://x.invalid/i.png)", "[a]: https://x.invalid"),
    *("[a][b]", "[ ] task", "[x] task", "https://x.invalid", "www.x.invalid", "<https://x.invalid>", "$a^2$", "a  "),
    *("50 % & #1 {x} ~ ^", "\\input{/etc/passwd}", "\\end{tabular}", "*star after a line", "[1cm]", "a--b---c", "%"),
    *("_hidden", "__", "$", "\\$x$", "\u6f22\u5b57", "\U0001f468\u200d\U0001f469", "e\u0301"),
)
names = st.text(st.characters(exclude_categories=[]), max_size=12) | st.sampled_from(NASTY)
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
each = pytest.mark.parametrize("name", NASTY, ids=ascii)
WORDS = pytest.mark.parametrize("name", [name for name in NASTY if name == visible(name)], ids=ascii)
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@few
@given(names)
@example("\x1b[0m")
def test_what_is_visible_can_be_printed_and_written(name: str) -> None:
    shown = visible(name)
    assert not UNSEEN.search(shown)
    shown.encode()
    assert visible(shown) == shown
    assert not set(one_line(name)) & set("\n\r\t")


@WORDS
def test_what_is_visible_already_stays_as_it_is(name: str) -> None:
    assert visible(name) == name


def printed(*things: object) -> str:
    terminal = Terminal(file=io.StringIO(), width=200, color_system=None, force_terminal=False)
    for thing in things:
        terminal.print(thing, soft_wrap=True)
    return str(terminal.file.getvalue())  # type: ignore[attr-defined]


@each
def test_a_terminal_shows_it_as_text(name: str) -> None:
    table = ConsoleTable(name, title=name, box=None)
    table.add_row(name)
    tabs = name.expandtabs(8).translate({7: None, 13: None})  # which rich drops
    for shown in (printed(name), printed(table)):
        assert not UNSEEN.search(shown)
        assert all(visible(line).strip() in shown for line in tabs.splitlines() if "\t" not in name)


@each
def test_a_colour_is_the_only_escape_sequence_on_a_terminal_in_colours(name: str) -> None:
    terminal = Terminal(file=io.StringIO(), width=200, color_system="standard", force_terminal=True)
    terminal.print(name, style="red", soft_wrap=True)
    text = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert set(re.findall("\x1b[^m]*m", text)) <= {"\x1b[31m", "\x1b[0m"}
    assert "\x1b" not in re.sub("\x1b[^m]*m", "", text)


def test_the_list_shows_a_data_set_s_path_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("relbench.data.data_set_names", lambda _: ["own"])
    monkeypatch.setattr("relbench.data.find_data_set", lambda *_: SimpleNamespace(summary="from /a[v2]/[/y]/:key:"))
    _print_lists(Path())
    assert "from /a[v2]/[/y]/:key:" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["[v2]", "[/y]", ":key:"])
def test_the_path_of_a_report_is_printed_as_it_is(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relbench.cli.options.out", Terminal(width=200))
    written(Path("results") / name, [Path("table.md")])
    assert f"results/{name}: table.md" in capsys.readouterr().out


@few
@given(names.filter(lambda name: not re.search("[\ud800-\udfff]", name)), st.sampled_from(["", "a"]))
def test_a_spreadsheet_computes_no_cell(name: str, before: str) -> None:
    text = csv_text(pd.DataFrame({f"{before}{name}": [f"{before}{name}"], "number": [-1.5]}))
    (title, _), (cell, number) = csv.reader(io.StringIO(text, newline=""))
    assert not UNSEEN.search(text)
    for read in (title, cell):
        assert not read or read[0] not in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
        assert read.removeprefix("'") == visible(before + name).removeprefix("'")
    assert float(number) == -1.5


READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@few
@given(names)
@example("1. one")
@example("[x] task")
def test_markdown_shows_it_as_text_in_a_line(name: str) -> None:
    page = outline(READER.render(f"- {markdown_line(name)}\n\n{markdown_line(name)}\n\n# {markdown_line(name)}\n"))
    assert {tag for tag, _ in page.tags} <= {"ul", "li", "p", "h1"}
    assert (
        " ".join("".join(page.text).split()).replace(" ", "") == one_line(name).replace(" ", "") * 3 or "\xa0" in name
    )


@few
@given(names)
def test_markdown_shows_it_as_text_in_a_table(name: str) -> None:
    table = filled((Column[str](name, str, is_number=False), Column[str]("second", lambda _: "2")), [name])
    page = outline(READER.render("\n".join(markdown_table(table))))
    assert {tag for tag, _ in page.tags} == {"table", "thead", "tbody", "tr", "th", "td"}
    expected = one_line(name).strip()
    assert [[cell.strip() for cell in row] for row in page.tables[0]] == [[expected, "second"], [expected, "2"]]


def test_markdown_makes_no_link_of_an_address() -> None:
    assert markdown_line("https://x.invalid and www.x.invalid") == r"https\://x.invalid and www\.x.invalid"


TEMPLATE = markup.environment().from_string('{% from "macros.html" import grid %}{{ grid(table) }}')


@few
@given(names)
def test_html_shows_it_as_text(name: str) -> None:
    grid = markup.Grid(name, [name], [[name]], [False])
    page = outline(TEMPLATE.render(table=grid))
    assert page.tables == [[[visible(name).replace("\r", "")], [visible(name)]]]
    assert {tag for tag, _ in page.tags} <= {"div", "table", "thead", "tbody", "tr", "th", "td", "code"}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_sets_it_as_text(tmp_path: Path) -> None:
    """All of them in one document, in a table and in a line, read back from the page that is printed."""
    sets = [name for name in NASTY if visible(name).isascii()]
    table = filled((Column[str]("name", str, is_number=False), Column[str]("n", lambda _: "1")), sets)
    lines = [rf"\par x{latex(name)}x" for name in sets]
    start = r"\documentclass{article}\usepackage{booktabs,graphicx}\usepackage[T1]{fontenc}\pdfcompresslevel=0"
    document = "\n".join([start, r"\begin{document}", *latex_table(table), *lines, r"\end{document}"])
    (tmp_path / "all.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout[-2000:]


@pytest.mark.parametrize(
    ("name", "written_as"),
    [
        ("*", "{*}"),
        ("--", "-{}-"),
        ("[1cm]", "{[}1cm{]}"),
        ("`", r"\textasciigrave{}"),
        ("\x1b", r"\textbackslash{}x1b"),
    ],
)
def test_latex_takes_no_sign_for_a_command_s(name: str, written_as: str) -> None:
    assert latex(name) == written_as


@WORDS
def test_a_plot_shows_it_as_text(name: str) -> None:
    with canvas.drawn((1, 1), "svg") as (figure, _):
        text = figure.text(0, 0, canvas.plain(name))
        shown, is_math = text._preprocess_math(text.get_text())
        text.remove()
    assert (shown.removeprefix(" "), is_math) == (name.removeprefix(" "), False)
    assert not mpl.rcParams["text.parse_math"] or mpl.rcParamsDefault["text.parse_math"]


ALL = " ".join(name for name in NASTY if "\udcff" not in name)


def test_no_file_of_a_report_steers_a_reader(study: Summary, page_of: Callable[[Summary], str]) -> None:
    """Label, title, notes and sources, through every file that is text."""
    methods = (study.methods[0], replace(study.methods[1], label=ALL), *study.methods[2:])
    named = {"title": ALL, "notes": (ALL, *NASTY)}
    summary = study.replaced(**named, methods=methods, sources={ALL: ALL})
    texts = {
        name: str(render(summary))
        for name, render in files_of(summary).items()
        if name.endswith((".md", ".csv", ".tex"))
    }
    texts["report.html"] = page_of(summary)
    texts["terminal"] = printed(method_console(summary), pair_console(summary))
    assert not {name: found.group() for name, text in texts.items() if (found := UNSEEN.search(text))}
    tags = {tag for tag, _ in outline(texts["report.html"]).tags}
    assert not tags & {"script", "iframe", "object", "b"}
