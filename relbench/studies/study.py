"""A study: a teacher, its students, and what they are compared with; the runs of one table."""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from relbench.experiment import Data, Experiment, Net, Protocol, Settings, Term, changed
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
        """All runs, seed by seed, a teacher before its students."""
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
        return Experiment(data=self.data, net=arm.net, protocol=arm.protocol, terms=terms, seed=seed, teacher=teacher)

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
        """A copy with some settings changed, as `--set student.dim=64` says.

        Raises:
            ValueError: a key is unknown or its value of the wrong kind; one line, with the nearest known key.
        """
        study = self
        for key, value in values.items():
            if key not in self.places():
                raise ValueError(f"unknown setting {key!r}: {_suggestion(key, list(self.places()))}")
            try:
                study = _replaced(study, self.places()[key], value)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None
        return study


def parse_value(text: str) -> Any:
    """A setting's value from the command line: JSON where it is (64, 0.1, true, null, [0.5, 0.75]), else plain text."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return tuple(value) if isinstance(value, list) else value


def _replaced(settings: Any, place: tuple[str, ...], value: Any) -> Any:
    name, *rest = place
    return changed(settings, {name: _replaced(getattr(settings, name), tuple(rest), value) if rest else value})


def _suggestion(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
