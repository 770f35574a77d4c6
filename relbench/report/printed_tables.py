"""The tables of a printed table in Markdown, in LaTeX and for the terminal."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group
from rich.table import Table as ConsoleTable
from rich.text import Text

from relbench.analysis.cells import AnsweredClaim, FilledCell
from relbench.analysis.summary import Summary
from relbench.report.printed_grid import (
    FLOORS,
    Part,
    decimals,
    difference_text,
    formatted_parts,
    ours_text,
    paper_text,
    parts,
    rows,
)
from relbench.report.printed_words import (
    BRIEF,
    TOY,
    claims_caution,
    claims_title,
    footnotes,
    full_title,
    how_measured,
    marks,
    outcome,
    reading,
)
from relbench.report.syntax import Column, filled, latex, latex_float, latex_table, markdown_line, markdown_table

CLAIMS = (
    Column[AnsweredClaim]("Claim", lambda claim: claim.text, is_number=False),
    Column[AnsweredClaim]("Our runs", lambda claim: claim.answer, is_number=False),
    Column[AnsweredClaim]("Detail", lambda claim: claim.detail, is_number=False),
)


FITTING = 4  # columns of floors on a terminal
PAGE = 6  # columns of numbers that can be read on a printed page


def markdown_printed(summary: Summary) -> str:
    """Title, tables, claims and notes in GitHub's Markdown."""
    toy = [f"> **{TOY}**", ""] if summary.is_toy else []
    text = [f"# {markdown_line(full_title(summary))}", "", *toy]
    for words in (f"Source: {summary.source}", how_measured(summary), outcome(summary)):
        text += [markdown_line(words), ""]
    for part in formatted_parts(summary):
        text += [f"## {markdown_line(part.title)}", "", *markdown_table(part.table), ""]
    text += [f"- {markdown_line(words)}" for words in [*footnotes(summary), *reading(summary)]]
    if summary.claims:
        text += ["", f"## {claims_title(summary)}", ""]
        text += [line for words in claims_caution(summary) for line in (markdown_line(words), "")]
        text += markdown_table(filled(CLAIMS, summary.claims))
    if summary.notes:
        text += ["", "## Notes", "", *(f"- {markdown_line(note)}" for note in summary.notes)]
    return "\n".join([*text, ""])


def latex_printed(summary: Summary) -> str:
    r"""Floats for \input, one a sub-table, in booktabs' style; all sentences below, in the text.

    Below, since a float can't break over pages, and there is no limit to what they say.
    """
    title = full_title(summary)
    floats = [
        line
        for part in formatted_parts(summary)
        for piece in part.split(PAGE)
        for line in latex_float(latex(f"{title}: {piece.title}"), latex_table(piece.table))
    ]
    measured = [*([TOY] if summary.is_toy else []), how_measured(summary), f"Source: {summary.source}"]
    claims = [f"{claim.text} {claim.answer.capitalize()}: {claim.detail}" for claim in summary.claims]
    lists = {
        title: [*measured, *footnotes(summary), *reading(summary)],
        claims_title(summary): [*claims_caution(summary), *claims],
        "Notes": summary.notes,
    }
    words = [line for name, texts in lists.items() if texts for line in _latex_list(name, texts)]
    return "\n".join([r"% needs \usepackage{booktabs,graphicx}", *floats, *words, ""])


def _latex_list(title: str, texts: Sequence[str]) -> Iterator[str]:
    yield rf"\par\medskip{{\footnotesize\raggedright\noindent\textbf{{{latex(title)}}}"
    yield from (rf"\par {latex(text)}" for text in texts)
    yield r"\par}"


def printed_text(summary: Summary) -> Group:
    """What fits a terminal of 80 letters: a line a number, under the names of its sub-table and row."""
    toy = [Text(TOY, style="bold")] if summary.is_toy else []
    head = [Text(full_title(summary), style="bold"), *toy, Text(how_measured(summary)), Text(outcome(summary))]
    tables = [_console(title, cells, summary) for title, cells in parts(summary).items()]
    tables += [_console_floors(part) for part in formatted_parts(summary) if part.title == FLOORS]
    below = "\n".join([*footnotes(summary), *reading(summary), *summary.notes])
    return Group(*head, *tables, *_console_claims(summary), Text(below, style="dim"))


def _console(title: str, cells: list[FilledCell], summary: Summary) -> ConsoleTable:
    console = ConsoleTable(title=Text(f"\n{title}"), box=box.SIMPLE_HEAD, title_justify="left")
    console.pad_edge = console.show_edge = False
    console.padding = (0, 1, 0, 0)
    console.add_column("", overflow="fold")
    ours = [f"Ours,\n{BRIEF[rule]}" for rule in summary.shown]
    for name in ["Paper", *ours, "Diff.,\npoints"] if summary.has_published else ours:
        console.add_column(name, justify="right", no_wrap=True)
    for row, numbers in rows(cells).items():
        console.add_row(Text(row, style="bold"))
        for cell in numbers:
            console.add_row(*_console_cells(cell, summary, decimals(cells)))
    return console


def _console_floors(part: Part) -> ConsoleTable:
    """As many of its columns as fit; the files have them all."""
    console = ConsoleTable(title=Text(f"\n{part.title}"), box=box.SIMPLE_HEAD, title_justify="left")
    console.pad_edge = console.show_edge = False
    console.padding = (0, 1, 0, 0)
    console.add_column("", overflow="fold")
    for name in part.columns[:FITTING]:
        console.add_column(name.replace(", ", ",\n"), justify="right", no_wrap=True)
    for block in part.blocks:
        console.add_row(Text(block.row, style="bold"))
        for line in block.lines:
            console.add_row(Text(f"  {line.what}"), *map(Text, line.cells[:FITTING]))
    return console


def _console_cells(cell: FilledCell, summary: Summary, places: int) -> list[Text]:
    name = Text(f"  {cell.column}")
    paper = [Text(paper_text(cell, places))] if summary.has_published else []
    if not cell.path:
        return [name, *paper]
    first, *others = (ours_text(cell, rule, places) for rule in summary.shown)
    ours = [Text(first + marks(summary).get(cell.note, "")), *map(Text, others)]
    difference = [Text(difference_text(cell, summary.shown[0], places))] if summary.has_published else []
    return [name, *paper, *ours, *difference]


def _console_claims(summary: Summary) -> list[Text]:
    if not summary.claims:
        return []
    caution = [Text(words) for words in claims_caution(summary)]
    return [Text(f"\n{claims_title(summary)}"), *caution, *map(_console_claim, summary.claims)]


def _console_claim(claim: AnsweredClaim) -> Text:
    return Text.assemble((claim.answer, "bold"), f": {claim.text} ", (claim.detail, "dim"))
