"""Numbers into words: cells, sentences and the headline, each true for whatever came out."""

from collections.abc import Callable, Sequence

from relbench.comparison import Comparison, Interval
from relbench.experiment import Data, Experiment, Protocol
from relbench.ledger import Machine, Row
from relbench.report.fairness import settings, unequal_settings
from relbench.report.summary import Method, Pair, Summary

RECALL = "recall@"
MAIN = "recall@1"  # the metric that methods are compared by
VERDICTS = {
    "beats": "beats the teacher",
    "does not differ": "does not differ from the teacher",
    "loses": "loses to the teacher",
}
NAMES = {"r_precision": "R-precision", "map@r": "MAP@R"}
LONGEST_NAMED = 5  # labels: a longer list in a note is read by nobody
NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"


def metric_name(metric: str) -> str:
    """As readers write it: recall@1 is Recall@1."""
    return NAMES.get(metric, metric.replace(RECALL, "Recall@"))


def recall_ranks(method: Method) -> list[int]:
    """Every K that recall@K was measured at, rising."""
    return sorted(int(metric.removeprefix(RECALL)) for metric in method.metrics if metric.startswith(RECALL))


def main_recall(method: Method) -> float:
    """Mean recall@1 over seeds, in [0, 1]."""
    return method.metrics[MAIN].mean


def percent(value: float) -> str:
    """0.523 is 52.3."""
    return f"{_tenths(value):.1f}".replace("-", MINUS)


def signed(value: float) -> str:
    """A difference in points, with its sign: 0.049 is +4.9."""
    return f"{_tenths(value):+.1f}".replace("-", MINUS)


def _tenths(value: float) -> float:
    return round(100 * value, 1) + 0.0  # the sum turns -0.0 into 0.0


def mean_cell(interval: Interval) -> str:
    """Mean and 95 % interval in percent: with ± where both arms are equal, else with both bounds."""
    if interval.low is None or interval.high is None:
        return percent(interval.mean)
    below, above = interval.mean - interval.low, interval.high - interval.mean
    if abs(below - above) < 1e-9:
        return f"{percent(interval.mean)} ± {percent(above)}"
    return f"{percent(interval.mean)} [{percent(interval.low)}, {percent(interval.high)}]"


def bounds_cell(interval: Interval) -> str:
    """The bounds of a difference, in points."""
    if interval.low is None or interval.high is None:
        return "one seed"
    return f"[{signed(interval.low)}, {signed(interval.high)}]"


def net_name(method: Method) -> str:
    """Trunk, width where it has one, and dimensions: conv4-16/128."""
    net = method.row.experiment.net
    return f"{net.trunk}{'' if net.width is None else f'-{net.width}'}/{net.dim}"


def verdict(method: Method) -> str:
    """The verdict against the teacher as a phrase, with what it rests on."""
    comparison = method.against_teacher
    return f"{VERDICTS[comparison.verdict]} ({_rests_on(comparison)})" if comparison else NOTHING


PAIRS_TITLE = "Methods against each other"


def pair_verdict(pair: Pair) -> str:
    """The verdict on one method against another, with what it rests on."""
    return f"{pair.comparison.verdict} ({_rests_on(pair.comparison)})"


def pair_note(summary: Summary) -> str:
    """How methods are compared with each other, and which verdicts the correction changed."""
    count = f", corrected for these {len(summary.pairs)} comparisons (Holm, p < 0.05)" if len(summary.pairs) > 1 else ""
    back = [
        f"{pair.label} against {pair.other} ({_p_values(pair.comparison)})"
        for pair in summary.pairs
        if pair.comparison.taken_back
    ]
    pairing = "paired by seed, over the same queries"
    words = f"Recall@1 of a method less that of the other: {pairing}, judged as against the teacher{count}."
    return f"{words} Taken back by the correction: {listed(back)}." if back else words


def _rests_on(comparison: Comparison) -> str:
    """A single seed can't tell what training anew would give."""
    return f"{counted(comparison.seeds, 'seed')}{', queries alone' if comparison.seeds == 1 else ''}"


def counted(number: int, noun: str) -> str:
    """1 seed, 3 seeds, 2 classes."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else ending}"


def seeds_in_words(summary: Summary) -> str:
    """How many seeds stand behind the values: 3 seeds, or 1 to 3 seeds where some runs are missing."""
    fewest, most = min(counts := [len(method.rows) for method in summary.methods]), max(counts)
    return counted(most, "seed") if fewest == most else f"{fewest} to {counted(most, 'seed')}"


def listed(words: Sequence[str]) -> str:
    """Words as a list with "and" before the last."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def headline(summary: Summary) -> str:
    """What came out, in sentences that also hold where no student wins."""
    teacher, *others = summary.methods
    students = [method for method in others if method.role == "student"]
    if not students:
        return f"{_named(teacher)} reaches {_reach(teacher)}; no student was compared with it."
    winners = _winners(students)
    best = best_student(students)
    sentences = [_on_winner(best, teacher, len(winners), len(students)) if winners else _on_no_winner(best, teacher)]
    sentences += _on_no_distillation(best, students)
    sentences += [_on_control(method, best) for method in others if method.role == "control"]
    sentences += _on_single_seeds(others)
    return " ".join(sentences)


