"""Losses that are put beside those of a study: yours, or relbench's own by name."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from relbench.evaluation.metric_names import in_sentence
from relbench.experiment import Term
from relbench.losses import find_loss, read_own, try_loss
from relbench.losses.check_inputs import check_positive
from relbench.models import embedding_size
from relbench.settings import changed
from relbench.studies.distillation import PAIRS, STUDENTS, against_teacher, compared
from relbench.studies.study import Cell, Claim, RunSpec, Stage, Study
from relbench.tasks import find_task

FILE = re.compile(r"\.py(:|$)")  # tells a loss in a file from one by name


@dataclass(frozen=True)
class AddedLoss:
    """A loss, and its label in the table."""

    label: str
    term: Term


def find_added_loss(spec: str, weight: float) -> AddedLoss:
    """The loss that a user named; a file is executed.

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
    """The study with more students: for each loss, one per network of its taught students, trained like that student.

    A loss that compares with the teacher stands beside the study's task loss, unless it is to stand alone; one that
    knows no teacher takes the task loss's place. Without cells, each is compared with every other student as well; in
    a table of cells, its cells stand beside those of the student whose network it has, and claims ask whether it
    beats the teacher, and whatever else the study claims of that student by a single comparison.

    Raises:
        ValueError: no student has a teacher, or a label is taken; one line.
    """
    labels = [added.label for added in added_losses]
    taken = {*study.runs, *(getattr(cell, study.methods_in) for cell in study.cells)}
    twice = [label for at, label in enumerate(labels) if label in taken or label in labels[:at]]
    if twice:
        raise ValueError(f"{twice[0]!r} is already the name of a method in the table: rename the loss, or leave it out")
    templates = _templates(study)
    runs = {
        _path(study, added.label, template): run
        for added in added_losses
        for template, run in _runs(study, templates, added, alone=alone)
    }
    words = ", ".join(f"{added.label} (weight {added.term.weight:g})" for added in added_losses)
    return changed(
        study,
        {
            "name": "+".join((study.name, *labels)),
            "title": f"{study.title}: {', '.join(labels)} beside its baselines",
            "runs": _before_controls(study, runs),
            "cells": (*study.cells, *(cell for label in labels for cell in _cells(study, templates, label))),
            "claims": _claims(study, templates, labels),
            "added_losses": (*study.added_losses, *runs),
            "notes": (
                *study.notes,
                f"Added to the study {study.name}, whose notes do not cover them: {words}.",
            ),
        },
    )


def _templates(study: Study) -> list[str]:
    """Paths of students whose network and training an added loss gets: the first of each network on each data set.

    Likewise of each task and each teacher. Students that are their teacher's own network are taken where there are no
    others.
    """
    students = [path for path, run in study.items if run.role == "student" and run.teacher]
    taught = [path for path in students if not study.runs[path].arm] or students
    taught.sort(key=lambda path: len(study.runs[path].stages))  # those in one stage come first
    found: dict[object, str] = {}
    for path in taught:
        run = study.runs[path]
        found.setdefault((run.data.name, run.task.model_dump_json(), run.net.model_dump_json(), run.teacher), path)
    if not found:
        raise ValueError(f"{study.name} has no student with a teacher, and so takes no further losses: choose another")
    return [path for path in study.runs if path in found.values()]


def _path(study: Study, label: str, template: str) -> str:
    return f"{template}/{label}" if study.cells else label


def _runs(study: Study, templates: Sequence[str], added: AddedLoss, *, alone: bool) -> Iterator[tuple[str, RunSpec]]:
    needs_teacher = find_loss(added.term.loss, added.term.source).needs_teacher
    terms = (*study.task_terms, added.term) if needs_teacher and not alone else (added.term,)
    for template in templates:
        run = study.runs[template]
        shared = _path(study, added.label, run.tuned_with) if run.tuned_with in templates else ""
        yield template, changed(run, {"stages": (Stage(terms=terms),), "tuned_with": shared, "note": run.note})


def _before_controls(study: Study, added: dict[str, RunSpec]) -> dict[str, RunSpec]:
    """All runs, the controls last, as in every table of lines."""
    controls = {path: run for path, run in study.items if run.role == "control"}
    return {path: run for path, run in study.items if path not in controls} | added | controls


def _cells(study: Study, templates: Sequence[str], label: str) -> Iterator[Cell]:
    """Cells of an added loss: those of the students whose networks it has, under its own name."""
    axis = study.methods_in
    given = [cell for template in templates for cell in study.cells if cell.run == template]
    places = {tuple(value for name, value in cell if name in {"part", "row", "column"} - {axis}) for cell in given}
    for cell in given:
        name = label if len(places) == len(given) else f"{label} (as {getattr(cell, axis)})"
        printed = {"published": None, "published_interval": None, "source": ""}
        yield changed(cell, {axis: name, "run": f"{cell.run}/{label}", **printed})


