"""Notes on the methods that a reader must know, each true for whatever came out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from relbench.analysis.comparable import is_self_distilled, settings, unequal_settings
from relbench.analysis.methods import Method
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison
from relbench.evaluation.metric_names import in_sentence, metric_name
from relbench.experiment import Experiment, Net
from relbench.plain_text import counted, listed, many, p_value
from relbench.report.looks import ENOUGH_SEEDS, looks_notes
from relbench.report.power import methods_line, pairs_line
from relbench.report.wording import (
    commit_of,
    groups_of_trials,
    meanings,
    rests_on,
    seeds_in_words,
    stage_steps,
    task_of,
)
from relbench.results.records import Row
from relbench.tasks import Task, find_task

VERDICT = (
    "Verdict: beats or loses where a test over new training runs and new {} at once, as crossed random factors, finds "
    "p < 0.05 (Cochran's critical value). Not shown to differ is no proof of equality."
)
FEW_SEEDS = (
    "With fewer than four seeds, more than 5 % of such tables have a false verdict: in simulations 10 % of tables of 4 "
    "students and 15 % of tables of 18 with two seeds, 5 % and 8 % with three."
)
LONGEST_NAMED = 5  # labels: a longer list in a note is read by nobody


def notes(summary: Summary) -> list[str]:
    """What a reader of the table must know, a sentence or two each: first how to read it, then the plan's own notes."""
    return [
        _checkpoints(summary),
        _start(summary),
        *_unknown_weights(summary),
        *_shared_losses(summary),
        *_staged(summary),
        *_intervals(summary),
        *methods_line(summary),
        *looks_notes(summary),
        *_verdicts(summary),
        *meanings(summary.methods[0].metrics),
        *_floors(summary),
        *_unequal_seeds(summary),
        _data(summary),
        *_unequal_students(summary),
        *_shared_runs(summary),
        *_mixed(summary),
        *([] if summary.cells else summary.notes),  # which stand below the cells
    ]


def _checkpoints(summary: Summary) -> str:
    meanings = {"last": "last step", "validation": f"best {in_sentence(summary.primary)} on validation images"}
    groups = _groups(summary.methods, lambda row: meanings[row.experiment.training.selection])
    return f"Checkpoint that counts: {_shares(groups)}."


def _start(summary: Summary) -> str:
    weights = _groups(summary.methods, lambda row: _weights(row.experiment.net))
    batches = _groups(summary.methods, lambda row: _batch(row.experiment))
    return f"Initial weights: {_shares(weights)}. Batch: {_shares(batches)}."


def _weights(net: Net) -> str:
    return f"of the file {Path(net.weights_file).name}" if net.weights_file else net.weights


def _unknown_weights(summary: Summary) -> list[str]:
    """What nobody here can check: a network that has seen the test's classes is better at them than a new one."""
    files = _groups(
        [method for method in summary.methods if method.row.experiment.net.weights_file],
        lambda row: _weights(row.experiment.net),
    )
    if not files:
        return []
    named = listed(list(files))
    return [
        f"What the initial weights {named} were trained on is not known: if it had test classes, values are too high."
    ]


def _shared_losses(summary: Summary) -> list[str]:
    """What most students are trained with, so that their own losses stand beside it."""
    students = [method for method in summary.methods if method.role == "student"]
    labels = [method.label for method in students]
    having: dict[str, list[str]] = {}
    for method in students:
        for loss in dict.fromkeys(term.loss for stage in method.row.experiment.stages for term in stage.terms):
            having.setdefault(loss, []).append(method.label)
    shared = [
        loss if some == labels else f"{loss} ({_part(some, labels)})"
        for loss, some in having.items()
        if len(some) > max(1, len(labels) / 2)
    ]
    return [f"Loss shared by students: {listed(shared)}."] if shared else []


def _staged(summary: Summary) -> list[str]:
    """Whose training has an earlier part, of which a row says nothing but the settings."""
    parts = _groups(summary.methods, lambda row: stage_steps(row.experiment))
    named = [f"{listed(labels)} ({steps})" for steps, labels in parts.items() if "+" in steps]
    said = "steps are summed over stages; training curves, times and the step that counts are those of the last"
    return [f"Trained in stages: {'; '.join(named)}. Their {said}."] if named else []