def best_student(students: Sequence[Method]) -> Method:
    """The one of the greatest mean recall@1 among those that beat the teacher, or among all where none does."""
    return max(_winners(students) or students, key=main_recall)


def _winners(students: Sequence[Method]) -> list[Method]:
    return [student for student in students if _compared(student).verdict == "beats"]


def _on_winner(best: Method, teacher: Method, winners: int, students: int) -> str:
    gain = f"{percent(_compared(best).difference)} points of Recall@1"
    values = f"{percent(main_recall(best))} % against {percent(main_recall(teacher))} %, {_seeds_of(best)}"
    count = f" {winners} of {counted(students, 'student')} beat{'s' if winners == 1 else ''} the teacher."
    return f"{_named(best)} beats its teacher ({_budget(teacher)}) by {gain} ({values}).{count if students > 1 else ''}"


def _on_no_winner(best: Method, teacher: Method) -> str:
    start = f"No student is shown to beat the teacher ({_budget(teacher)}), which reaches {_reach(teacher)}"
    return f"{start}; the best, {_named(best)}, reaches {_reach(best)} and {_against(_compared(best))}."


def _on_no_distillation(best: Method, students: Sequence[Method]) -> list[str]:
    """How far the best distilled student stands from the best one that never saw a teacher."""
    alone = [student for student in students if student.row.experiment.taught_by is None]
    if not alone or best in alone:
        return []
    other = max(alone, key=main_recall)
    distance = gap(main_recall(best) - main_recall(other))
    best_of = "the best student" if len(alone) > 1 else "the student"
    values = f"({percent(main_recall(other))} %)"
    return [f"{best.label} is {distance} {best_of} trained without a teacher, {other.label} {values}."]


def _on_control(control: Method, best: Method) -> str:
    comparison, winner = _compared(control), _compared(best)
    opening = "But the control" if comparison.verdict == winner.verdict == "beats" else "The control"
    to_best = f"{gap(main_recall(control) - main_recall(best))} {best.label}"
    values = f"{percent(main_recall(control))} %: it {_against(comparison)}"
    return f"{opening} “{control.label}” ({_budget(control)}) reaches {values}, and is {to_best}."


def _on_single_seeds(others: Sequence[Method]) -> list[str]:
    single = [method.label for method in others if _compared(method).seeds == 1]
    if not single:
        return []
    who = "Verdicts rest" if len(single) == len(others) else f"The verdict on {listed(single)} rests"
    return [f"{who} on 1 seed, and so on queries alone: new training runs may give others."]


def _against(comparison: Comparison) -> str:
    """Verdict and size: "beats the teacher by 4.9 points"."""
    phrase = VERDICTS[comparison.verdict]
    if comparison.verdict == "does not differ":
        return f"{phrase} ({gap(comparison.difference)} it)"
    return f"{phrase} by {percent(abs(comparison.difference))} points"


def _compared(method: Method) -> Comparison:
    if method.against_teacher is None:
        raise ValueError(f"method {method.label!r} has no comparison with the teacher: compare it before reporting")
    return method.against_teacher


def gap(difference: float) -> str:
    """Where a method stands, before the other's name: "4.9 points above"."""
    if abs(difference) < 0.0005:
        return "within 0.05 points of"
    return f"{percent(abs(difference))} points {'above' if difference > 0 else 'below'}"


def _named(method: Method) -> str:
    return f"{method.label} ({_budget(method)})"


def _budget(method: Method) -> str:
    """Net and steps, without which no two values should be compared."""
    return f"{net_name(method)}, {counted(method.row.experiment.total_steps, 'step')}"


def _reach(method: Method) -> str:
    return f"{percent(main_recall(method))} % Recall@1 ({_seeds_of(method)})"


def _seeds_of(method: Method) -> str:
    return counted(len(method.rows), "seed")


def notes(summary: Summary) -> list[str]:
    """What a reader of the table must know, a sentence or two each: first how to read it, then the plan's own notes."""
    return [
        _checkpoints(summary),
        _start(summary),
        *_staged(summary),
        *_intervals(summary),
        *_verdicts(summary),
        *_unequal_seeds(summary),
        _data(summary),
        *_unequal_students(summary),
        *_mixed(summary),
        *summary.plan.notes,
    ]


def _checkpoints(summary: Summary) -> str:
    meanings = {"last": "last step", "validation": "best recall@1 on validation classes"}
    groups = _groups(summary.methods, lambda row: meanings[row.experiment.protocol.selection])
    return f"Checkpoint that counts: {_shares(groups)}."


