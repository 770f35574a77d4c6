"""Documents of a report as text: its tables and sentences in GitHub's Markdown and in LaTeX."""

from collections.abc import Iterator, Sequence

from relbench.analysis.summary import Summary
from relbench.report.grids import claim_detail, claim_table, formatted_parts
from relbench.report.headline import headline, outcome
from relbench.report.notes import notes, pair_note
from relbench.report.reading import claims_caution, claims_title, footnotes, how_measured, reading
from relbench.report.table_formats import latex, latex_float, latex_table, markdown_line, markdown_table
from relbench.report.tables import method_table, pair_table
from relbench.report.wording import PAIRS_TITLE, TOY, full_title

PAGE = 6  # columns of numbers that can be read on a printed page


def markdown_text(summary: Summary) -> str:
    """Title, headline, tables, claims and notes in GitHub's Markdown."""
    toy = [f"> **{TOY}**", ""] if summary.is_toy else []
    text = [f"# {markdown_line(full_title(summary))}", "", *toy]
    text += _markdown_methods(summary) if summary.methods else []
    text += _markdown_cells(summary) if summary.cells else []
    return "\n".join(text)


def _markdown_methods(summary: Summary) -> list[str]:
    table = markdown_table(method_table(summary))
    text = [*_paragraphs([headline(summary)]), *table, "", *_bullets(notes(summary)), ""]
    if summary.pairs:
        pairs = markdown_table(pair_table(summary))
        text += [f"## {PAIRS_TITLE}", "", *pairs, "", *_bullets([pair_note(summary)]), ""]
    return text


def _markdown_cells(summary: Summary) -> list[str]:
    text = _paragraphs([*_source(summary), how_measured(summary), outcome(summary)])
    for part in formatted_parts(summary):
        text += [f"## {markdown_line(part.title)}", "", *markdown_table(part.table), ""]
    text += _bullets([*footnotes(summary), *reading(summary)])
    if summary.claims:
        text += ["", f"## {claims_title(summary)}", "", *_paragraphs(claims_caution(summary))]
        text += markdown_table(claim_table(summary))
    if summary.notes:
        text += ["", "## Notes", "", *_bullets(summary.notes)]
    return [*text, ""]


def _source(summary: Summary) -> list[str]:
    """The paper, if the study is not relbench's own."""
    return [f"Source: {summary.source}"] if summary.source else []


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in (markdown_line(text), "")]


def _bullets(texts: Sequence[str]) -> list[str]:
    return [f"- {markdown_line(text)}" for text in texts]


def latex_text(summary: Summary) -> str:
    r"""Floats for \input, in booktabs' style; labels outside pdfLaTeX's letters need LuaLaTeX."""
    methods = _latex_methods(summary) if summary.methods else []
    cells = _latex_cells(summary) if summary.cells else []
    return "\n".join([r"% needs \usepackage{booktabs,graphicx}", *methods, *cells, ""])


def _latex_methods(summary: Summary) -> list[str]:
    """Lines of floats: the comparison with the notes, the further metrics, and methods against each other.

    One table of all would be too wide for a page, and all in one float too high where there are twenty methods.
    """
    table, title = method_table(summary), latex(full_title(summary))
    floats = [
        *latex_float(title, [*latex_table(table.part(in_brief=True)), *_below(notes(summary))]),
        *latex_float(f"{title}: size, batch and further metrics", latex_table(table.part(in_brief=False))),
    ]
    if summary.pairs:
        pairs = [*latex_table(pair_table(summary)), *_below([pair_note(summary)])]
        floats += latex_float(f"{title}: {PAIRS_TITLE.lower()}", pairs)
    return floats


def _below(sentences: Sequence[str]) -> list[str]:
    return [r"\par\medskip\raggedright", *(latex(words) for words in sentences)]


def _latex_cells(summary: Summary) -> list[str]:
    """Lines of floats, one per part, with all sentences below them, in the text.

    Below, since a float can't break over pages, and there is no limit to what they say.
    """
    title = full_title(summary)
    floats = [
        line
        for part in formatted_parts(summary)
        for piece in part.split(PAGE)
        for line in latex_float(latex(f"{title}: {piece.title}"), latex_table(piece.table))
    ]
    measured = [*([TOY] if summary.is_toy else []), how_measured(summary), *_source(summary)]
    claims = [f"{claim.text} {claim.answer.capitalize()}: {claim_detail(claim)}" for claim in summary.claims]
    lists = {
        title: [*measured, *footnotes(summary), *reading(summary)],
        claims_title(summary): [*claims_caution(summary), *claims],
        "Notes": summary.notes,
    }
    return [*floats, *(line for name, texts in lists.items() if texts for line in _latex_list(name, texts))]


def _latex_list(title: str, texts: Sequence[str]) -> Iterator[str]:
    yield rf"\par\medskip{{\footnotesize\raggedright\noindent\textbf{{{latex(title)}}}"
    yield from (rf"\par {latex(text)}" for text in texts)
    yield r"\par}"
