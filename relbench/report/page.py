"""The report as one HTML page that needs nothing but itself."""

from statistics import fmean
from typing import Any

from relbench.analysis.methods import Method
from relbench.analysis.summary import Summary
from relbench.experiment import Experiment, Term, flattened
from relbench.plain_text import listed
from relbench.report.distances import distances_in_words, distances_plot, how_measured
from relbench.report.examples import examples_shown
from relbench.report.forest import forest_in_words, forest_plot
from relbench.report.headline import in_brief
from relbench.report.markup import Grid, Picture, grid_of, picture_of, rendered, with_addresses
from relbench.report.notes import notes, pair_note
from relbench.report.plots import recall_plot, size_plot, training_plot
from relbench.report.tables import formatted, formatted_pairs
from relbench.report.wording import (
    MAIN,
    NOTHING,
    PAIRS_TITLE,
    TIMES,
    commit_of,
    main_recall,
    mean_cell,
    metric_name,
    percent,
    stage_steps,
)
from relbench.results.records import Machine, Row

MEBIBYTE = 2**20


def page_text(summary: Summary) -> str:
    """The whole page."""
    return rendered("report.html", _content(summary))


def _content(summary: Summary) -> dict[str, Any]:
    same, different = _settings(summary)
    first, others = in_brief(summary)
    return {
        "study": summary.name,
        "title": summary.title,
        "headline": first,
        "further_findings": others,
        "forest": _forest(summary),
        "notes": notes(summary),
        "compared": _results(summary, "Results on test classes", in_brief=True),
        "further": _results(summary, "Size, batch and further metrics", in_brief=False),
        "pairs": _pairs(summary),
        "pair_note": pair_note(summary),
        "pairs_title": PAIRS_TITLE,
        "recall": picture_of(recall_plot, summary, _recall_in_words(summary)),
        "size": picture_of(size_plot, summary, _size_in_words(summary)),
        "training": picture_of(training_plot, summary, _training_in_words(summary)),
        "seeds": _by_seed(summary),
        "same": same,
        "different": different,
        "runs": _runs(summary),
        "machines": _machines(summary),
        "sources": [(name, with_addresses(source)) for name, source in summary.sources.items()],
        "own": _own(summary),
        "examples": examples_shown(summary.examples),
        **_distances(summary),
        "missing": summary.missing,
    }


def _own(summary: Summary) -> dict[str, str]:
    """Losses that are not relbench's, as text."""
    stages = [stage for row in summary.rows for stage in row.experiment.stages]
    return {term.loss: term.source for stage in stages for term in stage.terms if term.source}


def _forest(summary: Summary) -> Picture | None:
    """What a teacher alone has nothing to show in."""
    if not any(method.against_teacher for method in summary.methods):
        return None
    return picture_of(forest_plot, summary, forest_in_words(summary))


def _distances(summary: Summary) -> dict[str, Any]:
    if summary.distances is None:
        return {"distances": None}
    picture = picture_of(distances_plot, summary, distances_in_words(summary.distances))
    return {"distances": picture, "distances_measured": how_measured(summary.distances)}


def _results(summary: Summary, name: str, *, in_brief: bool) -> Grid:
    return grid_of(name, formatted(summary).part(in_brief=in_brief))


def _pairs(summary: Summary) -> Grid | None:
    return grid_of(PAIRS_TITLE, formatted_pairs(summary)) if summary.pairs else None


def _recall_in_words(summary: Summary) -> str:
    values = "; ".join(f"{method.label} {percent(main_recall(method))} %" for method in summary.methods)
    floors = "; ".join(f"{floor.label} {percent(floor.metrics[MAIN].mean)} %" for floor in summary.all_floors)
    dotted = f" Dotted, without training: {floors}." if floors else ""
    return (
        f"Curves of Recall@K over K, one for each method. At K = 1: {values}.{dotted} "
        "The table above holds the other values."
    )


