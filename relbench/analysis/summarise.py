"""From a study and what is finished of it to its summary: means, intervals, verdicts, and answers to claims."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from relbench.analysis.claims import answered_claims
from relbench.analysis.comparable import refuse_unfair
from relbench.analysis.fill import filled
from relbench.analysis.floors import lines_of_floors
from relbench.analysis.looks import judged_at_looks
from relbench.analysis.methods import Method, Pair
from relbench.analysis.results import FloorsOf, Results
from relbench.analysis.summary import Summary
from relbench.data import data_title, shown_at
from relbench.evaluation import compare, holm, seed_interval
from relbench.evaluation.comparison import Comparison
from relbench.evaluation.metric_names import in_sentence
from relbench.experiment import Experiment, Term, task_columns
from relbench.grid.tuning import Choice
from relbench.losses import find_loss
from relbench.results.records import Entry, Row, Selection
from relbench.studies.record import StudyRecord, UntilDecided
from relbench.studies.study import DATA, Study


def summarise(record: StudyRecord, results: Results, shown: Sequence[Selection] = ("last",)) -> Summary:
    """Sum up what is finished: a study without cells by the lines of its runs, any other by its cells.

    Args:
        record: the study, and what was asked of it.
        results: what is finished.
        shown: the rules of selection that cells are shown under.

    Raises:
        ValueError: a rule can't be applied; no teacher is finished, or rows differ where the table claims that they
            don't.
    """
    study = record.study
    check_rule(record, shown)
    own = _of_cells(record, results, shown) if study.cells else _of_lines(record, results)
    return Summary(
        name=study.name,
        title=study.title.replace(DATA, data_title(study.data_sets[0])),
        source=study.source,
        notes=tuple(_notes(record, results)),
        variant=study.variant,
        scale=study.scale,
        changes=_changes(record),
        until_decided=record.until_decided,
        added_losses=study.added_losses,
        floors={floor_title(of, results.floors, record): lines_of_floors(own) for of, own in results.floors.items()},
        **own,
    )


def check_rule(record: StudyRecord, shown: Sequence[Selection]) -> None:
    """Refuse to show what no row can tell.

    Raises:
        ValueError: a rule needs validation images, or that test images are watched, and they are not there or not.
    """
    runs = [record.study.runs[path] for path in record.paths if record.study.runs[path].stages]
    if shown[0] != record.study.selection and not all(run.training.log_test_metrics for run in runs):
        step = {"last": "the last step", "validation": "the step that is best on validation images"}
        raise ValueError(
            f"training.log_test_metrics = false: runs then record only {step[record.study.selection]}: leave "
            "--selection out"
        )
    if list(shown) == ["validation"] and not any(run.data.hold_out for run in runs):
        raise ValueError(
            f"--selection val: {record.study.name} trains on all training images, and leaves none to validate on: "
            "set data.hold_out=true, or choose a protocol that holds them out"
        )


TASK = "task."  # begins the names of settings of a task


def floor_title(of: FloorsOf, every: Iterable[FloorsOf], record: StudyRecord) -> str:
    """The data set that floors are measured on; and, where there are others, whose classes of it, and by which task."""
    name, task = of
    tasks = [task_columns(task) for where, task in every if where == name]
    differing = [key for key, own in task_columns(task).items() if any(each.get(key) != own for each in tasks)]
    words = [f"{key.removeprefix(TASK)} = {_written(task_columns(task)[key])}" for key in differing]
    return ", ".join([_whose(name, record), *words])


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _whose(name: str, record: StudyRecord) -> str:
    """A data set's title, and whose classes and training images of it, where its runs have several sets of these."""
    runs = {path: run.data for path, run in record.study.items if run.data.name == name}
    sets: dict[str, set[Any]] = {
        "classes": {(data.train_classes, data.test_classes) for data in runs.values()},
        "training images": {data.train_images_per_class for data in runs.values()},
    }
    several = [what for what, found in sets.items() if len(found) > 1]
    if not several or name in record.study.other_data:
        return data_title(name)
    return f"{data_title(name)}, {' and '.join(several)} of {list(runs)[-1]}"  # whose data those of the record are


def _of_lines(record: StudyRecord, results: Results) -> dict[str, Any]:
    """One line per run, with every metric, its comparison with the teacher, and those with other runs."""
    study = record.study
    (teacher,) = [path for path, run in study.items if run.role == "teacher"]
    done = {place: row for place in _lines(record) if (row := _shown(results, teacher, place))}
    if not done:
        raise ValueError("no teacher is finished yet, so there is nothing to compare with: run the study first")
    rows = {row.fingerprint: row for row in done.values()}
    entries = tuple(
        Entry(label=path, role=study.runs[path].role, seed=seed, fingerprint=row.fingerprint)
        for (path, seed), row in done.items()
    )
    refuse_unfair(entries, rows)
    by_path = {path: {seed: row for (own, seed), row in done.items() if own == path} for path in study.runs}
    judged = _judged(study, by_path, record.until_decided)
    floors = () if results.floors else ("Floors are not shown: they were not measured.",)
    return {
        "primary": study.primary_of(teacher),
        "entries": entries,
        "methods": tuple(
            _method(study, path, tuple(own.values()), judged.get((path, teacher)))
            for path, own in by_path.items()
            if own
        ),
        "seeds": tuple(sorted({seed for _, seed in done})),
        "pairs": tuple(Pair(*pair, comparison) for pair, comparison in judged.items() if teacher not in pair),
        "sources": _sources(row.experiment for row in done.values()),
        "shown_at": shown_at(next(iter(done.values())).experiment.data),
        "missing": floors,
    }


