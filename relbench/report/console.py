"""Tables of a report on a terminal of 80 letters, without breaking a number."""

from collections.abc import Sequence
from textwrap import fill

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as ConsoleTable
from rich.text import Text

from relbench.analysis.cells import FilledCell
from relbench.analysis.methods import Method
from relbench.analysis.power import FamilyPlan
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison
from relbench.evaluation.metric_names import metric_name
from relbench.plain_text import counted, many, one_line
from relbench.report.grids import (
    FLOORS,
    Part,
    claim_detail,
    decimals,
    difference_text,
    formatted_parts,
    ours_text,
    paper_text,
    parts,
    rows,
)
from relbench.report.headline import outcome
from relbench.report.notes import notes, pair_note
from relbench.report.power import BEFORE_NEEDS, family_title, power_table
from relbench.report.reading import claims_caution, claims_title, footnotes, how_measured, marks, reading
from relbench.report.tables import detectable_cell, difference_cells, pair_table
from relbench.report.wording import (
    BRIEF,
    NOTHING,
    PAIRS_TITLE,
    TOY,
    full_title,
    mean_cell,
    net_name,
    rests_on,
    verdict_word,
)

FLOOR_COLUMNS = 4  # that fit
NARROW = 14  # letters of a mean with its interval
COMPARED = ("Diff.,\npoints", "95 %,\npoints", "Detec-\ntable")


def console_report(summary: Summary) -> Group:
    """Everything that a terminal shows of a summary: methods, pairs of them, cells with claims."""
    tables: list[RenderableType] = [method_console(summary)] if summary.methods else []
    tables += [Text(), pair_console(summary)] if summary.pairs else []
    return Group(*tables, *([_cells(summary)] if summary.cells else []))


def _narrow(title: str) -> str:
    """A column's title in lines that are no wider than its numbers, where words allow it; its unit stands alone."""
    name, comma, unit = title.rpartition(", ")
    return f"{fill(name, NARROW, break_long_words=False, break_on_hyphens=False)}{comma.strip()}\n{unit}"


def _empty(title: str, first: str, numbers: Sequence[str], below: Sequence[str] = ()) -> ConsoleTable:
    """A table without lines: a column of names, and columns of numbers."""
    caption = Text("\n".join(map(one_line, below)), justify="left") if below else None
    console = ConsoleTable(title=Text(title), caption=caption, box=box.SIMPLE_HEAD, title_justify="left")
    console.pad_edge = console.show_edge = False
    console.padding = (0, 1, 0, 0)
    console.add_column(first, overflow="fold")
    for number in numbers:
        console.add_column(number, justify="right", no_wrap=True)
    return console


def power_console(plan: FamilyPlan, group: str) -> ConsoleTable:
    """A family of comparisons, with how many seeds they need; what is in brackets stands below its number."""
    table = power_table(plan, group)
    needs = [
        column.title.replace("Seeds for ", "For ").replace(" ", "\n", 1) for column in table.columns[BEFORE_NEEDS:]
    ]
    columns = ["Detectable\n(alone)", "Between\nseeds\n(rest)", many(group).capitalize().replace(" ", "\n", 1), *needs]
    console = _empty(one_line(family_title(plan)), "", columns)
    for label, seeds, least, alone, own, rest, groups, *others in table.rows:
        below = "no variance known" if seeds == NOTHING else counted(int(seeds), "seed")
        cells = [f"{least}\n({alone})", f"{own}\n({rest})", groups, *(cell.replace(" (", "\n(") for cell in others)]
        console.add_row(Text.assemble(f"{one_line(label)}\n", (below, "dim")), *map(Text, cells))
    return console


def _compared(title: str, numbers: Sequence[str], below: Sequence[str]) -> ConsoleTable:
    """A table of methods, without lines, that ends with their verdicts."""
    console = _empty(one_line(title), "Method", numbers, below)
    console.add_column("Verdict", width=len("Holm p = 0.052"))
    return console


