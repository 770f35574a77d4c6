"""A study: a teacher, its students, and what they are compared with; the runs of one table."""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from relbench.experiment import Data, Experiment, Net, Protocol, Settings, Term, changed, one_line
from relbench.ledger import Role


class Arm(Settings):
    """A network and how it is trained."""

    net: Net
    protocol: Protocol


@dataclass(frozen=True)
class Cell:
    """One run of a study, and what it is called in the table."""

    label: str
    role: Role
    experiment: Experiment


class Study(Settings):
    """The runs of one table, for any seeds.

    Every seed has a teacher of its own, trained from that seed. Students differ in their loss alone; controls are
    trained like students, but are no claim of the method's.
    """

    name: str
    title: str
    notes: tuple[str, ...] = ()
    data: Data
    teacher: Arm
    teacher_terms: tuple[Term, ...]
    student: Arm
    methods: dict[str, tuple[Term, ...]]
    longer_teacher: str | None = None  # label of the control: the teacher's own recipe for as many steps as a student

    def cells(self, seeds: tuple[int, ...]) -> tuple[Cell, ...]:
        """All runs, seed by seed, a teacher before its students.

        Raises:
            ValueError: a seed or a list of terms is impossible; one line.
        """
        return tuple(cell for seed in seeds for cell in self._cells(seed))

    def _cells(self, seed: int) -> Iterator[Cell]:
        teacher = self._experiment(self.teacher, self.teacher_terms, seed)
        yield Cell("teacher", "teacher", teacher)
        for label, terms in self.methods.items():
            yield Cell(label, "student", self._experiment(self.student, terms, seed, teacher))
        if self.longer_teacher:
            longer = changed(self.teacher.protocol, {"steps": self.student.protocol.steps})
            yield Cell(self.longer_teacher, "control", changed(teacher, {"protocol": longer}))

    def _experiment(
        self, arm: Arm, terms: tuple[Term, ...], seed: int, teacher: Experiment | None = None
    ) -> Experiment:
        try:
            return Experiment(
                data=self.data, net=arm.net, protocol=arm.protocol, terms=terms, seed=seed, teacher=teacher
            )
        except ValidationError as error:
            raise ValueError(one_line(error)) from None

    def places(self) -> dict[str, tuple[str, ...]]:
        """Settings that `with_values` can change -> the place of each: "student.dim" -> ("student", "net", "dim")."""
        arms: dict[str, tuple[str, ...]] = {
            f"{arm}.{key}": (arm, group, key)
            for arm in ("teacher", "student")
            for group, kind in (("net", Net), ("protocol", Protocol))
            for key in kind.model_fields
        }
        data = {f"data.{key}": ("data", key) for key in Data.model_fields if key != "content"}
        return arms | data

    def with_values(self, values: Mapping[str, Any]) -> "Study":
        """A copy with some settings changed, as `--set student.dim=64` says; the order of settings does not matter.

        Raises:
            ValueError: a key is unknown, its value of the wrong kind, or the values together impossible; one line, with
                the nearest known key.
        """
        groups: dict[tuple[str, ...], dict[str, Any]] = {}
        for key, value in values.items():
            if key not in self.places():
                raise ValueError(f"unknown setting {key!r}: {_suggestion(key, list(self.places()))}")
            *group, name = self.places()[key]
            groups.setdefault(tuple(group), {})[name] = value
        study = self
        for place, changes in groups.items():
            study = _replaced(study, place, changes)
        return study


def parse_value(text: str) -> Any:
    """A setting's value from the command line: JSON where it is (64, 0.1, true, null, [0.5, 0.75]), else plain text."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return tuple(value) if isinstance(value, list) else value


def _replaced(study: Study, place: tuple[str, ...], changes: Mapping[str, Any]) -> Study:
    """A copy with other values in one group: of the data, or of the net or protocol of an arm."""
    first, *rest = place
    part: Settings = getattr(study, first)
    try:
        replaced = changed(part, {rest[0]: changed(getattr(part, rest[0]), changes)} if rest else changes)
    except ValueError as error:
        raise ValueError(f"{first}.{error}".replace(".settings: ", ": ")) from None
    return changed(study, {first: replaced})


def _suggestion(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
