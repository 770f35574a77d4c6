"""What a report says, ready to be drawn: numbers and words, no statistics."""

from dataclasses import dataclass

from relbench.ledger import Plan, Role, Row


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval; without bounds where there are too few values for one."""

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A method against the teacher over the same queries: differences of recall@1, in [-1, 1]."""

    difference: float
    over_queries: Interval  # classes resampled, the trained networks held fixed
    over_seeds: Interval  # Student's t over the seeds' differences; no bounds from one seed
    seeds: int
    verdict: str  # "beats", "does not differ", "loses"


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
class Summary:
    """A study's whole result."""

    plan: Plan
    methods: tuple[Method, ...]  # in the plan's order, the teacher first
    seeds: tuple[int, ...]
