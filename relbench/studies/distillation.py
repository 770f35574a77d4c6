"""Studies of one teacher and its students, which differ in their loss alone."""

from collections.abc import Mapping, Sequence

from relbench.experiment import Data, Net, PositiveFloat, Retrieval, TaskSettings, Term, Training
from relbench.lookup import lookup
from relbench.settings import Settings
from relbench.studies.study import Claim, Epochs, RunSpec, Stage, Study

TEACHER = "teacher"  # path
STUDENTS, PAIRS = "students", "pairs"  # families: students against their teacher, students against each other


class Arm(Settings):
    """A network and how it is trained."""

    net: Net
    training: Training
    epochs: Epochs | None = None  # in place of the training's steps
    rates: tuple[PositiveFloat, ...] = ()  # learning rates to choose from on validation images


def in_halves(*stages: tuple[Term, ...]) -> tuple[Stage, ...]:
    """Trainings, one after the other, with half of the steps, or epochs, each."""
    return tuple(Stage(terms=terms, share=1 / 2) for terms in stages)


def distillation(  # noqa: PLR0913 - one argument per part of the study
    *,
    data: Data,
    teacher: Arm,
    teacher_terms: tuple[Term, ...],
    student: Arm,
    methods: Mapping[str, tuple[Term, ...]],
    first_stages: Mapping[str, tuple[Term, ...]] | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    self_distilled: Mapping[str, tuple[Term, ...]] | None = None,
    task: TaskSettings = Retrieval(),  # noqa: B008 - frozen
    **told: object,
) -> Study:
    """A study of students that differ in their loss alone, each compared with the teacher of its seed.

    Args:
        data: which images.
        teacher: the teacher's network and training.
        teacher_terms: the teacher's loss.
        student: every student's network and training.
        methods: by the student's path, its loss.
        first_stages: of methods in two stages, what the first half of the training is by.
        pairs: methods, and other methods that each of them is compared with as well.
        self_distilled: by its path, the loss of a student that is the teacher's own network, trained anew as the
            teacher was, and taught by it; what `--set` changes of the teacher changes it too.
        task: of all networks.
        told: name, title, notes: what else the study says.

    Raises:
        ValueError: a first stage, or a pair, of a method that is not there.
    """
    first = first_stages or {}
    for label in first:
        lookup(label, methods, "method")
    on = {"data": data, "task": task}
    runs = {TEACHER: _run(teacher, (Stage(terms=teacher_terms),), role="teacher", **on)}
    for label, terms in methods.items():
        stages = in_halves(first[label], terms) if label in first else (Stage(terms=terms),)
        runs[label] = _run(student, stages, teacher=TEACHER, **on)
    for label, terms in (self_distilled or {}).items():
        runs[label] = _run(teacher, (Stage(terms=terms),), teacher=TEACHER, arm="teacher", **on)
    claims = [against_teacher(label, STUDENTS) for label in runs if label != TEACHER]
    claims += [compared(*pair) for pair in pairs]
    return Study.model_validate({"runs": runs, "claims": tuple(claims), **told})


def against_teacher(label: str, family: str) -> Claim:
    """A claim that a run is better than the teacher."""
    return Claim(text=f"{label} beats the teacher", better=((label, TEACHER),), family=family)


def compared(label: str, other: str) -> Claim:
    """A claim that a student is better than another."""
    return Claim(text=f"{label} beats {other}", better=((label, other),), family=PAIRS)


def _run(trained: Arm, stages: tuple[Stage, ...], **given: object) -> RunSpec:
    how = {"net": trained.net, "training": trained.training, "epochs": trained.epochs, "rates": trained.rates}
    return RunSpec.model_validate({"stages": stages, **how, **given})
