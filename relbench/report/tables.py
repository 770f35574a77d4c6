"""Tables of a report: formatted cells, free of any syntax, in percent, points and words.

Lines of methods with their floors, pairs of methods, parts of a published table, and claims.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from relbench.analysis.methods import Floor, Method, Pair
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison
from relbench.plain_text import percent, signed
from relbench.report.wording import (
    NO_LOOK,
    NOTHING,
    bounds_cell,
    metric_cell,
    metric_title,
    net_name,
    pair_verdict,
    unseen,
    verdict,
)

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
    rows: tuple[tuple[str, ...], ...]  # one per line, with one cell per column

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


def method_table(summary: Summary) -> Table:
    """Table of one line per method, and below them the floors."""
    main, *further = sorted(summary.methods[0].metrics, key=lambda metric: metric != summary.primary)
    compared = (_metric_column(main, in_brief=True), *_comparison_columns(), *_columns_of_pairs(summary))
    table = filled((*_settings_columns(), *compared, *(_metric_column(metric) for metric in further)), summary.methods)
    floors = [_floor_cells(floor) for floor in summary.all_floors]
    lines = (tuple(cells.get(title, NOTHING) for title in table.header) for cells in floors)
    return Table(table.columns, (*table.rows, *lines))


def _floor_cells(floor: Floor) -> dict[str, str]:
    """What stands in a floor's line, by column; nothing in the others."""
    cells = {"Method": floor.label, "Net": floor.net or NOTHING, "Steps": "0"}
    parameters = {"Parameters": f"{floor.parameters:,}"} if floor.net else {}
    metrics = {metric_title(metric): metric_cell(metric, interval) for metric, interval in floor.metrics.items()}
    return cells | parameters | metrics


DIFFERENCE = "Difference, points"
BOUNDS = "95 %, points"
DETECTABLE = "Detectable, points"
PAIRS = (
    Column[Pair]("Method", lambda pair: pair.label, is_number=False),
    Column[Pair]("Against", lambda pair: pair.other, is_number=False),
    Column[Pair](DIFFERENCE, lambda pair: difference_cells(pair.comparison)[0]),
    Column[Pair](BOUNDS, lambda pair: difference_cells(pair.comparison)[1]),
    Column[Pair](DETECTABLE, lambda pair: detectable_cell(pair.comparison)),
    Column[Pair]("Verdict", pair_verdict, is_number=False),
)


def pair_table(summary: Summary) -> Table:
    """Table of methods against each other; without lines where no such comparison was asked for."""
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
    return Column(metric_title(metric), lambda method: metric_cell(metric, method.metrics[metric]), in_brief=in_brief)


def _comparison_columns() -> list[Column[Method]]:
    return [
        Column(DIFFERENCE, lambda method: difference_cells(method.against_teacher)[0], in_brief=True),
        Column(BOUNDS, lambda method: difference_cells(method.against_teacher)[1], in_brief=True),
        Column(DETECTABLE, lambda method: detectable_cell(method.against_teacher), in_brief=True),
        Column("Verdict", verdict, is_number=False, in_brief=True),
    ]


def _columns_of_pairs(summary: Summary) -> list[Column[Method]]:
    """The comparison with the method that all pairs are against, if there is one; else the table of pairs tells."""
    others = {pair.other for pair in summary.pairs}
    if len(others) != 1:
        return []
    (other,), pairs = others, {pair.label: pair for pair in summary.pairs}

    def compared(method: Method) -> Comparison | None:
        return pairs[method.label].comparison if method.label in pairs else None

    def judged(method: Method) -> str:
        return pair_verdict(pairs[method.label]) if method.label in pairs else NOTHING

    return [
        Column(f"Difference to {other}, points", lambda method: difference_cells(compared(method))[0]),
        Column(f"Verdict against {other}", judged, is_number=False),
    ]


def difference_cells(comparison: Comparison | None) -> tuple[str, str]:
    """The difference to the other, and its 95 % interval over new training runs and new classes at once."""
    if comparison is None:
        return NOTHING, NOTHING
    too_few = "one seed" if comparison.seeds == 1 else "one class"
    return signed(comparison.difference), bounds_cell(comparison.interval, NO_LOOK if unseen(comparison) else too_few)


def detectable_cell(comparison: Comparison | None) -> str:
    """The smallest true difference that would be shown with probability 0.8."""
    if comparison is None or comparison.detectable is None:
        return NOTHING
    return percent(comparison.detectable)