def _claims(study: Study, templates: Sequence[str], labels: Sequence[str]) -> tuple[Claim, ...]:
    if study.cells:
        return (*study.claims, *(claim for label in labels for claim in _of_cells(study, templates, label)))
    students = [path for path, run in study.items if run.role == "student"]
    own = [compared(label, other) for label in labels for other in (*students, *labels) if other != label]
    given = (claim for claim in study.claims if claim.family == PAIRS)
    pairs = {frozenset(claim.better[0]): claim for claim in (*own, *given)}  # each two once, whichever way round
    against = [claim for claim in study.claims if claim.family != PAIRS]
    at = sum(claim.family == STUDENTS for claim in against)
    return (*against[:at], *(against_teacher(label, STUDENTS) for label in labels), *against[at:], *pairs.values())


def _of_cells(study: Study, templates: Sequence[str], label: str) -> list[Claim]:
    """Claims about an added loss in a table of cells; none twice."""
    own, cells = list(_as_templates(study, templates, label)), study.cells_by_key
    teachers = {study.runs[path].teacher for path in templates}
    beats_teacher = any(cells[worse].run in teachers for claim in own for _, worse in claim.better)
    return own if beats_teacher else [*_beats_teachers(study, templates, label), *own]


def _as_templates(study: Study, templates: Sequence[str], label: str) -> Iterator[Claim]:
    """What is claimed of the students whose networks an added loss has, of the loss: a family of its own.

    Those claims that say that a method "beats" another, by a single comparison. Where others are said to beat such a
    student, as one without a teacher, the loss is, too.
    """
    run = {key: cell.run for key, cell in study.cells_by_key.items()}
    method = {cell.run: getattr(cell, study.methods_in) for cell in study.cells}
    made = set[tuple[str, str]]()
    for claim in study.claims:
        (better, worse), *more = claim.better
        key, said = next((key for key in (better, worse) if run[key] in templates), ""), f"{method[run[better]]} beats"
        if more or not key or said not in claim.text:
            continue
        pair = f"{_path(study, label, run[key])}{key.removeprefix(run[key])}", worse
        if pair not in made:
            made.add(pair)
            family = f"{claim.family}, {label}" if claim.family else ""
            yield Claim(text=claim.text.replace(said, f"{label} beats", 1), better=(pair,), family=family)


def _beats_teachers(study: Study, templates: Sequence[str], label: str) -> Iterator[Claim]:
    """Of each data set and metric, that the students of an added loss beat their teachers, where both have cells.

    The metric is the primary one of their task.
    """
    shown = {*study.cells_by_key}
    compared = [path for path in templates if {path, study.runs[path].teacher} <= shown]
    asked = dict.fromkeys((study.runs[path].data.name, study.primary_of(path)) for path in compared)
    for data, metric in asked:
        better = tuple(
            (_path(study, label, path), study.runs[path].teacher)
            for path in compared
            if (study.runs[path].data.name, study.primary_of(path)) == (data, metric)
        )
        several = len([name for name, _ in asked if name == data]) > 1
        what = f"{data}, {in_sentence(metric)}" if several else data
        yield Claim(text=f"{what}: students of {label} beat their teacher", better=better)


def try_own_losses(study: Study) -> None:
    """Try the losses from files in the shapes of the study's students.

    Raises:
        ValueError: one fails a check; one line that names it.
    """
    own = {
        (term.loss, run.net.model_dump_json(), teacher): (term, run)
        for run in study.runs.values()
        for teacher in (run.teacher,)
        for stage in run.stages
        for term in stage.terms
        if term.source
    }
    for (_, _, teacher), (term, run) in own.items():
        _try(term, run, _dimensions(study.runs[teacher] if teacher else run))


def _dimensions(run: RunSpec) -> int:
    return embedding_size(run.net, run.data.size)


def _try(term: Term, student: RunSpec, teacher_dim: int) -> None:
    net, training = student.net, student.training
    episode = find_task(student.task).episode(training)
    try_loss(
        find_loss(term.loss, term.source),
        term.options,
        student_dim=_dimensions(student),
        teacher_dim=teacher_dim,
        batch_size=training.batch_size,
        images_per_class=training.images_per_class,
        shot=episode.shot if episode else None,
        unit_length=net.unit_length,
        num_classes=math.ceil(training.batch_size / training.images_per_class),  # all there are is known with the data
        device=training.device if torch.cuda.is_available() else "cpu",  # runs for a GPU can be planned without
    )
