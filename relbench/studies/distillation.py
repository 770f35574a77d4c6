"""Studies of one teacher and its students, which differ in their loss alone."""

from collections.abc import Mapping, Sequence

from relbench.experiment import Data, Net, Term, Training
from relbench.lookup import lookup
from relbench.settings import Settings, changed
from relbench.studies.study import Claim, RunSpec, Stage, Study

TEACHER = "teacher"  # path
STUDENTS, PAIRS = "students", "pairs"  # families: students against their teacher, students against each other


class Arm(Settings):
    """A network and how it is trained."""

    net: Net
    training: Training


def in_halves(*stages: tuple[Term, ...]) -> tuple[Stage, ...]:
    """Two trainings, one after the other, with half of the steps each."""
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
    **told: object,
) -> Study:
    """A study of students that differ in their loss alone, each compared with the teacher of its seed.

    Args:
        data: which images.
        teacher: the teacher's network and training.
        teacher_terms: the teacher's loss.
        student: every student's network and training.
        methods: by the student's path, its loss.
        first_stages: of methods in two stages, what the first half of the steps trains with.
        pairs: methods, and other methods that each of them is compared with as well.
        self_distilled: by its path, the loss of a student that is the teacher's own network, trained anew as the
            teacher was, and taught by it; what `--set` changes of the teacher changes it too.
        told: name, title, notes: what else the study says.

    Raises:
        ValueError: a first stage, or a pair, of a method that is not there.
    """
    first = first_stages or {}
    for label in first:
        lookup(label, methods, "method")
    runs = {TEACHER: _run(data, teacher, (Stage(terms=teacher_terms),), role="teacher")}
    for label, terms in methods.items():
        stages = in_halves(first[label], terms) if label in first else (Stage(terms=terms),)
        runs[label] = _run(data, student, stages, teacher=TEACHER)
    for label, terms in (self_distilled or {}).items():
        runs[label] = changed(_run(data, teacher, (Stage(terms=terms),), teacher=TEACHER), {"arm": "teacher"})
    claims = [against_teacher(label, STUDENTS) for label in runs if label != TEACHER]
    claims += [compared(*pair) for pair in pairs]
    return Study.model_validate({"runs": runs, "claims": tuple(claims), **told})


def against_teacher(label: str, family: str) -> Claim:
    """A claim that a run is better than the teacher."""
    return Claim(text=f"{label} beats the teacher", better=((label, TEACHER),), family=family)


def compared(label: str, other: str) -> Claim:
    """A claim that a student is better than another."""
    return Claim(text=f"{label} beats {other}", better=((label, other),), family=PAIRS)


def _run(data: Data, arm: Arm, stages: tuple[Stage, ...], **given: str) -> RunSpec:
    return RunSpec.model_validate({"data": data, "net": arm.net, "training": arm.training, "stages": stages, **given})
