"""Tables that only the page has: values by seed, settings, runs and machines."""

from relbench.analysis.cells import FilledCell, Ours
from relbench.analysis.methods import Method
from relbench.analysis.summary import Summary
from relbench.evaluation.metric_names import in_sentence, metric_name
from relbench.experiment import Experiment, Term
from relbench.models import embedding_size
from relbench.plain_text import counted, percent
from relbench.report.grids import decimals, parts
from relbench.report.markup import Grid
from relbench.report.wording import BRIEF, NOTHING, TIMES, commit_of, metric_title, stage_steps
from relbench.results.frame import setting_columns
from relbench.results.records import Machine, Row, Selection

MEBIBYTE = 2**20


def methods_by_seed(summary: Summary) -> Grid:
    """Metrics of every run of the methods."""
    metrics = list(summary.methods[0].metrics)
    validated = f"Validation {in_sentence(summary.primary)}, %"
    header = ["Method", "Seed", *map(metric_title, metrics), validated, "Step"]
    rows = [_seed_line(method, row, metrics, summary.primary) for method, row in _runs_of(summary)]
    return Grid("Values by seed", header, rows, [False] + [True] * (len(header) - 1))


def _seed_line(method: Method, row: Row, metrics: list[str], primary: str) -> list[str]:
    values = [percent(row.metrics[metric]) for metric in metrics]
    validation = percent(row.validation[primary]) if primary in row.validation else NOTHING
    return [method.label, str(row.experiment.seed), *values, validation, f"{row.selected_step:,}"]


def _runs_of(summary: Summary) -> list[tuple[Method, Row]]:
    return [(method, row) for method in summary.methods for row in method.rows]


def settings(summary: Summary) -> tuple[list[tuple[str, str]], Grid]:
    """What all methods share, and what they differ in: the second is what the comparison compares."""
    by_method = {method.label: _settings_of(method.row.experiment) for method in summary.methods}
    values = {name: [settings[name] for settings in by_method.values()] for name in next(iter(by_method.values()))}
    different = [name for name, given in values.items() if len(set(given)) > 1]
    same = [(name, given[0]) for name, given in values.items() if len(set(given)) == 1]
    rows = [[label, *(settings[name] for name in different)] for label, settings in by_method.items()]
    return same, Grid("Settings that differ", ["Method", *different], rows, [False] * (len(different) + 1))


def _settings_of(experiment: Experiment) -> dict[str, str]:
    settings = {"code_version": str(experiment.code_version), "loss": _loss(experiment)}
    settings["teacher"] = _teacher_name(experiment.last_teacher)
    settings |= {name: _shown(value) for name, value in setting_columns(experiment).items()}
    return settings | {"training.steps": stage_steps(experiment)}


def _loss(experiment: Experiment) -> str:
    terms = " + ".join(_term_name(term) for term in experiment.terms)
    return f"first {_loss(experiment.initialized_from)}, then {terms}" if experiment.initialized_from else terms


def _term_name(term: Term) -> str:
    given = {**term.options, **({"layers": list(term.layers)} if term.layers else {})}
    options = "; ".join(f"{name} = {_shown(value)}" for name, value in given.items())
    weight = "" if term.weight == 1 else f"{term.weight:g} {TIMES} "
    return f"{weight}{term.loss}{f' ({options})' if options else ''}"


def _teacher_name(teacher: Experiment | None) -> str:
    return "none" if teacher is None else f"{teacher.net.trunk}, {embedding_size(teacher.net, teacher.data.size)}-d"


def _shown(value: object) -> str:
    match value:
        case None | "" | []:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def runs(summary: Summary) -> Grid:
    """Every run with its costs."""
    machines = _distinct_machines(summary)
    costs = ["Training, s", "Evaluation, s", "Peak memory, MiB"]
    header = ["Method", "Seed", "Run", "Teacher's run", "Data", "Machine", *costs, "Finished"]
    rows = [_run_line(method, row, machines.index((row.machine, row.devices)) + 1) for method, row in _runs_of(summary)]
    return Grid("Runs", header, rows, [title in costs for title in header])


def _run_line(method: Method, row: Row, machine: int) -> list[str]:
    teacher = row.experiment.last_teacher
    names = [row.fingerprint, teacher.fingerprint if teacher else NOTHING, row.data_hash, str(machine)]
    costs = [f"{row.train_seconds:,.1f}", f"{row.evaluate_seconds:,.1f}", f"{row.peak_memory / MEBIBYTE:,.0f}"]
    return [method.label, str(row.experiment.seed), *names, *costs, row.finished]


def _distinct_machines(summary: Summary) -> list[tuple[Machine, int]]:
    """Machines, each with the number of its devices that shared a run."""
    machines: list[tuple[Machine, int]] = []
    for row in summary.rows:
        if (row.machine, row.devices) not in machines:
            machines.append((row.machine, row.devices))
    return machines


def machines(summary: Summary) -> list[str]:
    """Machines, one per line, in the order that the runs cite them by."""
    return [
        f"{machine.device}{_shared_by(devices)}, {machine.cores} cores, {machine.system}; "
        f"git commit {commit_of(machine)}; "
        + ", ".join(f"{package} {version}" for package, version in sorted(machine.versions.items()))
        for machine, devices in _distinct_machines(summary)
    ]


def _shared_by(devices: int) -> str:
    return f", each run shared by {counted(devices, 'device')}" if devices > 1 else ""


def cells_by_seed(summary: Summary) -> Grid | None:
    """What stands behind each of our means."""
    header = ["Network", "Measured on", "Metric", "Step that counts", "Seeds", "Values, %", "Steps"]
    rows = [
        [cell.path, cell.on or NOTHING, metric_name(cell.metric), BRIEF[rule], *_lists(ours, places)]
        for cells in parts(summary).values()
        for places in [decimals(cells)]
        for cell, rule, ours in _finished(cells, summary.shown)
    ]
    return Grid("Values by seed", header, rows, [False] * len(header)) if rows else None


def _finished(cells: list[FilledCell], shown: tuple[Selection, ...]) -> list[tuple[FilledCell, Selection, Ours]]:
    return [(cell, rule, cell.ours[rule]) for cell in cells for rule in shown if rule in cell.ours]


def _lists(ours: Ours, places: int) -> list[str]:
    values = ", ".join(percent(value, places) for value in ours.values)
    return [", ".join(map(str, ours.seeds)), values, ", ".join(f"{step}" for step in ours.steps)]
