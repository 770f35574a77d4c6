"""From a study to the runs that a machine can make: checked as a whole, before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from relbench.data import data_title, find_data_set, resolve_transform
from relbench.experiment import Experiment, Net, Term, changed
from relbench.lookup import lookup
from relbench.losses import Loss, find_loss, validate_term
from relbench.losses.inputs import required_by
from relbench.models import TRUNKS, layers_of
from relbench.results.records import Entry, Plan
from relbench.results.run_folder import has_classifier
from relbench.studies import DATA, STUDIES, TABLES, Cell, Study


def find_study(name: str) -> Study:
    """A study of ours by its name.

    Raises:
        ValueError: there is none, or it is a table of a paper.
    """
    if name in TABLES:
        raise ValueError(f"{name} is a table of a paper and takes no further losses: choose {' or '.join(STUDIES)}")
    return STUDIES[lookup(name, STUDIES, "study")]


def resolve_device(device: str) -> str:
    """Take the GPU for "auto" where there is one. Runs for a GPU can be planned anywhere.

    Raises:
        ValueError: an unknown device.
    """
    lookup(device, ("auto", "cpu", "cuda"), "device", {"gpu": "cuda", "nvidia": "cuda"})
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def plan_cells(
    study: Study, seeds: Sequence[int], device: str, values: Mapping[str, Any], data: Path
) -> tuple[Cell, ...]:
    """The study's runs on this machine, each of them possible.

    Args:
        study: what to run.
        seeds: at least one, each once.
        device: "auto", "cpu" or "cuda".
        values: settings that differ from the study's, by key.
        data: holds the data sets.

    Raises:
        ValueError: one line naming the first thing that can't be.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds = {', '.join(map(str, seeds)) or 'none'}: name at least one, each once")
    here = {f"{arm}.device": resolve_device(device) for arm in ("teacher", "student")}
    study = study.with_values(here | dict(values))
    content = find_data_set(study.data.name, data).content(data)
    pinned = changed(study, {"data": changed(study.data, {"content": content})})
    return tuple(resolve(cell) for cell in pinned.cells(tuple(seeds)))


def resolve(cell: Cell) -> Cell:
    """The run with its views and what its losses look at filled in, and without a teacher that none of them looks at.

    Raises:
        ValueError: it can't be; one line with the run's label.
    """
    try:
        experiment = _planned(cell.experiment)
        check_experiment(experiment)
    except ValueError as error:
        raise ValueError(f"{cell.label}: {error}") from None
    return replace(cell, experiment=experiment)


def _planned(experiment: Experiment) -> Experiment:
    """With what follows from its data set and losses filled in, and without a teacher that none of them looks at."""
    terms = tuple(_revised(_with_layers(term), experiment.net) for term in experiment.terms)
    first = experiment.initialized_from
    earlier = {"initialized_from": _planned(first)} if first else {}
    idle = not any(_entry(term).needs_teacher for term in terms)
    teacher = None if idle or not experiment.teacher else _planned(experiment.teacher)
    data = changed(experiment.data, {"transform": resolve_transform(experiment.data)})
    return changed(experiment, {"data": data, "terms": terms, "teacher": teacher, **earlier})


def _with_layers(term: Term) -> Term:
    entry = _entry(term)
    if term.layers and not entry.layers:
        raise ValueError(f"the loss {term.loss} compares embeddings, not layers: leave layers out")
    if len(set(term.layers)) != len(term.layers):
        raise ValueError(f"the loss {term.loss} has layers {', '.join(term.layers)}: name each once")
    return changed(term, {"layers": term.layers or entry.layers})


def _revised(term: Term, net: Net) -> Term:
    """With the revision of the loss's code, so that numbers of an earlier, wrong one are not taken for its own."""
    return changed(term, {"revision": 1 if net.unit_length else _entry(term).free_length_revision})


def _entry(term: Term) -> Loss:
    return find_loss(term.loss, term.source)


def check_experiment(experiment: Experiment) -> None:
    """Refuse what the settings alone can't know to be impossible.

    Raises:
        ValueError: an unknown trunk or loss; an option that a loss or trunk doesn't have; an image too small
            for the trunk; TF32 on the CPU; a loss that needs a teacher where there is none.
    """
    if (experiment.training.precision, experiment.training.device) == ("tf32", "cpu"):
        raise ValueError("precision = tf32 is for a GPU: on the CPU choose 32-true, which is as fast, or bf16-mixed")
    check_net(experiment.net, experiment.data.size)
    if experiment.training.selection == "validation" and not experiment.data.hold_out:
        raise ValueError("selection = validation needs validation classes: set data.hold_out to true")
    for one in experiment.dependencies.values():
        check_experiment(one)
    for term in experiment.terms:
        _check_term(term, experiment)


def check_net(net: Net, size: int) -> None:
    """Refuse a network that can't be built, or not for images of so many pixels a side.

    Raises:
        ValueError: an unknown trunk; a width or weights that it doesn't have; an image too small for it.
    """
    trunk = TRUNKS[lookup(net.trunk, TRUNKS, "trunk")]
    if net.width is not None and not trunk.scalable:
        raise ValueError(f"width = {net.width}, but the width of the trunk {net.trunk} is fixed: set it to null")
    if net.weights == "imagenet" and not trunk.weights:
        raise ValueError(f"weights = imagenet, but there are none for the trunk {net.trunk}: choose random")
    if size < trunk.smallest:
        raise ValueError(f"data.size = {size} pixels, but the trunk {net.trunk} needs {trunk.smallest} or more")


def _check_term(term: Term, experiment: Experiment) -> None:
    validate_term(term.loss, term.options, term.source)
    entry, teacher = _entry(term), experiment.teacher
    if entry.needs_teacher and not teacher:
        raise ValueError(f"the loss {term.loss} compares with a teacher, but there is none: give the run a teacher")
    needed = required_by(set(entry.takes) - set(entry.optional))
    if teacher and "teacher_classifier" in needed and not has_classifier(teacher):
        raise ValueError(
            f"the loss {term.loss} compares with the output of the teacher's classifier, but the teacher has none: "
            "add the loss probe (which leaves the embeddings unchanged) or cross_entropy to the teacher's terms"
        )
    for net in (experiment.net, *([teacher.net] if teacher else [])):
        for layer in term.layers:
            lookup(layer, layers_of(net), f"layer of {net.trunk} for the loss {term.loss}")


def title_of(study: Study, data: str) -> str:
    """The study's title, with the data set that it is run on."""
    return study.title.replace(DATA, data_title(data))


def as_plan(study: Study, cells: Sequence[Cell], changes: Mapping[str, Any] | None = None) -> Plan:
    """What the report needs to know of the cells: their names, and which settings are not the study's own.

    The study's notes are about its own settings and data: where any of them is changed, they are left out.
    """
    words = ", ".join(f"{key} = {value}" for key, value in (changes or {}).items())
    changed_note = (
        f"Settings that differ from those of the study {study.name.partition('+')[0]}: {words}. "
        "How the study's own were chosen says nothing about these runs."
    )
    entries = (
        Entry(label=cell.label, role=cell.role, seed=cell.experiment.seed, fingerprint=cell.experiment.fingerprint)
        for cell in cells
        if cell.role != "stage"
    )
    return Plan(
        study=study.name,
        title=title_of(study, cells[0].experiment.data.name),
        notes=((changed_note,) if words else study.notes) + study.own_notes,
        entries=tuple(entries),
        pairs=study.pairs,
        added_losses=study.added_losses,
    )
