"""From rows to a summary: means, intervals, and each method against its teacher."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from relbench.analysis.comparable import refuse_unfair
from relbench.analysis.methods import Method, Pair
from relbench.analysis.summary import Summary
from relbench.data import shown_at
from relbench.evaluation import compare, holm, seed_interval
from relbench.evaluation.comparison import Comparison
from relbench.experiment import Experiment, Term
from relbench.losses import find_loss
from relbench.results.records import Entry, Plan, Row, read_record, read_row, refuse_other_dependencies

PRIMARY = "recall@1"
BOOTSTRAP_SEED = 0  # the same rows always give the same intervals


def read_results(folder: Path) -> tuple[Plan, dict[str, Row]]:
    """The plan of a results folder and the rows that are there.

    Raises:
        ValueError: the folder holds no plan, or the plan or a row is damaged.
    """
    if not (folder / "plan.json").is_file():
        raise ValueError(f"{folder} holds no results (plan.json is not there): name a folder that a study has written")
    plan = read_record(Plan, folder / "plan.json")
    paths = {entry.fingerprint: folder / "runs" / entry.fingerprint / "row.json" for entry in plan.entries}
    rows = {name: read_row(path, name) for name, path in paths.items() if path.exists()}
    refuse_other_dependencies(rows)
    return plan, rows


def summarise(plan: Plan, rows: dict[str, Row]) -> Summary:
    """Sum up the finished runs; what is missing is said in the notes.

    Raises:
        ValueError: no teacher is finished, or rows differ where the table claims that they don't.
    """
    taught = {entry.seed for entry in plan.entries if entry.role == "teacher" and entry.fingerprint in rows}
    if not taught:
        raise ValueError("no teacher is finished yet, so there is nothing to compare with: run the study first")
    done = tuple(entry for entry in plan.entries if entry.fingerprint in rows and entry.seed in taught)
    refuse_unfair(done, rows)
    left_out = [f"{entry.label} (seed {entry.seed})" for entry in plan.entries if entry not in done]
    notes = (*plan.notes, *([f"Not finished, and left out: {', '.join(left_out)}."] if left_out else []))
    finished = plan.model_copy(update={"entries": done, "notes": notes})
    labels = dict.fromkeys(entry.label for entry in done)
    methods = tuple(_method([entry for entry in done if entry.label == label], finished, rows) for label in labels)
    seeds = tuple(sorted({entry.seed for entry in done}))
    sources = _sources(rows[entry.fingerprint].experiment for entry in done)
    views = shown_at(rows[done[0].fingerprint].experiment.data)
    return Summary(
        name=plan.study,
        title=plan.title,
        primary=PRIMARY,
        notes=notes,
        added_losses=plan.added_losses,
        entries=done,
        methods=_corrected(methods),
        seeds=seeds,
        pairs=_pairs(plan.pairs, methods),
        sources=sources,
        shown_at=views,
    )


def _sources(experiments: Iterable[Experiment]) -> dict[str, str]:
    """By loss, where it comes from; what one kept with its rows says is not executed for that."""
    return {term.loss: _source(term) for one in experiments for stage in one.stages for term in stage.terms}


def _source(term: Term) -> str:
    """What relbench knows; old rows may have losses that it does not."""
    if term.source:
        return (
            f"a file of the user's, kept with the rows, sha256 {hashlib.sha256(term.source.encode()).hexdigest()[:12]}"
        )
    try:
        return find_loss(term.loss).source
    except ValueError:
        return "not one of relbench's losses: its source is not known here"


def _method(entries: Sequence[Entry], plan: Plan, rows: dict[str, Row]) -> Method:
    teachers = {entry.seed: rows[entry.fingerprint] for entry in plan.entries if entry.role == "teacher"}
    own = tuple(rows[entry.fingerprint] for entry in entries)
    metrics = {name: seed_interval([row.metrics[name] for row in own]) for name in own[0].metrics}
    role = entries[0].role
    against = None if role == "teacher" else _compare(own, [teachers[entry.seed] for entry in entries])
    return Method(entries[0].label, role, own, metrics, against)


def _compare(own: Sequence[Row], teachers: Sequence[Row]) -> Comparison:
    """A method against the teacher of the same seed, over the same queries."""
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    return compare([row.counts for row in own], [row.counts for row in teachers], generator=generator)


def _corrected(methods: Sequence[Method]) -> tuple[Method, ...]:
    """The methods with verdicts that allow for the number of students: the best of many is picked by chance too.

    Controls are no claim, and are judged alone: they warn of what else may explain a gain, so a correction would hide
    warnings, and a control more would take verdicts from the students.
    """
    students = {one.label: one.against_teacher for one in methods if one.role == "student" and one.against_teacher}
    judged = dict(zip(students, holm(list(students.values())), strict=True))
    return tuple(replace(one, against_teacher=judged.get(one.label, one.against_teacher)) for one in methods)


def _pairs(asked: Sequence[tuple[str, str]], methods: Sequence[Method]) -> tuple[Pair, ...]:
    """Comparisons of methods with each other, over the seeds that both have; corrected for all of them together."""
    rows = {one.label: {row.experiment.seed: row for row in one.rows} for one in methods}
    found = [pair for pair in asked if all(label in rows for label in pair) and rows[pair[0]].keys() & rows[pair[1]]]
    comparisons = [_compare_seeds(rows[label], rows[other]) for label, other in found]
    return tuple(Pair(*pair, judged) for pair, judged in zip(found, holm(comparisons), strict=True))


def _compare_seeds(own: Mapping[int, Row], others: Mapping[int, Row]) -> Comparison:
    shared = [seed for seed in own if seed in others]
    return _compare([own[seed] for seed in shared], [others[seed] for seed in shared])
