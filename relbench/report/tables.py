"""The table of a study: one set of formatted cells, written in several syntaxes; and its numbers, unformatted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from rich import box
from rich.table import Table as ConsoleTable
from rich.text import Text

from relbench.comparison import Interval
from relbench.report.summary import Method, Summary
from relbench.report.wording import (
    MAIN,
    MINUS,
    NOTHING,
    TIMES,
    bounds_cell,
    counted,
    headline,
    mean_cell,
    metric_name,
    net_name,
    notes,
    signed,
    verdict,
)

P_VALUES = ("p_over_queries", "p_over_seeds", "p_value", "p_adjusted")


@dataclass(frozen=True)
class Column:
    """A column's title and what stands in it."""

    title: str
    cell: Callable[[Method], str]
    is_number: bool = True
    in_brief: bool = False  # belongs to what the comparison needs: a terminal or a printed page is narrow


@dataclass(frozen=True)
class Table:
    """Formatted cells, free of any syntax."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]  # one a method, one cell a column

    @property
    def header(self) -> list[str]:
        """The columns' titles."""
        return [column.title for column in self.columns]

    def part(self, *, in_brief: bool) -> "Table":
        """What the comparison needs, or the methods and everything else."""
        kept = [index for index, column in enumerate(self.columns) if column.in_brief == in_brief or index == 0]
        rows = tuple(tuple(row[index] for index in kept) for row in self.rows)
        return Table(tuple(self.columns[index] for index in kept), rows)


def formatted(summary: Summary) -> Table:
    """The table that people read: percent, points and words."""
    main, *further = sorted(summary.methods[0].metrics, key=lambda metric: metric != MAIN)
    compared = (_metric_column(main, in_brief=True), *_comparison_columns())
    columns = (*_settings_columns(), *compared, *(_metric_column(metric) for metric in further))
    return Table(columns, tuple(tuple(column.cell(method) for column in columns) for method in summary.methods))


def _settings_columns() -> list[Column]:
    return [
        Column("Method", lambda method: method.label, is_number=False, in_brief=True),
        Column("Net", net_name, is_number=False, in_brief=True),
        Column("Parameters", lambda method: f"{method.row.parameters:,}"),
        Column("Steps", lambda method: f"{method.row.experiment.protocol.steps:,}", in_brief=True),
        Column("Batch", lambda method: f"{method.row.experiment.protocol.batch_size:,}"),
    ]


def _metric_column(metric: str, *, in_brief: bool = False) -> Column:
    title = f"{metric_name(metric)}, %"
    return Column(title, lambda method: mean_cell(method.metrics[metric]), in_brief=in_brief)


def _comparison_columns() -> list[Column]:
    return [
        Column("Difference, points", _difference, in_brief=True),
        Column("95 % over queries", lambda method: _bounds(method, "over_queries"), in_brief=True),
        Column("95 % over seeds", lambda method: _bounds(method, "over_seeds"), in_brief=True),
        Column("Verdict", verdict, is_number=False, in_brief=True),
    ]


def _difference(method: Method) -> str:
    return signed(method.against_teacher.difference) if method.against_teacher else NOTHING


def _bounds(method: Method, over: str) -> str:
    return bounds_cell(getattr(method.against_teacher, over)) if method.against_teacher else NOTHING


def numbers(summary: Summary) -> pd.DataFrame:
    """The table that programs read: a line a method, metrics and differences as fractions, never percent."""
    frame = pd.DataFrame([_numbers_of(method) for method in summary.methods])
    return frame.astype({"width": "Int64"})  # whole also where some trunks have none


def _numbers_of(method: Method) -> dict[str, object]:
    experiment = method.row.experiment
    columns: dict[str, object] = {"method": method.label, "role": method.role}
    columns |= {name: getattr(experiment.net, name) for name in ("trunk", "width", "dim", "unit_length")}
    columns["parameters"] = method.row.parameters
    protocol = ("steps", "batch_size", "images_per_class", "selection")
    columns |= {name: getattr(experiment.protocol, name) for name in protocol}
    columns["seeds"] = len(method.rows)
    for metric, interval in method.metrics.items():
        columns |= {metric: interval.mean, **_bound_columns(metric, interval)}
    return columns | _comparison_numbers(method)