def _training_in_words(summary: Summary) -> str:
    terms = dict.fromkeys(term.loss for row in summary.rows for term in row.experiment.terms)
    values = "; ".join(f"{method.label} {_last_validation(method)}" for method in summary.methods)
    return (
        f"Curves over training steps, one for each method: a panel for each loss term ({listed(list(terms))}), "
        f"and one for Recall@1 on validation classes. Its last values: {values}."
    )


def _last_validation(method: Method) -> str:
    recorded = [[entry[MAIN] for entry in row.history if MAIN in entry] for row in method.rows]
    last = [values[-1] for values in recorded if values]
    return f"{percent(fmean(last))} %" if last else "not recorded"


def _size_in_words(summary: Summary) -> str:
    values = "; ".join(
        f"{method.label}: {method.row.experiment.net.dim:,} dimensions, {method.row.parameters:,} parameters, "
        f"{mean_cell(method.metrics[MAIN])} %"
        for method in summary.methods
    )
    return f"Recall@1 over embedding dimensions, and over parameters, a marker for each method. {values}."


def _by_seed(summary: Summary) -> Grid:
    metrics = list(summary.methods[0].metrics)
    header = ["Method", "Seed", *(f"{metric_name(metric)}, %" for metric in metrics), "Validation Recall@1, %", "Step"]
    rows = [_seed_line(method, row, metrics) for method, row in _runs_of(summary)]
    return Grid("Values by seed", header, rows, [False] + [True] * (len(header) - 1))


def _seed_line(method: Method, row: Row, metrics: list[str]) -> list[str]:
    values = [percent(row.metrics[metric]) for metric in metrics]
    validation = percent(row.validation[MAIN]) if MAIN in row.validation else NOTHING
    return [method.label, str(row.experiment.seed), *values, validation, f"{row.selected_step:,}"]


def _runs_of(summary: Summary) -> list[tuple[Method, Row]]:
    return [(method, row) for method in summary.methods for row in method.rows]


def _settings(summary: Summary) -> tuple[list[tuple[str, str]], Grid]:
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
    for group in ("net", "training", "data"):
        values = flattened(getattr(experiment, group))
        settings |= {f"{group}.{name}": _shown(value) for name, value in values.items()}
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
    return "none" if teacher is None else f"{teacher.net.trunk}, {teacher.net.dim}-d"


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


def _runs(summary: Summary) -> Grid:
    machines = _distinct_machines(summary)
    costs = ["Training, s", "Evaluation, s", "Peak memory, MiB"]
    header = ["Method", "Seed", "Run", "Teacher's run", "Data", "Machine", *costs, "Finished"]
    rows = [_run_line(method, row, machines.index(row.machine) + 1) for method, row in _runs_of(summary)]
    return Grid("Runs", header, rows, [title in costs for title in header])


def _run_line(method: Method, row: Row, machine: int) -> list[str]:
    teacher = row.experiment.last_teacher
    names = [row.fingerprint, teacher.fingerprint if teacher else NOTHING, row.data_hash, str(machine)]
    costs = [f"{row.train_seconds:,.1f}", f"{row.evaluate_seconds:,.1f}", f"{row.peak_memory / MEBIBYTE:,.0f}"]
    return [method.label, str(row.experiment.seed), *names, *costs, row.finished]


def _distinct_machines(summary: Summary) -> list[Machine]:
    machines: list[Machine] = []
    for row in summary.rows:
        if row.machine not in machines:
            machines.append(row.machine)
    return machines


def _machines(summary: Summary) -> list[str]:
    """A machine a line, in the order that the runs cite them by."""
    return [
        f"{machine.device}, {machine.cores} cores, {machine.system}; git commit {commit_of(machine)}; "
        + ", ".join(f"{package} {version}" for package, version in sorted(machine.versions.items()))
        for machine in _distinct_machines(summary)
    ]