def _lines(record: StudyRecord) -> list[tuple[str, int]]:
    """Path and seed of all runs that were asked for."""
    return [(path, seed) for seed in record.seeds for path in record.paths]


def _shown(results: Results, teacher: str, place: tuple[str, int]) -> Row | None:
    """The row of a run, where its seed's teacher is finished too."""
    return results.rows.get(place) if (teacher, place[1]) in results.rows else None


def _method(study: Study, path: str, rows: tuple[Row, ...], against_teacher: Comparison | None) -> Method:
    metrics = {name: seed_interval([row.metrics[name] for row in rows]) for name in rows[0].metrics}
    return Method(path, study.runs[path].role, rows, metrics, against_teacher)


def _judged(
    study: Study, rows: Mapping[str, Mapping[int, Row]], rule: UntilDecided | None
) -> dict[tuple[str, str], Comparison]:
    """The comparisons that a study claims, over the seeds that both runs have, each family corrected (Holm) together.

    The best of many students is picked by chance too, so their verdicts allow for their number. Controls are no claim,
    and each is judged alone: they warn of what else may explain a gain, so a correction would hide warnings, and a
    control more would take verdicts from the students.
    """
    families: dict[str, list[tuple[str, str]]] = {}
    for claim in study.claims:
        families.setdefault(claim.family, []).extend(pair for pair in claim.better if _shared(rows, pair))
    found: dict[tuple[str, str], Comparison] = {}
    for pairs in families.values():
        compared = partial(_all_compared, rows, pairs)
        judged = judged_at_looks(rule, compared) if rule and pairs else holm(compared())
        found |= dict(zip(pairs, judged, strict=True))
    return found


def _all_compared(
    rows: Mapping[str, Mapping[int, Row]], pairs: Sequence[tuple[str, str]], seeds: Collection[int] | None = None
) -> list[Comparison]:
    return [_compared(rows, pair, seeds) for pair in pairs]


def _shared(rows: Mapping[str, Mapping[int, Row]], pair: tuple[str, str]) -> list[int]:
    """Seeds of which both runs are finished."""
    own, other = pair
    return [seed for seed in rows[own] if seed in rows[other]]


def _compared(
    rows: Mapping[str, Mapping[int, Row]], pair: tuple[str, str], seeds: Collection[int] | None = None
) -> Comparison:
    """A run against another of the same seed, over the same trials; of some seeds alone, or of all that both have."""
    shared = [seed for seed in _shared(rows, pair) if seeds is None or seed in seeds]
    if not shared:
        raise ValueError(f"no seed of a look has both {pair[0]} and {pair[1]}: run the command that made it again")
    own, other = ([rows[path][seed].counts for seed in shared] for path in pair)
    return compare(own, other)


def _sources(experiments: Iterable[Experiment]) -> dict[str, str]:
    """By loss, where it comes from; the code of a loss that is kept with its rows is not executed for that."""
    return {term.loss: _source(term) for run in experiments for stage in run.stages for term in stage.terms}


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


def _of_cells(record: StudyRecord, results: Results, shown: Sequence[Selection]) -> dict[str, Any]:
    """The cells of the data sets that were asked for, with what is finished; the rest is empty."""
    study, paths = record.study, set(record.paths)
    parts = {cell.part for cell in study.cells if cell.run in paths}
    cells = [cell for cell in study.cells if cell.run in paths or (not cell.run and cell.part in parts)]
    return {
        "shown": tuple(shown),
        "curves_over": study.curves_over,
        "cells": tuple(filled(cell, record, results, shown) for cell in cells),
        "claims": answered_claims(record, results, shown[0]),
        "tasks": tuple(dict.fromkeys(study.runs[cell.run].task for cell in cells if cell.run)),
    }


def _changes(record: StudyRecord) -> str:
    return ", ".join(f"{key} = {value}" for key, value in record.changes.items())


def _notes(record: StudyRecord, results: Results) -> Iterator[str]:
    """Notes on the study's own settings are left out where any of them is changed."""
    study = record.study
    if study.file:
        yield (
            f"The study of the file {Path(study.file).name} (SHA-256 {study.file_hash}), which is in study.json as it "
            "was read."
        )
    if record.changes:
        yield (
            f"Settings that differ from those of the study {study.name.partition('+')[0]}: {_changes(record)}. "
            "What is said of the study's own settings does not apply to them."
        )
    else:
        yield from study.settings_notes
    yield from study.notes
    for path, choice in results.choices.items():
        if path in record.paths:
            yield _rate_note(path, choice, study.primary_of(path))
    if not study.cells:
        yield from _left_out(record, results)
    if results.unrelated_runs:
        single = results.unrelated_runs == 1
        here = (
            "1 finished run of this folder has"
            if single
            else f"{results.unrelated_runs} finished runs of this folder have"
        )
        yield f"{here} other settings, seeds or protocols, and {'is' if single else 'are'} not in this table."


def _left_out(record: StudyRecord, results: Results) -> Iterator[str]:
    (teacher,) = [path for path, run in record.study.items if run.role == "teacher"]
    runs = [f"{path} (seed {seed})" for path, seed in _lines(record) if not _shown(results, teacher, (path, seed))]
    if runs:
        yield f"Not finished, and left out: {', '.join(runs)}."


def _rate_note(path: str, choice: Choice, primary: str) -> str:
    tried = ", ".join(f"{100 * score:.1f} at {rate:g}" for rate, score in choice.scores.items())
    tried += "".join(f", training failed at {rate:g}" for rate in choice.diverged)
    end = ", at the end of the range tried" if choice.at_an_end else ""
    return f"Learning rate of {path}: {choice.rate:g}{end} ({in_sentence(primary)} on validation images, %: {tried})."
