"""Grids of a report: for each row of a published table a line of its numbers, of ours, of the difference."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from relbench.analysis.cells import AnsweredClaim, FilledCell
from relbench.analysis.methods import Floor
from relbench.analysis.summary import Summary
from relbench.evaluation.metric_names import metric_name
from relbench.plain_text import counted, p_value, percent, signed
from relbench.report.reading import marks
from relbench.report.tables import Column, Table, filled
from relbench.report.wording import NO_LOOK, NOTHING, ONE_SEED, bounds_cell, decided_in_words, mean_cell, unseen
from relbench.results.records import Selection

PAPER, DIFFERENCE = "paper", "difference"
FLOORS = "Floors: without training"
OURS: dict[Selection, str] = {
    "last": "ours, last step",
    "validation": "ours, best on validation",
    "test": "ours, best on test: peeking",
}


@dataclass(frozen=True)
class GridLine:
    """Numbers on one line of a grid."""

    what: str  # the paper's, ours, their difference
    cells: tuple[str, ...]  # by column; empty where there is no such number


@dataclass(frozen=True)
class Block:
    """Lines that stand for one row of the published table."""

    row: str
    lines: tuple[GridLine, ...]


@dataclass(frozen=True)
class Part:
    """Sub-table of a published table."""

    title: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]

    def split(self, most: int) -> list["Part"]:
        """Pieces of at most `most` columns, about equally wide, without the blocks that are empty there."""
        pieces = math.ceil(len(self.columns) / most)
        bounds = [len(self.columns) * piece // pieces for piece in range(pieces + 1)]
        return [self._piece(*bound) for bound in pairwise(bounds)] if pieces > 1 else [self]

    def _piece(self, start: int, end: int) -> "Part":
        cut = [[GridLine(line.what, line.cells[start:end]) for line in block.lines] for block in self.blocks]
        blocks = [Block(block.row, tuple(lines)) for block, lines in zip(self.blocks, cut, strict=True)]
        kept = tuple(block for block in blocks if any(any(line.cells) for line in block.lines))
        title = f"{self.title}, columns {start + 1} to {end} of {len(self.columns)}"
        return Part(title, self.columns[start:end], kept)

    @property
    def table(self) -> Table:
        """Its lines, with the name of a row before the first of them."""
        names = (
            Column[tuple[str, GridLine]]("", lambda line: line[0], is_number=False),
            Column[tuple[str, GridLine]]("", lambda line: line[1].what, is_number=False),
        )
        numbers = tuple(_column(title, index) for index, title in enumerate(self.columns))
        lines = [("" if at else block.row, line) for block in self.blocks for at, line in enumerate(block.lines)]
        return filled((*names, *numbers), lines)


def _column(title: str, index: int) -> Column[tuple[str, GridLine]]:
    return Column(title, lambda line: line[1].cells[index])


def parts(summary: Summary) -> dict[str, list[FilledCell]]:
    """The numbers of each sub-table."""
    return {title: [cell for cell in summary.cells if cell.part == title] for title in _names(summary.cells, "part")}


def rows(cells: Sequence[FilledCell]) -> dict[str, list[FilledCell]]:
    """The numbers of each row of a sub-table, which need not stand beside each other."""
    return {row: [cell for cell in cells if cell.row == row] for row in _names(cells, "row")}


def _names(cells: Iterable[FilledCell], where: Literal["part", "row", "column"]) -> list[str]:
    """In the table's order, each once."""
    return list(dict.fromkeys(getattr(cell, where) for cell in cells))


def formatted_parts(summary: Summary) -> list[Part]:
    """The sub-tables that people read, in percent and points."""
    marked = marks(summary)
    numbers = [_part(title, cells, summary, marked) for title, cells in parts(summary).items()]
    return [*numbers, *([_floors(summary)] if summary.floors and not summary.methods else [])]


def _floors(summary: Summary) -> Part:
    """What is reached without training, by data set, in the metrics that the table has."""
    asked = {cell.metric for cell in summary.cells if cell.path}
    measured = dict.fromkeys(name for floors in summary.floors.values() for floor in floors for name in floor.metrics)
    metrics = [name for name in measured if name in asked]
    blocks = [
        Block(data, tuple(GridLine(floor.label, _floor_texts(floor, metrics)) for floor in floors))
        for data, floors in summary.floors.items()
    ]
    return Part(FLOORS, tuple(f"{metric_name(name)}, %" for name in metrics), tuple(blocks))


