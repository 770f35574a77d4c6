"""The claims of a table about its rows, and the refusal of rows that break them.

- All rows answer for the same task and the same images, shown alike.
- Rows of a method differ in nothing but the seed, their teacher's included.
- A student's teacher is the one it is compared with: the table's, of the same seed.
- Students differ in their loss alone. Where they don't, the table stands, but must say so: `unequal_settings`. Students
  that are their teacher's own network, trained as it was, differ from it in their loss alone: `is_self_distilled`.

Teacher and student may differ in network, steps and batch; the table states those.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from relbench.experiment import Experiment, flattened
from relbench.results.records import Entry, Row

COMMON = ("task", "data.name", "data.content", "data.size", "data.resize")
GROUPS = ("data", "net", "training")


def settings(experiment: Experiment) -> dict[str, str]:
    """All settings but the seed, by dotted name, written as `--set` takes it.

    A teacher's begin with "teacher.", those of a first stage with "initialized_from."; steps are those of all stages.
    """
    flat = {
        f"{group}.{name}": _written(value)
        for group in GROUPS
        for name, value in flattened(getattr(experiment, group)).items()
    }
    flat["task"] = json.dumps(experiment.task.hashed)
    flat["training.steps"] = str(experiment.total_steps)
    flat["terms"] = _written([term.model_dump(mode="json") for term in experiment.terms])
    flat["code_version"] = _written(experiment.code_version)
    teacher = settings(experiment.teacher) if experiment.teacher else {}
    flat["teacher"] = "given" if teacher else "none"
    first = settings(experiment.initialized_from) if experiment.initialized_from else {}
    earlier = {f"initialized_from.{name}": value for name, value in first.items()}
    return flat | {f"teacher.{name}": value for name, value in teacher.items()} | earlier


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def is_self_distilled(student: Experiment) -> bool:
    """Whether a student is its teacher's own network, trained anew as the teacher was."""
    teacher = student.last_teacher
    return teacher is not None and (student.net, student.training) == (teacher.net, teacher.training)


def unequal_settings(students: Iterable[Experiment]) -> list[str]:
    """Names of the settings that students differ in, their losses and teachers aside."""
    every = [settings(student) for student in _unlike(students)]
    compared = [
        name
        for name in (every[0] if every else {})
        if name.partition(".")[0] not in ("terms", "teacher", "initialized_from")
    ]
    return [name for name in compared if len({given[name] for given in every}) > 1]


def _unlike(experiments: Iterable[Experiment]) -> list[Experiment]:
    """The first of each kind, teachers and losses aside: a table has thousands of runs, but few kinds."""
    kinds: list[tuple[object, ...]] = []
    first = []
    for run in experiments:
        kind = (run.task, run.data, run.net, run.training, run.total_steps, run.code_version)
        if kind not in kinds:
            kinds.append(kind)
            first.append(run)
    return first


def _alike(first: Experiment | None, second: Experiment | None) -> bool:
    """Whether all settings are equal, seeds aside: a look that is quick beside `settings`."""
    if first is None or second is None:
        return first is second
    own, others = ({**dict(run), "seed": 0, "teacher": None, "initialized_from": None} for run in (first, second))
    grounds = (first.teacher, second.teacher), (first.initialized_from, second.initialized_from)
    return own == others and all(_alike(*pair) for pair in grounds)


def refuse_unfair(entries: Sequence[Entry], rows: Mapping[str, Row]) -> None:
    """Check the rows of one table before they are compared.

    Args:
        entries: The finished lines of the table.
        rows: By fingerprint.

    Raises:
        ValueError: Rows of different data; rows of a method that differ in more than the seed, or that stand for a seed
            twice; a student of another teacher; one line that names what differs, where, and what to do.
    """
    problem = next(_problems(entries, rows), None)
    if problem:
        raise ValueError(f"{problem}: run the study again, or delete the folders of such runs")


def _problems(entries: Sequence[Entry], rows: Mapping[str, Row]) -> Iterator[str]:
    yield from _other_images(entries, rows)
    for label in dict.fromkeys(entry.label for entry in entries):
        yield from _other_settings([entry for entry in entries if entry.label == label], rows)
    yield from _other_teachers(entries, rows)


def _other_images(entries: Sequence[Entry], rows: Mapping[str, Row]) -> Iterator[str]:
    shown = [
        (row.experiment.task, row.experiment.data, row.data_hash)
        for row in (rows[entry.fingerprint] for entry in entries)
    ]
    for entry in (entry for entry, own in zip(entries, shown, strict=True) if own != shown[0]):
        first, own = (_images(rows[compared.fingerprint]) for compared in (entries[0], entry))
        for name in [name for name in first if first[name] != own[name]]:
            values = f"{name} is {first[name]} for {_called(entries[0])}, {own[name]} for {_called(entry)}"
            yield f"rows of different {'tasks' if name == 'task' else 'data'} can't be compared: {values}"


def _images(row: Row) -> dict[str, str]:
    given = settings(row.experiment)
    return {name: given[name] for name in COMMON} | {"the hash of images, labels and split": row.data_hash}


def _other_settings(entries: Sequence[Entry], rows: Mapping[str, Row]) -> Iterator[str]:
    """What is wrong among the rows of one method."""
    kind = rows[entries[0].fingerprint].experiment
    first = settings(kind)
    seen: set[int] = set()
    for entry in entries:
        experiment = rows[entry.fingerprint].experiment
        own = first if _alike(experiment, kind) else settings(experiment)
        for name in [name for name in first | own if first.get(name) != own.get(name)]:
            values = f"{first.get(name)} for {_called(entries[0])}, {own.get(name)} for {_called(entry)}"
            yield f"rows of a method may differ only in their seed, but {name} is {values}"
        if entry.role != entries[0].role:
            yield f"{entry.label!r} is both {entries[0].role} and {entry.role}: a method needs a label of its own"
        if experiment.seed != entry.seed or entry.seed in seen:
            yield f"{_called(entry)} has a run of seed {experiment.seed}: a method needs one run per seed, of that seed"
        seen.add(entry.seed)


def _other_teachers(entries: Sequence[Entry], rows: Mapping[str, Row]) -> Iterator[str]:
    teachers = {entry.seed: entry.fingerprint for entry in entries if entry.role == "teacher"}
    for entry in entries:
        stages = rows[entry.fingerprint].experiment.stages
        names = [stage.teacher.fingerprint for stage in stages if stage.teacher]
        for name in [name for name in names if name != teachers[entry.seed]]:
            both = f"{name} taught {_called(entry)}, but the table's is {teachers[entry.seed]}"
            yield f"a student is compared with its own teacher, and {both}"


def _called(entry: Entry) -> str:
    return f"{entry.label} (seed {entry.seed})"