def _start(summary: Summary) -> str:
    weights = _groups(summary.methods, lambda row: row.experiment.net.weights)
    batches = _groups(summary.methods, lambda row: _batch(row.experiment.protocol))
    return f"Weights at the start: {_shares(weights)}. Batch: {_shares(batches)}."


def _staged(summary: Summary) -> list[str]:
    """Whose training has an earlier part, of which a row says nothing but the settings."""
    parts = _groups(summary.methods, lambda row: stage_steps(row.experiment))
    named = [f"{listed(labels)} ({steps})" for steps, labels in parts.items() if "+" in steps]
    said = "steps are those of all stages; training curves, times and the step that counts are those of the last"
    return [f"In stages: {'; '.join(named)}. Their {said}."] if named else []


def stage_steps(experiment: Experiment) -> str:
    """1,000, or 500 + 500 in two stages."""
    return " + ".join(f"{stage.protocol.steps:,}" for stage in experiment.stages)


def _batch(protocol: Protocol) -> str:
    return f"{counted(protocol.batch_size, 'image')}, {protocol.images_per_class:,} of a class"


def _intervals(summary: Summary) -> list[str]:
    seeds = f"{seeds_in_words(summary)} ({', '.join(map(str, summary.seeds))})"
    difference = (
        "Difference: Recall@1 less the teacher's. Over queries: its 95 % interval when test classes are resampled; "
        "the trained networks are held fixed."
    )
    if len(summary.seeds) == 1:
        return [f"{seeds}: no interval over seeds; verdicts rest on queries alone.", difference]
    return [
        f"{seeds}: values are means, with 95 % intervals over the seeds (Student's t).",
        difference,
        "Over seeds: the difference's 95 % interval when networks are trained anew (Student's t over the seeds).",
    ]


def _verdicts(summary: Summary) -> list[str]:
    """What a verdict takes, how it is corrected for the number of students, and which ones that changed."""
    taken_back = [
        f"{method.label} ({_p_values(comparison)})"
        for method in summary.methods
        if (comparison := method.against_teacher) and comparison.taken_back
    ]
    return [
        "Verdict: beats or loses only where every interval shown lies on that side of zero.",
        *_correction(summary),
        *([f"Taken back by the correction: {listed(taken_back)}."] if taken_back else []),
    ]


def _correction(summary: Summary) -> list[str]:
    roles = [method.role for method in summary.methods]
    if roles.count("student") < 2:
        return []
    controls = "; controls are judged alone" if "control" in roles else ""
    tests = "p over queries" if len(summary.seeds) == 1 else "p the larger of those over queries and over seeds"
    correction = f"Verdicts are corrected for {roles.count('student')} students (Holm, p < 0.05, {tests}){controls}."
    return [f"{correction} Intervals are 95 % each, uncorrected; table.csv has every p."]


def _p_values(comparison: Comparison) -> str:
    return f"p {_p(comparison.p_value)}, corrected {_p(comparison.p_adjusted)}"


def _p(value: float) -> str:
    """As many digits as a decision at 0.05 needs."""
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"


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
    size = f"{counted(sum(row.by_class.queries), 'query image')} of {counted(len(row.by_class.classes), 'test class')}"
    return f"Data: {row.experiment.data.name}, {_shown_at(row.experiment.data)}, {size}, hash {row.data_hash}."


def _shown_at(data: Data) -> str:
    crop = "the data set's own" if data.resize is None else f"from {data.resize} px"
    return f"{data.size} px (crop: {crop})"


def _unequal_students(summary: Summary) -> list[str]:
    """One note for each setting that belies the claim that students differ in their loss alone."""
    students = [method for method in summary.methods if method.role == "student"]
    names = unequal_settings(row.experiment for method in students for row in method.rows)
    groups = {name: _groups(students, _setting(name)) for name in names}
    return [f"Students differ in more than their loss: {name}: {_shares(groups[name])}." for name in names]


def _setting(name: str) -> Callable[[Row], str]:
    return lambda row: settings(row.experiment)[name]


def _mixed(summary: Summary) -> list[str]:
    """One note for each circumstance in which the runs differ: such a difference may be in the results too."""
    packages = sorted({name for row in all_rows(summary) for name in row.machine.versions})
    circumstances = {
        "data": _groups(summary.methods, lambda row: f"{row.experiment.data.name} {row.data_hash}"),
        "device": _groups(summary.methods, lambda row: row.machine.device),
        "git commit": _groups(summary.methods, lambda row: commit_of(row.machine)),
        **{name: _groups(summary.methods, _version_of(name)) for name in packages},
    }
    return [f"Mixed: {name}: {_shares(groups)}." for name, groups in circumstances.items() if len(groups) > 1]


def commit_of(machine: Machine) -> str:
    """The code's state, in words where there is none."""
    return machine.git_commit or "no git checkout"


def all_rows(summary: Summary) -> list[Row]:
    """Every run, in the table's order."""
    return [row for method in summary.methods for row in method.rows]


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
