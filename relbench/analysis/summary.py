"""What a report says, ready to be drawn: numbers and words, no statistics."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relbench.analysis.images import Distances, Examples
from relbench.evaluation.comparison import Comparison, Interval
from relbench.results.records import Plan, Role, Row


@dataclass(frozen=True)
class Method:
    """One line of the table and one curve of the plots."""

    label: str
    role: Role
    rows: tuple[Row, ...]  # one a seed
    metrics: dict[str, Interval]  # over seeds, in the order of the columns
    against_teacher: Comparison | None  # None for the teacher itself

    @property
    def row(self) -> Row:
        """Any one row: what does not depend on the seed (settings, parameters)."""
        return self.rows[0]


@dataclass(frozen=True)
class Pair:
    """A method against another one that is not the teacher: paired seeds, the same queries."""

    label: str
    other: str
    comparison: Comparison  # of `label` with `other`, where that says student and teacher


@dataclass(frozen=True)
class Floor:
    """What is reached without training: a line of the table that makes no claim and gets no verdict."""

    label: str
    net: str  # as in the table; "" for none
    parameters: int
    seeds: int
    metrics: dict[str, Interval]  # over seeds; without ends where nothing depends on a seed
    how: str  # a sentence: how images become vectors


@dataclass(frozen=True)
class Summary:
    """A study's whole result."""

    plan: Plan
    methods: tuple[Method, ...]  # in the plan's order, the teacher first
    seeds: tuple[int, ...]
    pairs: tuple[Pair, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)  # of every loss that was used: paper, code
    examples: Examples | None = None
    distances: Distances | None = None
    floors: tuple[Floor, ...] = ()
    shown_at: str = ""  # size of the test images, and what they are cut from
    missing: tuple[str, ...] = ()  # parts that the page can't show, a sentence each: which, why, and what to do