def _batch(experiment: Experiment) -> str:
    task, training = find_task(experiment.task), experiment.training
    images = counted(training.batch_size, "image")
    if episode := task.episode(training):
        of_a_class = f"{counted(episode.shot, 'support image')} and {counted(episode.queries, 'query')} each"
        return f"{images}, {counted(episode.way, 'class')} of {of_a_class}"
    return f"{images}, {training.images_per_class:,} per class" if task.balanced else images


def has_one_class(summary: Summary) -> bool:
    """Whether all trials are of one class, which says nothing about new classes."""
    return len(summary.methods[0].row.counts.groups) == 1


def _intervals(summary: Summary) -> list[str]:
    """How values and differences are to be read."""
    seeds = f"{seeds_in_words(summary)} ({', '.join(map(str, summary.seeds))})"
    if len(summary.seeds) == 1:
        means = f"{seeds}: no intervals over new training runs, which may give other values, and no verdict."
    else:
        means = f"{seeds}: values are means, with 95 % intervals over the seeds (Student's t)."
    return [means, *_differences(summary)]


def _differences(summary: Summary) -> list[str]:
    difference = f"Difference: {metric_name(summary.primary)} minus the teacher's"
    if len(summary.seeds) == 1:
        return [f"{difference}."]
    if has_one_class(summary):
        return [f"{difference}. {_one_class(task_of(summary))}"]
    over = f"over new training runs and new {groups_of_trials(summary)} at once"
    ordinary = ", for a number of seeds that is fixed" if summary.until_decided else ""
    return [
        f"{difference}, with its 95 % interval {over}; table.csv has those over either alone{ordinary}.",
        "Detectable: the smallest true difference that would be shown with probability 0.8, at the spread found here.",
    ]


def _one_class(task: Task) -> str:
    without = f"no interval over new {many(task.group)}, which may give other values, and no verdict"
    return f"All {many(task.trial)} are of one {task.group}: {without}."


def _verdicts(summary: Summary) -> list[str]:
    """What a verdict takes, how it is corrected for the number of students, and which ones that changed."""
    if len(summary.seeds) == 1 or has_one_class(summary):
        return []
    comparisons = {method.label: method.against_teacher for method in summary.methods if method.against_teacher}
    not_covered = task_of(summary).not_covered
    return [
        VERDICT.format(groups_of_trials(summary)),
        *([not_covered] if not_covered else []),
        *_correction(summary),
        *([FEW_SEEDS] if len(summary.seeds) < ENOUGH_SEEDS else []),
        *_only_alone(comparisons),
    ]


def _correction(summary: Summary) -> list[str]:
    roles = [method.role for method in summary.methods]
    if roles.count("student") < 2:
        return []
    controls = "; controls are judged alone" if "control" in roles else ""
    correction = f"Verdicts are corrected for {roles.count('student')} students (Holm, p < 0.05){controls}."
    return [f"{correction} Each interval is 95 %, uncorrected; table.csv has every p."]


def _only_alone(comparisons: Mapping[str, Comparison]) -> list[str]:
    """Which verdicts the correction changed, in a sentence."""
    changed = [
        f"{name} ({p_value(comparison.p_value)}, {rests_on(comparison)})"
        for name, comparison in comparisons.items()
        if comparison.taken_back and comparison.p_value is not None
    ]
    return [f"With a verdict if judged alone, but not after the correction: {listed(changed)}."] if changed else []


def _floors(summary: Summary) -> list[str]:
    """What the lines without training are."""
    if not summary.all_floors:
        return []
    return [" ".join(["Floors, without training and without a verdict.", *(floor.how for floor in summary.all_floors)])]


def _unequal_seeds(summary: Summary) -> list[str]:
    """Means over different seeds are not of equal worth."""
    groups = _groups(summary.methods, lambda row: str(row.experiment.seed))
    everybody = [method.label for method in summary.methods]
    partial = [f"seed {seed}: {_part(labels, everybody)}" for seed, labels in groups.items() if labels != everybody]
    return [f"Unequal seeds: {'; '.join(partial)}."] if partial else []


