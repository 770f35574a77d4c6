"""What the report of a printed table says, ready to be drawn: the paper's numbers, ours, and the claims' answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from relbench.analysis.summary import Floor
from relbench.evaluation.comparison import Interval
from relbench.results.records import Selection

Answer = Literal["holds", "does not", "not enough runs"]


@dataclass(frozen=True)
class Ours:
    """What we measured for a number, under one rule of selection."""

    values: tuple[float, ...]  # by seed, in [0, 1]
    seeds: tuple[int, ...]
    interval: Interval  # over seeds
    steps: tuple[int, ...]  # by seed: the step that the rule chose


@dataclass(frozen=True)
class Cell:
    """A number of the table: where it stands, what the paper prints there, what we measured."""

    part: str
    row: str
    column: str
    metric: str  # such as "recall@1"
    path: str  # of our network, such as "cub200/rkd-da/64"; "" where the number is another paper's
    on: str  # the data set measured on, where it is not the one trained on
    printed: float | None  # in [0, 1]; None: no such number was published
    ours: Mapping[Selection, Ours]  # without a rule where nothing is finished, or the rule can't be applied
    note: str = ""  # in what our network cannot be what the paper had

    def difference(self, rule: Selection) -> float | None:
        """Ours minus the paper's, where there are both."""
        if self.printed is None or rule not in self.ours:
            return None
        return self.ours[rule].interval.mean - self.printed


@dataclass(frozen=True)
class AnsweredClaim:
    """A claim of the paper, and what our rows say to it."""

    text: str
    answer: Answer
    detail: str  # how many of the comparisons, over how many seeds


@dataclass(frozen=True)
class PrintedSummary:
    """A printed table with our numbers in it."""

    name: str  # the study's, such as "rkd-table1"
    title: str
    source: str  # the paper
    protocol: str  # "paper" or "fair"
    scale: str  # "full", or "toy": numbers that only show that everything runs
    shown: tuple[Selection, ...]  # rules of selection in the table; the difference is that of the first
    cells: tuple[Cell, ...]  # in the table's order
    claims: tuple[AnsweredClaim, ...]
    notes: tuple[str, ...]  # what a reader must know: deviations, changed settings, chosen rates, rows left out
    floors: Mapping[str, tuple[Floor, ...]] = field(default_factory=dict)  # by data set, where they were measured
    changes: str = ""  # settings that are not the protocol's, such as "data.size = 128, training.steps = 2"

    @property
    def is_printed(self) -> bool:
        """Whether any of its numbers is published: else nothing of the paper's can stand beside ours."""
        return any(cell.printed is not None for cell in self.cells)

    @property
    def finished_rules(self) -> tuple[Selection, ...]:
        """The rules shown that any of its numbers has."""
        return tuple(rule for rule in self.shown if any(rule in cell.ours for cell in self.cells))
