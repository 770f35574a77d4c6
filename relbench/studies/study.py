"""A study: a teacher, its students, and what they are compared with; the runs of one table."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from relbench.experiment import SETTINGS_OF_DATA, Data, Experiment, Net, Settings, Term, Training, changed, one_line
from relbench.lookup import lookup
from relbench.results.records import Role
from relbench.studies.keys import known_key

DATA = "{data}"  # stands for a data set in a title
TERMS = "terms"  # begins the keys of settings that belong to a loss
OF_A_TERM = ("layers", "loss", "weight")  # its other settings are options of the loss


class Arm(Settings):
    """A network and how it is trained."""

    net: Net
    training: Training


@dataclass(frozen=True)
class Cell:
    """One run of a study, and what it is called in the table."""

    label: str
    role: Role | Literal["stage", "tuning"]  # a stage is part of a training, tuning chooses a setting: no lines
    experiment: Experiment

    @property
    def name(self) -> str:
        """Of this run alone."""
        return self.experiment.fingerprint


class Study(Settings):
    """The runs of one table, for any seeds.

    Every seed has a teacher of its own, trained from that seed. Students differ in their loss alone; controls are
    trained like students, but are no claim of the method's.
    """

    name: str
    title: str  # DATA in it stands for the data set's title
    notes: tuple[str, ...] = ()  # true as long as no setting is changed
    data: Data
    teacher: Arm
    teacher_terms: tuple[Term, ...]
    student: Arm
    methods: dict[str, tuple[Term, ...]]
    # methods in two stages: what the first half of the steps trains with
    first_stages: Mapping[str, tuple[Term, ...]] = {}
    beside: tuple[Term, ...] = ()  # the task loss, which stands beside every loss that compares with the teacher
    pairs: tuple[tuple[str, str], ...] = ()  # methods, and other ones that each of them is compared with as well
    added_losses: tuple[str, ...] = ()  # methods that were put beside the study's own by hand
    own_notes: tuple[str, ...] = ()  # on these, true whatever is changed
    equal_budget_control: str | None = (
        None  # label of the control: the teacher's own recipe for as many steps as a student
    )

    @model_validator(mode="after")
    def _validate(self) -> Self:
        for label in self.first_stages:
            lookup(label, self.methods, "method")
        for label in dict.fromkeys(label for pair in self.pairs for label in pair):
            lookup(label, self.methods, "method of a pair")
        return self

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
            yield from self._stages(label, terms, seed, teacher)
        if self.equal_budget_control:
            longer = changed(self.teacher.training, {"steps": self.student.training.steps})
            yield Cell(self.equal_budget_control, "control", changed(teacher, {"training": longer}))

    def _stages(self, label: str, terms: tuple[Term, ...], seed: int, teacher: Experiment) -> Iterator[Cell]:
        if label not in self.first_stages:
            yield Cell(label, "student", self._experiment(self.student, terms, seed, teacher))
            return
        half = changed(self.student, {"training": _halved(self.student.training)})
        first = self._experiment(half, self.first_stages[label], seed, teacher)
        yield Cell(f"{label}, first stage", "stage", first)
        yield Cell(label, "student", changed(self._experiment(half, terms, seed, teacher), {"initialized_from": first}))

    def _experiment(
        self, arm: Arm, terms: tuple[Term, ...], seed: int, teacher: Experiment | None = None
    ) -> Experiment:
        try:
            return Experiment(
                data=self.data, net=arm.net, training=arm.training, terms=terms, seed=seed, teacher=teacher
            )
        except ValidationError as error:
            raise ValueError(one_line(error)) from None

    def places(self) -> dict[str, tuple[str, ...]]:
        """Settings that `with_values` can change -> the place of each: "student.dim" -> ("student", "net", "dim")."""
        arms: dict[str, tuple[str, ...]] = {
            f"{arm}.{key}": (arm, group, key)
            for arm in ("teacher", "student")
            for group, kind in (("net", Net), ("training", Training))
            for key in kind.model_fields
        }
        data = {f"data.{key}": ("data", key) for key in SETTINGS_OF_DATA}
        return arms | data

    def losses(self) -> list[str]:
        """Names of the losses that some run of the study is trained with."""
        return list(dict.fromkeys(term.loss for term in self.all_terms()))

    def all_terms(self) -> list[Term]:
        """The summands of all losses, the teacher's first."""
        given = (self.teacher_terms, *self.methods.values(), *self.first_stages.values())
        return [term for terms in given for term in terms]

    def with_values(self, values: Mapping[str, Any]) -> "Study":
        """A copy with some settings changed, as `--set student.dim=64` says; the order of settings does not matter.

        Args:
            values: by key: one of `places`; or `terms.LOSS.weight`, `terms.LOSS.layers`, `terms.LOSS.OPTION`, or
                `terms.LOSS.loss` (another loss in its place, with its own options), which hold wherever the study has
                that loss.

        Raises:
            ValueError: a key is unknown, its value of the wrong kind, or the values together impossible; one line, with
                the nearest known key.
        """
        groups: dict[tuple[str, ...], dict[str, Any]] = {}
        for key, value in values.items():
            *group, name = self._place(key)
            groups.setdefault(tuple(group), {})[name] = value
        study = self
        for place, changes in groups.items():
            study = _with_terms(study, place[1], changes) if place[0] == TERMS else _replaced(study, place, changes)
        return study

    def _place(self, key: str) -> tuple[str, ...]:
        start, _, rest = key.partition(".")
        loss, dot, option = rest.rpartition(".")
        if start == TERMS and dot and loss in self.losses():
            return TERMS, loss, option
        terms = [f"{TERMS}.{loss}.{name}" for loss in self.losses() for name in OF_A_TERM]
        study = self.name.partition("+")[0]  # contenders' names come after it
        return self.places()[known_key(key, [*self.places(), *terms], study)]


def parse_value(text: str) -> Any:
    """A setting's value from the command line: JSON where it is (64, 0.1, true, null, [0.5, 0.75]), else plain text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # no JSON; or a number of thousands of digits, or nesting without end
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


def _with_terms(study: Study, loss: str, changes: Mapping[str, Any]) -> Study:
    """A copy where a loss has another weight or other options, or another loss stands in its place."""

    def renewed(terms: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(_changed_term(term, changes) if term.loss == loss else term for term in terms)

    groups = {
        name: {label: renewed(terms) for label, terms in getattr(study, name).items()}
        for name in ("methods", "first_stages")
    }
    return changed(study, {"teacher_terms": renewed(study.teacher_terms), **groups})


def _halved(training: Training) -> Training:
    if training.steps % 2:
        raise ValueError(f"student.steps = {training.steps}: a method in two stages needs an even number")
    return changed(training, {"steps": training.steps // 2})


def _changed_term(term: Term, changes: Mapping[str, Any]) -> Term:
    own = {name: value for name, value in changes.items() if name in OF_A_TERM}
    if "loss" in own:  # nothing of the other loss stays but its weight
        own = {"layers": (), "source": "", **own}
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()}
    options = {name: value for name, value in given.items() if name not in own}
    try:
        return changed(term, {**own, "options": ({} if "loss" in own else term.options) | options})
    except ValueError as error:
        raise ValueError(f"{TERMS}.{term.loss}.{error}") from None
