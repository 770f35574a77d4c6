"""Tables of formatted cells, and what they are written in: Markdown, LaTeX, comma-separated values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pandas as pd

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


def csv_text(frame: pd.DataFrame) -> str:
    """Comma-separated, with every float's shortest text that reads back to the same float."""
    return frame.to_csv(index=False, lineterminator="\n")


MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_<>|&~$"} | {"\n": " "})


def markdown_table(table: Table) -> list[str]:
    """Its lines in GitHub's Markdown."""
    rules = ["---:" if column.is_number else "---" for column in table.columns]
    head, *body = [[cell.translate(MARKDOWN) for cell in row] for row in [table.header, *table.rows]]
    return [f"| {' | '.join(cells)} |" for cells in [head, rules, *body]]


LATEX = str.maketrans(
    {character: f"\\{character}" for character in "%&_#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
    | {">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "]": "{]}", "\n": " ", MINUS: "$-$", TIMES: r"$\times$"}
    | {ONE_SEED: r"$\dagger$"}
    | {raised: rf"\textsuperscript{{{letter}}}" for letter, raised in RAISED.items()}
    | {"±": r"$\pm$", NOTHING: "--", "\N{EM DASH}": "---", "“": "``", "”": "''"}
)


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
    return rf"{' & '.join(cell.translate(LATEX) for cell in cells)} \\"
