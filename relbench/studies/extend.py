"""Losses that are put beside those of a study: yours, or relbench's own by name."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from relbench.experiment import Term, changed
from relbench.losses import find_loss, read_own, try_loss
from relbench.losses.check_inputs import check_positive
from relbench.studies import Arm, Study

FILE = re.compile(r"\.py(:|$)")  # tells a loss in a file from one by name


@dataclass(frozen=True)
class AddedLoss:
    """A loss, and what its line in the table is called."""

    label: str
    term: Term


def find_added_loss(spec: str, weight: float) -> AddedLoss:
    """What a user named; a file is executed.

    Args:
        spec: "my_loss.py:MyLoss" ("my_loss.py" where the file defines nothing else), or the name of a loss of relbench
            or pytorch-metric-learning.
        weight: of the loss beside the study's other terms.

    Raises:
        ValueError: the file can't be used, or there is no such loss; one line.
    """
    check_positive("--weight", weight)
    name, source = read_own(spec) if FILE.search(spec) else (find_loss(spec).name, "")
    if not find_loss(name, source).trains_student:
        raise ValueError(f"the loss {name} does not train the student: compare a loss of its embeddings")
    return AddedLoss(name.rpartition(":")[2], changed(Term(loss=name, source=source), {"weight": weight}))


def with_added_losses(study: Study, added_losses: Sequence[AddedLoss], *, alone: bool) -> Study:
    """The study with a student more for each loss, each compared with every other student as well.

    A loss that compares with the teacher stands beside the study's task loss, as the study's own do, unless it is to
    stand alone; one that knows no teacher takes the task loss's place.

    Raises:
        ValueError: a label is taken; one line.
    """
    labels = [one.label for one in added_losses]
    taken = [*study.methods, "teacher", study.equal_budget_control]
    twice = [label for at, label in enumerate(labels) if label in taken or label in labels[:at]]
    if twice:
        raise ValueError(f"{twice[0]!r} is already the name of a method in the table: rename the loss")
    methods = study.methods | {one.label: _terms(one.term, study, alone=alone) for one in added_losses}
    own = ((label, other) for label in labels for other in methods if other != label)
    pairs = {frozenset(pair): pair for pair in (*own, *study.pairs)}  # each two once, whichever way round
    words = ", ".join(f"{one.label} (weight {one.term.weight:g})" for one in added_losses)
    return changed(
        study,
        {
            "name": "+".join((study.name, *labels)),
            "title": f"{study.title}: {', '.join(labels)} beside its baselines",
            "methods": methods,
            "pairs": tuple(pairs.values()),
            "added_losses": tuple(labels),
            "own_notes": (f"Added to the study {study.name}, whose notes do not cover them: {words}.",),
        },
    )


def _terms(term: Term, study: Study, *, alone: bool) -> tuple[Term, ...]:
    needs_teacher = find_loss(term.loss, term.source).needs_teacher
    return (*study.beside, term) if needs_teacher and not alone else (term,)


def try_own_losses(study: Study) -> None:
    """Try the losses from files in the shapes of the study's students.

    Raises:
        ValueError: one fails a check; one line that names it.
    """
    own = {term.loss: term for terms in study.methods.values() for term in terms if term.source}
    for term in own.values():
        _try(term, study.student, study.teacher.net.dim)


def _try(term: Term, student: Arm, teacher_dim: int) -> None:
    net, training = student.net, student.training
    try_loss(
        find_loss(term.loss, term.source),
        term.options,
        student_dim=net.dim,
        teacher_dim=teacher_dim,
        batch_size=training.batch_size,
        images_per_class=training.images_per_class,
        unit_length=net.unit_length,
        num_classes=math.ceil(training.batch_size / training.images_per_class),  # all there are is known with the data
        device=training.device if torch.cuda.is_available() else "cpu",  # runs for a GPU can be planned without
    )