def _floor_texts(floor: Floor, metrics: Sequence[str]) -> tuple[str, ...]:
    return tuple(mean_cell(floor.metrics[name]) if name in floor.metrics else "" for name in metrics)


def _part(title: str, cells: Sequence[FilledCell], summary: Summary, marked: Mapping[str, str]) -> Part:
    columns, places = tuple(_names(cells, "column")), decimals(cells)
    blocks = []
    for row, numbers in rows(cells).items():
        published = any(cell.published is not None for cell in numbers)
        there = {
            cell.column: _texts(cell, summary, places, marked, published=published or not cell.path) for cell in numbers
        }
        names = dict.fromkeys(name for texts in there.values() for name in texts)
        lines = [GridLine(name, tuple(there.get(column, {}).get(name, "") for column in columns)) for name in names]
        blocks.append(Block(row, tuple(lines)))
    return Part(title, columns, tuple(blocks))


def _texts(
    cell: FilledCell, summary: Summary, places: int, marked: Mapping[str, str], *, published: bool
) -> dict[str, str]:
    """What a number has on each of its row's lines; another paper's has the first alone.

    `published`: whether any number of the row is; else it has no lines for such.
    """
    texts, first = {PAPER: paper_text(cell, places) + marked.get(cell.doubt, "")}, summary.shown[0]
    if cell.path:
        texts |= {OURS[rule]: ours_text(cell, rule, places) for rule in summary.shown}
        texts[OURS[first]] += marked.get(cell.note, "")
        texts[DIFFERENCE] = difference_text(cell, first, places)
    empty = () if published else (PAPER, DIFFERENCE)
    return {name: text for name, text in texts.items() if name not in empty}


def decimals(cells: Iterable[FilledCell]) -> int:
    """As many as the paper prints in a sub-table: two where any of its numbers, or of their intervals, has two."""
    numbers = [number for cell in cells for number in (cell.published, cell.published_interval)]
    printed = [100 * number for number in numbers if number is not None]
    return 2 if any(abs(value - round(value, 1)) > 1e-6 for value in printed) else 1


def paper_text(cell: FilledCell, places: int) -> str:
    """The paper's number, in percent, with its interval where one is printed."""
    if cell.published is None:
        return NOTHING
    half = "" if cell.published_interval is None else f" ± {percent(cell.published_interval, places)}"
    return f"{percent(cell.published, places)}{half}"


def ours_text(cell: FilledCell, rule: Selection, places: int) -> str:
    """Our mean and interval, in percent; a single seed is marked.

    Beside a number that is printed with an interval, ours of the same kind follows.
    """
    if rule not in cell.ours:
        return NOTHING
    ours, single = cell.ours[rule], len(cell.ours[rule].seeds) == 1
    half = None if cell.published_interval is None else ours.over_groups
    beside = "" if half is None else f" (± {percent(half, places)})"
    return mean_cell(ours.interval, places) + (ONE_SEED if single else "") + beside


def difference_text(cell: FilledCell, rule: Selection, places: int) -> str:
    """Ours minus the paper's, in points."""
    difference = cell.difference(rule)
    return NOTHING if difference is None else signed(difference, places)


def claim_detail(claim: AnsweredClaim) -> str:
    """What an answer rests on: the difference with its interval, in points, and p; or how many comparisons say so."""
    difference = claim.difference
    if difference is None:
        return claim.detail
    points = f"{signed(difference.interval.mean)} points"
    seeds = counted(difference.seeds, "seed")
    if difference.of_networks and difference.of_networks.low is not None:
        return f"{points} {bounds_cell(difference.of_networks)} for these networks alone, {seeds}: no verdict"
    if difference.p_adjusted is None:
        return f"{points}, {seeds}: {NO_LOOK if unseen(difference) else 'no interval'}"
    holm = "Holm " if difference.family > 1 else ""
    over = "" if difference.over_groups else ", over training runs alone"
    bounds = bounds_cell(difference.interval)
    decided = decided_in_words(difference.decision)
    return f"{points} {bounds}, {holm}{p_value(difference.p_adjusted)}{decided}, {seeds}{over}"


CLAIMS = (
    Column[AnsweredClaim]("Claim", lambda claim: claim.text, is_number=False),
    Column[AnsweredClaim]("Our runs", lambda claim: claim.answer, is_number=False),
    Column[AnsweredClaim]("Detail", claim_detail, is_number=False),
)


def claim_table(summary: Summary) -> Table:
    """Table of claims and of what our runs say to them."""
    return filled(CLAIMS, summary.claims)