def _comparison_numbers(method: Method) -> dict[str, object]:
    comparison = method.against_teacher
    return {
        "difference_to_teacher": comparison.difference if comparison else None,
        **_bound_columns("difference_over_queries", comparison.over_queries if comparison else None),
        **_bound_columns("difference_over_seeds", comparison.over_seeds if comparison else None),
        **{name: getattr(comparison, name) if comparison else None for name in P_VALUES},
        "verdict": comparison.verdict if comparison else "",
    }


def _bound_columns(name: str, interval: Interval | None) -> dict[str, object]:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {f"{name}_95_low": low, f"{name}_95_high": high}


def csv_text(frame: pd.DataFrame) -> str:
    """Comma-separated, with every float's shortest text that reads back to the same float."""
    return frame.to_csv(index=False, lineterminator="\n")


MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_<>|&~$"} | {"\n": " "})


def markdown_text(summary: Summary) -> str:
    """Title, headline, table and notes in GitHub's Markdown."""
    table = formatted(summary)
    rules = ["---:" if column.is_number else "---" for column in table.columns]
    body = [[cell.translate(MARKDOWN) for cell in row] for row in table.rows]
    lines = [f"| {' | '.join(cells)} |" for cells in [table.header, rules, *body]]
    words = [text.translate(MARKDOWN) for text in (summary.plan.title, headline(summary))]
    listed = [f"- {note.translate(MARKDOWN)}" for note in notes(summary)]
    return "\n".join([f"# {words[0]}", "", words[1], "", *lines, "", *listed, ""])


LATEX = str.maketrans(
    {character: f"\\{character}" for character in "%&_#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
    | {">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "]": "{]}", "\n": " ", MINUS: "$-$", TIMES: r"$\times$"}
    | {"±": r"$\pm$", NOTHING: "--", "\N{EM DASH}": "---", "“": "``", "”": "''"}
)


def latex_text(summary: Summary) -> str:
    r"""Two floats for \input, in booktabs' style; labels outside pdfLaTeX's letters need LuaLaTeX.

    The comparison with the notes, and the further metrics: one table of all would be too wide for a page, and both in
    one float too high where there are twenty methods.
    """
    table, title = formatted(summary), summary.plan.title.translate(LATEX)
    words = [r"\par\medskip\raggedright", *(note.translate(LATEX) for note in notes(summary))]
    floats = [
        *_latex_float(title, [*_latex_table(table.part(in_brief=True)), *words]),
        *_latex_float(f"{title}: size, batch and further metrics", _latex_table(table.part(in_brief=False))),
    ]
    return "\n".join([r"% needs \usepackage{booktabs,graphicx}", *floats, ""])


def _latex_float(caption: str, body: Sequence[str]) -> list[str]:
    head = rf"\centering\footnotesize\setlength{{\tabcolsep}}{{3pt}}\caption{{{caption}}}"
    return [r"\begin{table}", head, r"\par\smallskip", *body, r"\end{table}"]


def _latex_table(table: Table) -> list[str]:
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


def table_text(summary: Summary) -> ConsoleTable:
    """What the comparison needs, with the notes below; fits a terminal of 80 letters without breaking a number."""
    caption = Text("\n".join(notes(summary)), justify="left")
    console = ConsoleTable(title=Text(summary.plan.title), caption=caption, box=box.SIMPLE_HEAD, title_justify="left")
    console.pad_edge = console.show_edge = False
    console.padding = (0, 1, 0, 0)
    console.add_column("Method", overflow="fold")
    for title in (f"{metric_name(MAIN)},\n%", "Diff.,\npoints", "95 % over\nqueries", "95 % over\nseeds"):
        console.add_column(title, justify="right", no_wrap=True)
    console.add_column("Verdict", width=len("does not"))
    for method in summary.methods:
        console.add_row(*_console_cells(method))
    return console


def _console_cells(method: Method) -> list[Text]:
    """The method's name with net and budget below it, then numbers and verdict."""
    budget = f"{net_name(method)}\n{counted(method.row.experiment.protocol.steps, 'step')}"
    numbers = (mean_cell(method.metrics[MAIN]), _difference(method))
    bounds = (_bounds(method, "over_queries"), _bounds(method, "over_seeds"))
    return [
        Text.assemble(f"{method.label}\n", (budget, "dim")),
        *map(Text, (*numbers, *bounds)),
        _console_verdict(method),
    ]


def _console_verdict(method: Method) -> Text:
    comparison = method.against_teacher
    if comparison is None:
        return Text(NOTHING)
    return Text.assemble(f"{comparison.verdict}\n", (counted(comparison.seeds, "seed"), "dim"))
