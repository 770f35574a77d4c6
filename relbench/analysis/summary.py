"""Summary of a study, ready to be drawn: numbers and words, no statistics.

It is validated when it is made, so that a hole or an impossible number in it never becomes a cell of a report.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from relbench.analysis.cells import AnsweredClaim, FilledCell, cell_problems, claim_problems
from relbench.analysis.images import Distances, Examples
from relbench.analysis.methods import (
    Floor,
    Method,
    Pair,
    comparison_problems,
    floor_problems,
    method_problems,
    other_metrics,
)
from relbench.experiment import TaskSettings
from relbench.results.records import Entry, Row, Selection
from relbench.studies.record import UntilDecided

Scale = Literal["full", "toy"]  # another word for toy would pass for real numbers


class Summary(BaseModel, use_attribute_docstrings=True):
    """A study's whole result: lines of methods, or cells of a table, and what belongs to them."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    """Of the study, such as "rkd-table1"."""
    title: str
    primary: str = ""
    """The metric that methods are compared by; "" without methods."""
    source: str = ""
    """The paper; empty for a study of relbench's own."""
    notes: tuple[str, ...] = ()
    """What a reader must know: deviations, changed settings, chosen rates, runs left out."""
    variant: Mapping[str, str] = {}
    """What the study was built with, such as protocol: paper."""
    scale: Scale = "full"
    """Toy: numbers that only show that everything runs."""
    changes: str = ""
    """Settings that are not the study's, such as "data.size = 128, training.steps = 2"."""
    until_decided: UntilDecided | None = None
    """The rule by which seeds are added, and the looks made; None: their number was fixed beforehand."""
    added_losses: tuple[str, ...] = ()
    """Labels of the methods that the user put beside the study's."""

    entries: tuple[Entry, ...] = ()
    """The methods' runs in the order of the plan."""
    methods: tuple[Method, ...] = ()
    """In the order of the plan, the teacher first."""
    seeds: tuple[int, ...] = ()
    pairs: tuple[Pair, ...] = ()
    sources: Mapping[str, str] = {}
    """Paper and code of every loss that was used."""
    examples: Examples | None = None
    distances: Distances | None = None
    shown_at: str = ""
    """Size of the test images, and what they are cut from."""
    missing: tuple[str, ...] = ()
    """Parts that the page can't show, a sentence each: which, why, and what to do."""

    cells: tuple[FilledCell, ...] = ()
    """In the order of the table."""
    curves_over: str = ""
    """What the columns count, where a picture shows each row as a curve over them."""
    shown: tuple[Selection, ...] = ("last",)
    """Rules of selection in the table; the difference is that of the first."""
    claims: tuple[AnsweredClaim, ...] = ()
    tasks: tuple[TaskSettings, ...] = ()
    """Of the networks of the cells."""
    floors: Mapping[str, tuple[Floor, ...]] = {}
    """What is reached without training, by the title of the data set that it was measured on."""

    @model_validator(mode="after")
    def _validate(self) -> Self:
        problem = next(self._problems(), None)
        if problem:
            raise ValueError(f"no report of {self.name!r}: {problem}; repair or rerun what it names")
        return self

    def _problems(self) -> Iterator[str]:
        if not self.shown or len(set(self.shown)) < len(self.shown):
            yield f"the rules of selection shown ({', '.join(self.shown)}) must be one or more, each once"
        if not (self.methods or self.cells):
            yield "there is nothing in it, neither methods nor cells"
        if self.methods:
            yield from self._method_problems()
        yield from self._cell_problems()
        yield from (f"floor {floor.label!r} {wrong}" for floor in self.all_floors for wrong in floor_problems(floor))
        yield from (f"the claim {claim.text!r} {wrong}" for claim in self.claims for wrong in claim_problems(claim))

    def _method_problems(self) -> Iterator[str]:
        teacher, expected = self.methods[0], tuple(self.methods[0].metrics)
        if teacher.role != "teacher":
            yield "the first method must be the teacher"
        if self.primary not in expected:
            yield f"the teacher has no {self.primary}"
        for method in self.methods:
            yield from (f"method {method.label!r} {problem}" for problem in method_problems(method, expected))
        for pair in self.pairs:
            wrong = comparison_problems(pair.comparison)
            yield from (f"pair {pair.label!r} against {pair.other!r} {problem}" for problem in wrong)
        for floor in self.all_floors:
            yield from (f"floor {floor.label!r} {problem}" for problem in other_metrics(floor, expected))
        missing = {entry.fingerprint for entry in self.entries} - {row.fingerprint for row in self.rows}
        if missing:
            yield f"the plan's run {min(missing)} has no row"

    def _cell_problems(self) -> Iterator[str]:
        """Also of places: a second cell would hide the first."""
        counts = Counter((cell.part, cell.row, cell.column) for cell in self.cells)
        yield from (f"there are {count} numbers at {' / '.join(at)}" for at, count in counts.items() if count > 1)
        for cell in self.cells:
            place = f"the number at {cell.part} / {cell.row} / {cell.column}"
            yield from (f"{place} {problem}" for problem in cell_problems(cell))

    def replaced(self, **fields: Any) -> Self:
        """A copy with other values in the fields named, validated like a new summary."""
        return type(self)(**{**dict(self), **fields})

    @property
    def rows(self) -> list[Row]:
        """Every run of the methods, in the order of the table."""
        return [row for method in self.methods for row in method.rows]

    @property
    def all_floors(self) -> list[Floor]:
        """The floors on every data set."""
        return [floor for floors in self.floors.values() for floor in floors]

    @property
    def is_toy(self) -> bool:
        """Whether its numbers mean nothing."""
        return self.scale == "toy"

    @property
    def has_published(self) -> bool:
        """Whether any of its cells was published: else no number of a paper can stand beside ours."""
        return any(cell.published is not None for cell in self.cells)

    @property
    def finished_rules(self) -> tuple[Selection, ...]:
        """The rules shown that any of its cells has."""
        return tuple(rule for rule in self.shown if any(rule in cell.ours for cell in self.cells))

    def score(self, method: Method) -> float:
        """A method's mean primary metric over seeds, in [0, 1]."""
        return method.metrics[self.primary].mean

    @property
    def students(self) -> list[Method]:
        """The methods that are neither teacher nor control."""
        return [method for method in self.methods if method.role == "student"]

    @property
    def winners(self) -> list[Method]:
        """The students that beat the teacher."""
        judged = [(method, method.against_teacher) for method in self.students]
        return [method for method, comparison in judged if comparison and comparison.verdict == "beats"]

    @property
    def best_student(self) -> Method | None:
        """The student of the greatest score among those that beat the teacher, or among all where none does."""
        return max(self.winners or self.students, key=self.score, default=None)
