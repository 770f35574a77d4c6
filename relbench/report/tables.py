"""The table of a study: one set of formatted cells, written in several syntaxes; and its numbers, unformatted."""

from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.table import Table as ConsoleTable
from rich.text import Text

from relbench.analysis.methods import Floor, Method, Pair
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison, Interval
from relbench.plain_text import counted, one_line
from relbench.report.headline import headline
from relbench.report.notes import notes, pair_note
from relbench.report.syntax import (
    Column,
    Table,
    filled,
    latex,
    latex_float,
    latex_table,
    markdown_line,
    markdown_table,
)
from relbench.report.wording import (
    MAIN,
    NOTHING,
    PAIRS_TITLE,
    bounds_cell,
    mean_cell,
    metric_name,
    net_name,
    pair_verdict,
    rests_on,
    signed,
    verdict,
)

P_VALUES = ("p_over_queries", "p_over_seeds", "p_value", "p_adjusted")


def formatted(summary: Summary) -> Table:
    """The table that people read: percent, points and words; the floors below the methods."""
    main, *further = sorted(summary.methods[0].metrics, key=lambda metric: metric != MAIN)
    compared = (_metric_column(main, in_brief=True), *_comparison_columns())
    table = filled((*_settings_columns(), *compared, *(_metric_column(metric) for metric in further)), summary.methods)
    floors = [_floor_cells(floor) for floor in summary.all_floors]
    lines = (tuple(cells.get(title, NOTHING) for title in table.header) for cells in floors)
    return Table(table.columns, (*table.rows, *lines))


def _floor_cells(floor: Floor) -> dict[str, str]:
    """What stands in a floor's line, by column; nothing in the others."""
    cells = {"Method": floor.label, "Net": floor.net or NOTHING, "Steps": "0"}
    parameters = {"Parameters": f"{floor.parameters:,}"} if floor.net else {}
    metrics = {_metric_title(metric): mean_cell(interval) for metric, interval in floor.metrics.items()}
    return cells | parameters | metrics


PAIRS = (
    Column[Pair]("Method", lambda pair: pair.label, is_number=False),
    Column[Pair]("Against", lambda pair: pair.other, is_number=False),
    Column[Pair]("Difference, points", lambda pair: signed(pair.comparison.difference)),
    Column[Pair]("95 % over queries", lambda pair: bounds_cell(pair.comparison.over_queries, "one class")),
    Column[Pair]("95 % over seeds", lambda pair: bounds_cell(pair.comparison.over_seeds)),
    Column[Pair]("Verdict", pair_verdict, is_number=False),
)


def formatted_pairs(summary: Summary) -> Table:
    """Methods against each other; without lines where no such comparison was asked for."""
    return filled(PAIRS, summary.pairs)


def _settings_columns() -> list[Column[Method]]:
    return [
        Column("Method", lambda method: method.label, is_number=False, in_brief=True),
        Column("Net", net_name, is_number=False, in_brief=True),
        Column("Parameters", lambda method: f"{method.row.parameters:,}"),
        Column("Steps", lambda method: f"{method.row.experiment.total_steps:,}", in_brief=True),
        Column("Batch", lambda method: f"{method.row.experiment.training.batch_size:,}"),
    ]


def _metric_column(metric: str, *, in_brief: bool = False) -> Column[Method]:
    return Column(_metric_title(metric), lambda method: mean_cell(method.metrics[metric]), in_brief=in_brief)


def _metric_title(metric: str) -> str:
    return f"{metric_name(metric)}, %"


def _comparison_columns() -> list[Column[Method]]:
    return [
        Column("Difference, points", _difference, in_brief=True),
        Column("95 % over queries", _over_queries, in_brief=True),
        Column("95 % over seeds", _over_seeds, in_brief=True),
        Column("Verdict", verdict, is_number=False, in_brief=True),
    ]


def _difference(method: Method) -> str:
    return signed(method.against_teacher.difference) if method.against_teacher else NOTHING


def _over_queries(method: Method) -> str:
    return bounds_cell(method.against_teacher.over_queries, "one class") if method.against_teacher else NOTHING


def _over_seeds(method: Method) -> str:
    return bounds_cell(method.against_teacher.over_seeds) if method.against_teacher else NOTHING


def numbers(summary: Summary) -> pd.DataFrame:
    """The table that programs read: one line per method and floor, metrics and differences as fractions."""
    methods = [_numbers_of(method) for method in summary.methods]
    frame = pd.DataFrame([*methods, *map(_floor_numbers, summary.all_floors)])
    whole = ("width", "dim", "batch_size", "images_per_class")  # though some cells are empty
    return frame.astype(dict.fromkeys(whole, "Int64"))


def _floor_numbers(floor: Floor) -> dict[str, object]:
    columns: dict[str, object] = {"method": floor.label, "role": "floor", "parameters": floor.parameters, "steps": 0}
    columns["seeds"] = floor.seeds
    for metric, interval in floor.metrics.items():
        columns |= {metric: interval.mean, **_bound_columns(metric, interval)}
    return columns


def _numbers_of(method: Method) -> dict[str, object]:
    experiment = method.row.experiment
    columns: dict[str, object] = {"method": method.label, "role": method.role}
    columns |= {name: getattr(experiment.net, name) for name in ("trunk", "width", "dim", "unit_length")}
    columns["parameters"] = method.row.parameters
    columns["steps"] = experiment.total_steps
    training = ("batch_size", "images_per_class", "selection")
    columns |= {name: getattr(experiment.training, name) for name in training}
    columns["seeds"] = len(method.rows)
    for metric, interval in method.metrics.items():
        columns |= {metric: interval.mean, **_bound_columns(metric, interval)}
    return columns | _compared(method.against_teacher, "difference_to_teacher")


