"""Tables in the formats of files: GitHub's Markdown, LaTeX, comma-separated values."""

import re
from collections.abc import Sequence

import pandas as pd

from relbench.plain_text import MINUS, one_line, visible
from relbench.report.tables import Table
from relbench.report.wording import NOTHING, ONE_SEED, RAISED, TIMES

FORMULA = re.compile(
    r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
)  # what a cell begins with that a spreadsheet would compute


def csv_text(frame: pd.DataFrame) -> str:
    """Comma-separated, with every float's shortest text that reads back to the same float.

    A text that a spreadsheet would take for a formula has an apostrophe before it, as OWASP advises (CSV injection).
    """
    texts = frame.select_dtypes(exclude="number")  # pandas 2 would map whole numbers beside gaps to floats
    written = frame.assign(**{str(name): column.map(_csv_cell) for name, column in texts.items()})
    return written.rename(columns=_csv_cell).to_csv(index=False, lineterminator="\n")


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
    head, *body = [[latex(cell) for cell in cells] for cells in [table.header, *table.rows]]
    tabular = pd.DataFrame(body, columns=head).to_latex(index=False, escape=False, column_format=kinds)
    return [
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        *tabular.splitlines()[:-1],
        r"\end{tabular}}",
    ]