def method_console(summary: Summary) -> ConsoleTable:
    """The table of methods with what the comparison needs, and the notes below."""
    columns = [_narrow(f"{metric_name(summary.primary)}, %"), *COMPARED]
    console = _compared(full_title(summary), columns, notes(summary))
    for method in summary.methods:
        console.add_row(*_method_cells(method, summary.primary))
    for floor in summary.all_floors:
        name = Text.assemble(f"{floor.label}\n", (floor.net or "no net", "dim"))
        console.add_row(name, mean_cell(floor.metrics[summary.primary]), *[NOTHING] * (len(COMPARED) + 1))
    return console


def _method_cells(method: Method, primary: str) -> list[Text]:
    """The method's name with net and budget below it, then numbers and verdict."""
    budget = f"{net_name(method)}\n{counted(method.row.experiment.total_steps, 'step')}"
    return [
        Text.assemble(f"{one_line(method.label)}\n", (budget, "dim")),
        *map(Text, (mean_cell(method.metrics[primary]), *difference_cells(method.against_teacher))),
        Text(detectable_cell(method.against_teacher)),
        _verdict(method.against_teacher),
    ]


def _verdict(comparison: Comparison | None) -> Text:
    if comparison is None:
        return Text(NOTHING)
    return Text.assemble(f"{verdict_word(comparison)}\n", (rests_on(comparison), "dim"))


def pair_console(summary: Summary) -> ConsoleTable:
    """Methods against each other."""
    console = _compared(PAIRS_TITLE, COMPARED, [pair_note(summary)])
    for pair, (label, other, *numbers, _) in zip(summary.pairs, pair_table(summary).rows, strict=True):
        name = Text.assemble(f"{one_line(label)}\n", (f"against {one_line(other)}", "dim"))
        console.add_row(name, *map(Text, numbers), _verdict(pair.comparison))
    return console


def _cells(summary: Summary) -> Group:
    """One line per cell, under the names of its part and row; then floors, claims and notes."""
    toy = [Text(TOY, style="bold")] if summary.is_toy else []
    head = [Text(full_title(summary), style="bold"), *toy, Text(how_measured(summary)), Text(outcome(summary))]
    tables = [_part(title, cells, summary) for title, cells in parts(summary).items()]
    tables += [_floors(part) for part in formatted_parts(summary) if part.title == FLOORS]
    below = "\n".join([*footnotes(summary), *reading(summary), *summary.notes])
    return Group(*head, *tables, *_claims(summary), Text(below, style="dim"))


def _part(title: str, cells: Sequence[FilledCell], summary: Summary) -> ConsoleTable:
    ours = [f"Ours,\n{BRIEF[rule]}" for rule in summary.shown]
    console = _empty(f"\n{title}", "", ["Paper", *ours, "Diff.,\npoints"] if summary.has_published else ours)
    for row, numbers in rows(cells).items():
        console.add_row(Text(row, style="bold"))
        for cell in numbers:
            console.add_row(*_numbers(cell, summary, decimals(cells)))
    return console


def _numbers(cell: FilledCell, summary: Summary, places: int) -> list[Text]:
    name = Text(f"  {cell.column}")
    marked = marks(summary)
    paper = [Text(paper_text(cell, places) + marked.get(cell.doubt, ""))] if summary.has_published else []
    if not cell.path:
        return [name, *paper]
    first, *others = (ours_text(cell, rule, places) for rule in summary.shown)
    ours = [Text(first + marked.get(cell.note, "")), *map(Text, others)]
    difference = [Text(difference_text(cell, summary.shown[0], places))] if summary.has_published else []
    return [name, *paper, *ours, *difference]


def _floors(part: Part) -> ConsoleTable:
    """As many of the columns as fit; the files have them all."""
    columns = [_narrow(name) for name in part.columns[:FLOOR_COLUMNS]]
    console = _empty(f"\n{part.title}", "", columns)
    for block in part.blocks:
        console.add_row(Text(block.row, style="bold"))
        for line in block.lines:
            console.add_row(Text(f"  {line.what}"), *map(Text, line.cells[:FLOOR_COLUMNS]))
    return console


def _claims(summary: Summary) -> list[Text]:
    if not summary.claims:
        return []
    caution = [Text(words) for words in claims_caution(summary)]
    claims = [
        Text.assemble((claim.answer, "bold"), f": {claim.text} ", (f"({claim_detail(claim)})", "dim"))
        for claim in summary.claims
    ]
    return [Text(f"\n{claims_title(summary)}"), *caution, *claims]