def pair_numbers(summary: Summary) -> pd.DataFrame:
    """The same for methods against each other: a line a pair."""
    lines = [
        {"method": pair.label, "against": pair.other, **_compared(pair.comparison, "difference")}
        for pair in summary.pairs
    ]
    return pd.DataFrame(lines or None, columns=None if lines else ["method", "against"])


def _compared(comparison: Comparison | None, difference: str) -> dict[str, object]:
    return {
        difference: comparison.difference if comparison else None,
        **_bound_columns("difference_over_queries", comparison.over_queries if comparison else None),
        **_bound_columns("difference_over_seeds", comparison.over_seeds if comparison else None),
        **{name: getattr(comparison, name) if comparison else None for name in P_VALUES},
        "verdict": comparison.verdict if comparison else "",
    }


def _bound_columns(name: str, interval: Interval | None) -> dict[str, object]:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {f"{name}_95_low": low, f"{name}_95_high": high}


def markdown_text(summary: Summary) -> str:
    """Title, headline, tables and notes in GitHub's Markdown."""
    words = [markdown_line(text) for text in (summary.title, headline(summary))]
    listed = [f"- {markdown_line(note)}" for note in notes(summary)]
    text = [f"# {words[0]}", "", words[1], "", *markdown_table(formatted(summary)), "", *listed, ""]
    return "\n".join([*text, *_markdown_pairs(summary)])


def _markdown_pairs(summary: Summary) -> list[str]:
    if not summary.pairs:
        return []
    table = markdown_table(formatted_pairs(summary))
    return [f"## {PAIRS_TITLE}", "", *table, "", f"- {markdown_line(pair_note(summary))}", ""]


def latex_text(summary: Summary) -> str:
    r"""Floats for \input, in booktabs' style; labels outside pdfLaTeX's letters need LuaLaTeX.

    The comparison with the notes, the further metrics, and methods against each other. One table of all would be too
    wide for a page, and all in one float too high where there are twenty methods.
    """
    table, title = formatted(summary), latex(summary.title)
    words = [r"\par\medskip\raggedright", *(latex(note) for note in notes(summary))]
    floats = [
        *latex_float(title, [*latex_table(table.part(in_brief=True)), *words]),
        *latex_float(f"{title}: size, batch and further metrics", latex_table(table.part(in_brief=False))),
        *_latex_pairs(summary, title),
    ]
    return "\n".join([r"% needs \usepackage{booktabs,graphicx}", *floats, ""])


def _latex_pairs(summary: Summary, title: str) -> list[str]:
    if not summary.pairs:
        return []
    words = [r"\par\medskip\raggedright", latex(pair_note(summary))]
    caption = f"{title}: {PAIRS_TITLE.lower()}"
    return latex_float(caption, [*latex_table(formatted_pairs(summary)), *words])


def table_text(summary: Summary) -> ConsoleTable:
    """What the comparison needs, with the notes below; fits a terminal of 80 letters without breaking a number."""
    console = _console(summary.title, notes(summary), [f"{metric_name(MAIN)},\n%", *COMPARED])
    for method in summary.methods:
        console.add_row(*_console_cells(method))
    for floor in summary.all_floors:
        name = Text.assemble(f"{floor.label}\n", (floor.net or "no net", "dim"))
        console.add_row(name, mean_cell(floor.metrics[MAIN]), *[NOTHING] * (len(COMPARED) + 1))
    return console


def pairs_text(summary: Summary) -> ConsoleTable | None:
    """Methods against each other, likewise; None where no such comparison was asked for."""
    if not summary.pairs:
        return None
    console = _console(PAIRS_TITLE, [pair_note(summary)], COMPARED)
    for pair, (label, other, *numbers, _) in zip(summary.pairs, formatted_pairs(summary).rows, strict=True):
        name = Text.assemble(f"{one_line(label)}\n", (f"against {one_line(other)}", "dim"))
        console.add_row(name, *map(Text, numbers), _console_verdict(pair.comparison))
    return console


COMPARED = ("Diff.,\npoints", "95 % over\nqueries", "95 % over\nseeds")


def _console(title: str, below: Sequence[str], numbers: Sequence[str]) -> ConsoleTable:
    """An empty table of methods, such numbers, and verdicts."""
    caption = Text("\n".join(map(one_line, below)), justify="left")
    console = ConsoleTable(title=Text(one_line(title)), caption=caption, box=box.SIMPLE_HEAD, title_justify="left")
    console.pad_edge = console.show_edge = False
    console.padding = (0, 1, 0, 0)
    console.add_column("Method", overflow="fold")
    for number in numbers:
        console.add_column(number, justify="right", no_wrap=True)
    console.add_column("Verdict", width=len("Holm p = 0.052"))
    return console


def _console_cells(method: Method) -> list[Text]:
    """The method's name with net and budget below it, then numbers and verdict."""
    budget = f"{net_name(method)}\n{counted(method.row.experiment.total_steps, 'step')}"
    numbers = (mean_cell(method.metrics[MAIN]), _difference(method))
    bounds = (_over_queries(method), _over_seeds(method))
    return [
        Text.assemble(f"{one_line(method.label)}\n", (budget, "dim")),
        *map(Text, (*numbers, *bounds)),
        _console_verdict(method.against_teacher),
    ]


def _console_verdict(comparison: Comparison | None) -> Text:
    if comparison is None:
        return Text(NOTHING)
    return Text.assemble(f"{comparison.verdict}\n", (rests_on(comparison), "dim"))
