"""Tables of formatted cells, and what they are written in: Markdown, LaTeX, comma-separated values."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pandas as pd

from relbench.plain_text import one_line, visible
from relbench.report.wording import MINUS, NOTHING, ONE_SEED, RAISED, TIMES

Line = TypeVar("Line")  # what a line of a table is about


@dataclass(frozen=True)
class Column(Generic[Line]):
    """A column's title and what stands in it."""

    title: str
    cell: Callable[[Line], str]
    is_number: bool = True
    in_brief: bool = False  # belongs to what the comparison needs: a terminal or a printed page is narrow


@dataclass(frozen=True)
class Table:
    """Formatted cells, free of any syntax."""

    columns: tuple[Column[Any], ...]
    rows: tuple[tuple[str, ...], ...]  # one a line, one cell a column

    @property
    def header(self) -> list[str]:
        """The columns' titles."""
        return [column.title for column in self.columns]

    def part(self, *, in_brief: bool) -> "Table":
        """What the comparison needs, or the methods and everything else."""
        kept = [index for index, column in enumerate(self.columns) if column.in_brief == in_brief or index == 0]
        rows = tuple(tuple(row[index] for index in kept) for row in self.rows)
        return Table(tuple(self.columns[index] for index in kept), rows)


def filled(columns: tuple[Column[Line], ...], lines: Sequence[Line]) -> Table:
    """The table of such columns, and a row for each of what they are about."""
    return Table(columns, tuple(tuple(column.cell(line) for column in columns) for line in lines))


FORMULA = re.compile(
    r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
)  # what a cell begins with that a spreadsheet would compute


def csv_text(frame: pd.DataFrame) -> str:
    """Comma-separated, with every float's shortest text that reads back to the same float.

    A text that a spreadsheet would take for a formula has an apostrophe before it, as OWASP advises (CSV injection).
    """
    written = frame.rename(columns=_csv_cell).map(_csv_cell)
    return written.to_csv(index=False, lineterminator="\n")


def _csv_cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    return visible(f"'{value}" if FORMULA.match(value) else value)


_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_<>|&~$#"})
_LINK = re.compile(r"\](?=[(\[:])|:(?=//)|(?<=www)\.", re.IGNORECASE)  # what turns brackets, or an address, into a link
_BLOCK = re.compile(r"(\d*)(?:(?<=\d)[.)]|(?<!\d)[-+=\[])")  # what turns a line that begins so into a list or a task


def markdown(text: str) -> str:
    """Text inside a line of GitHub's Markdown: it is read as it was written, as nothing else."""
    return _LINK.sub(lambda found: f"\\{found.group()}", one_line(text).translate(_MARKDOWN))


def markdown_line(text: str) -> str:
    """The same for text that a line, or an entry of a list, begins with."""
    inside = markdown(text).strip()
    found = _BLOCK.match(inside)
    return f"{found.group(1)}\\{inside[found.end(1) :]}" if found else inside


def markdown_table(table: Table) -> list[str]:
    """Its lines in GitHub's Markdown."""
    rules = ["---:" if column.is_number else "---" for column in table.columns]
    head, *body = [[markdown(cell) for cell in row] for row in [table.header, *table.rows]]
    return [f"| {' | '.join(cells)} |" for cells in [head, rules, *body]]


_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "%&_#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
    | {">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "]": "{]}", "*": "{*}", "`": r"\textasciigrave{}"}
    | {MINUS: "$-$", TIMES: r"$\times$"}
    | {ONE_SEED: r"$\dagger$"}
    | {raised: rf"\textsuperscript{{{letter}}}" for letter, raised in RAISED.items()}
    | {"±": r"$\pm$", NOTHING: "--", "\N{EM DASH}": "---", "“": "``", "”": "''"}
)


_DASHES = re.compile("-(?=-)")  # two in a row are set as one that is longer


def latex(text: str) -> str:
    """Text as LaTeX sets it: it is read as it was written, and is no command, comment, formula or star of one."""
    return "-{}".join(part.translate(_LATEX) for part in _DASHES.split(one_line(text)))


def latex_float(caption: str, body: Sequence[str]) -> list[str]:
    """A float's lines, of what is LaTeX already."""
    head = rf"\centering\footnotesize\setlength{{\tabcolsep}}{{3pt}}\caption{{{caption}}}"
    return [r"\begin{table}", head, r"\par\smallskip", *body, r"\end{table}"]


def latex_table(table: Table) -> list[str]:
    """A tabular's lines in booktabs' style, made as narrow as the page where it is wider."""
    kinds = "".join("r" if column.is_number else "l" for column in table.columns)
    head, *body = [_latex_line(cells) for cells in [table.header, *table.rows]]
    return [
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{kinds}}}",
        *(r"\toprule", head, r"\midrule", *body, r"\bottomrule"),
        r"\end{tabular}}",
    ]


def _latex_line(cells: Sequence[str]) -> str:
    return rf"{' & '.join(latex(cell) for cell in cells)} \\"