def _part(labels: Sequence[str], everybody: Sequence[str]) -> str:
    missing = [label for label in everybody if label not in labels]
    return f"all but {listed(missing)}" if len(labels) > max(LONGEST_NAMED, len(missing)) else f"only {listed(labels)}"


def _data(summary: Summary) -> str:
    row = summary.methods[0].row
    task = task_of(summary)
    size = f"{counted(sum(row.counts.trials), task.trial)} of {counted(len(row.counts.groups), task.group)}"
    return f"Data: {row.experiment.data.name}, {summary.shown_at}, {size}, hash {row.data_hash}."


def _unequal_students(summary: Summary) -> list[str]:
    """One note for each setting that belies the claim that students differ in their loss alone."""
    students = [method for method in summary.students if not is_self_distilled(method.row.experiment)]
    names = unequal_settings(row.experiment for method in students for row in method.rows)
    groups = {name: _groups(students, _setting(name)) for name in names}
    return [f"Students differ in more than their loss: {name}: {_shares(groups[name])}." for name in names]


def _setting(name: str) -> Callable[[Row], str]:
    return lambda row: settings(row.experiment)[name]


def _shared_runs(summary: Summary) -> list[str]:
    """Whether several devices shared each run; where only some were shared, `_mixed` says so."""
    numbers = {row.devices for row in summary.rows}
    shared = [number for number in numbers if number > 1 and len(numbers) == 1]
    return [f"Each run was shared by {number:,} devices: as by one, but for rounding." for number in shared]


def _mixed(summary: Summary) -> list[str]:
    """One note for each circumstance in which the runs differ: such a difference may be in the results too."""
    packages = sorted({name for row in summary.rows for name in row.machine.versions})
    circumstances = {
        "data": _groups(summary.methods, lambda row: f"{row.experiment.data.name} {row.data_hash}"),
        "device": _groups(summary.methods, lambda row: row.machine.device),
        "devices of a run": _groups(summary.methods, lambda row: counted(row.devices, "device")),
        "git commit": _groups(summary.methods, lambda row: commit_of(row.machine)),
        **{name: _groups(summary.methods, _version_of(name)) for name in packages},
    }
    return [f"Mixed: {name}: {_shares(groups)}." for name, groups in circumstances.items() if len(groups) > 1]


def _version_of(package: str) -> Callable[[Row], str]:
    return lambda row: row.machine.versions.get(package, "absent")


def _groups(methods: Sequence[Method], key: Callable[[Row], str]) -> dict[str, list[str]]:
    """Labels of the methods by what their runs have, in the table's order."""
    groups: dict[str, list[str]] = {}
    for method in methods:
        for value in dict.fromkeys(key(row) for row in method.rows):
            groups.setdefault(value, []).append(method.label)
    return groups


def _shares(groups: dict[str, list[str]]) -> str:
    """Who has what; the largest group last and unnamed, where naming it would only hide the others."""
    if len(groups) == 1:
        return next(iter(groups))
    largest = max(groups, key=lambda value: len(groups[value]))
    named = [(value, labels) for value, labels in groups.items() if value != largest]
    if len(groups[largest]) <= LONGEST_NAMED or set(groups[largest]) & {
        label for _, labels in named for label in labels
    }:
        return "; ".join(f"{value} ({listed(labels)})" for value, labels in groups.items())
    return "; ".join([*(f"{value} ({listed(labels)})" for value, labels in named), f"{largest} (all others)"])


def pair_note(summary: Summary) -> str:
    """How methods are compared with each other, and which verdicts the correction changed."""
    judged = any(pair.comparison.p_adjusted is not None for pair in summary.pairs)
    several = judged and len(summary.pairs) > 1
    count = f", corrected for these {len(summary.pairs)} comparisons (Holm, p < 0.05)" if several else ""
    comparisons = {f"{pair.label} against {pair.other}": pair.comparison for pair in summary.pairs}
    pairing = f"paired by seed, over the same {many(task_of(summary).trial)}"
    difference = f"{metric_name(summary.primary)} of a method minus that of the other"
    words = f"{difference}: {pairing}, judged as against the teacher{count}."
    return " ".join([words, *_only_alone(comparisons), *pairs_line(summary)])
