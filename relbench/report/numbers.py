"""Numbers of a report for programs: in [0, 1], never percent."""

import pandas as pd

from relbench.analysis.cells import FilledCell, Ours, PairedDifference
from relbench.analysis.methods import Floor, Method
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison, Decision, Interval
from relbench.report.wording import task_of, verdict_word
from relbench.results.records import Selection

COMPARED = {
    "standard_error": "error",
    "degrees_of_freedom": "freedom",
    "p_over_classes": "p_over_classes",
    "p_over_seeds": "p_over_seeds",
    "p_value": "p_value",
    "p_adjusted": "p_adjusted",
    "detectable_difference": "detectable",
}
PREFIXES: dict[Selection, str] = {"last": "last", "validation": "validation", "test": "test_peeking"}


def method_numbers(summary: Summary) -> pd.DataFrame:
    """Metrics and differences, one line per method and floor, as fractions."""
    methods = [_numbers_of(method, summary) for method in summary.methods]
    frame = pd.DataFrame([*methods, *map(_floor_numbers, summary.all_floors)])
    whole = ("width", "dim", *_settings_of_batches(summary), "decision_seeds")  # though some cells are empty
    return frame.astype({name: "Int64" for name in whole if name in frame})


def _settings_of_batches(summary: Summary) -> list[str]:
    return ["batch_size", *(["images_per_class"] if task_of(summary).balanced else [])]


def _floor_numbers(floor: Floor) -> dict[str, object]:
    columns: dict[str, object] = {"method": floor.label, "role": "floor", "parameters": floor.parameters, "steps": 0}
    columns["seeds"] = floor.seeds
    for metric, interval in floor.metrics.items():
        columns |= {metric: interval.mean, **_bound_columns(metric, interval)}
    return columns


def _numbers_of(method: Method, summary: Summary) -> dict[str, object]:
    experiment = method.row.experiment
    columns: dict[str, object] = {"method": method.label, "role": method.role}
    columns |= {name: getattr(experiment.net, name) for name in ("trunk", "width", "dim", "unit_length")}
    columns["parameters"] = method.row.parameters
    columns["steps"] = experiment.total_steps
    training = (*_settings_of_batches(summary), "selection")
    columns |= {name: getattr(experiment.training, name) for name in training}
    columns["seeds"] = len(method.rows)
    for metric, interval in method.metrics.items():
        columns |= {metric: interval.mean, **_bound_columns(metric, interval)}
    return columns | _compared(method.against_teacher, "difference_to_teacher")


def pair_numbers(summary: Summary) -> pd.DataFrame:
    """Comparisons of methods with each other, one line per pair."""
    lines = [
        {"method": pair.label, "against": pair.other, **_compared(pair.comparison, "difference")}
        for pair in summary.pairs
    ]
    return pd.DataFrame(lines or None, columns=None if lines else ["method", "against"])


def _compared(comparison: Comparison | None, difference: str) -> dict[str, object]:
    return {
        difference: comparison.difference if comparison else None,
        **_bound_columns("difference", comparison.interval if comparison else None),
        **_bound_columns("difference_over_classes", comparison.over_classes if comparison else None),
        **_bound_columns("difference_over_seeds", comparison.over_seeds if comparison else None),
        **{column: getattr(comparison, name) if comparison else None for column, name in COMPARED.items()},
        "verdict": verdict_word(comparison) if comparison else "",
        **_decided(comparison.decision if comparison else None),
    }


def _decided(decision: Decision | None) -> dict[str, object]:
    """Columns of studies whose seeds are added until all is decided: what looks say, and the seeds of the last one."""
    return {"decision": decision.outcome, "decision_seeds": decision.seeds} if decision else {}


def _bound_columns(name: str, interval: Interval | None) -> dict[str, object]:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {f"{name}_95_low": low, f"{name}_95_high": high}


def cell_numbers(summary: Summary) -> pd.DataFrame:
    """Cells, one per line: the place, the published number, and by rule of selection ours with seeds and steps."""
    frame = pd.DataFrame([_study(summary) | _cell_numbers(cell, summary) for cell in summary.cells])
    return frame.astype({f"{PREFIXES[rule]}_seeds": "Int64" for rule in summary.shown})  # whole also with gaps


def _study(summary: Summary) -> dict[str, object]:
    scale = {"scale": summary.scale, "changed_settings": summary.changes}
    return {"study": summary.name, **summary.variant, **scale}


def _cell_numbers(cell: FilledCell, summary: Summary) -> dict[str, object]:
    columns: dict[str, object] = {"part": cell.part, "row": cell.row, "column": cell.column, "metric": cell.metric}
    columns |= {"path": cell.path, "measured_on": cell.on, "paper": cell.published}
    columns |= {"paper_half_interval": cell.published_interval} if _has_intervals(summary) else {}
    for rule in summary.shown:
        numbers = _ours(cell.ours.get(rule)) | {"difference": cell.difference(rule)}
        half = cell.ours[rule].over_groups if rule in cell.ours else None
        numbers |= {"half_interval_over_groups": half} if _has_intervals(summary) else {}
        columns |= {f"{PREFIXES[rule]}_{name}": value for name, value in numbers.items()}
    return columns | {"note": "; ".join(filter(None, (cell.note, cell.doubt)))}


def _has_intervals(summary: Summary) -> bool:
    """Whether papers print intervals there, which ours of the same kind stand beside."""
    return any(cell.published_interval is not None for cell in summary.cells)


def _ours(ours: Ours | None) -> dict[str, object]:
    """Lists, by seed, have spaces between their entries."""
    names = ("mean", "95_low", "95_high", "seeds", "seed_list", "values", "steps")
    if ours is None:
        return dict.fromkeys(names)
    lists = (" ".join(map(repr, numbers)) for numbers in (ours.seeds, ours.values, ours.steps))
    values = (ours.interval.mean, ours.interval.low, ours.interval.high, len(ours.seeds), *lists)
    return dict(zip(names, values, strict=True))


def floor_numbers(summary: Summary) -> pd.DataFrame:
    """One line per data set, floor and metric: what is reached without training."""
    names = ["data", "floor", "net", "metric", "mean", "95_low", "95_high", "seeds"]
    lines = [
        [data, floor.label, floor.net, metric, interval.mean, interval.low, interval.high, floor.seeds]
        for data, floors in summary.floors.items()
        for floor in floors
        for metric, interval in floor.metrics.items()
    ]
    beside = _study(summary)
    return pd.DataFrame([[*beside.values(), *line] for line in lines], columns=[*beside, *names])


def claim_numbers(summary: Summary) -> pd.DataFrame:
    """Claims, one per line, with the rule of selection that answers them: the first that the table shows."""
    beside = _study(summary) | {"rule": PREFIXES[summary.shown[0]]}
    lines = [
        [*beside.values(), claim.text, claim.answer, claim.detail, *_paired(claim.difference)]
        for claim in summary.claims
    ]
    frame = pd.DataFrame(lines, columns=[*beside, "claim", "answer", "detail", *PAIRED]).astype(PAIRED_TYPES)
    if summary.until_decided is None:
        return frame
    decided = [_decided(claim.difference.decision if claim.difference else None) for claim in summary.claims]
    return frame.join(pd.DataFrame(decided, columns=["decision", "decision_seeds"]).astype({"decision_seeds": "Int64"}))


PAIRED = ("difference", "difference_95_low", "difference_95_high", "p_value", "p_adjusted", "family", "seeds", "over")
PAIRED_TYPES = {"family": "Int64", "seeds": "Int64"}


def _paired(difference: PairedDifference | None) -> list[object]:
    """The difference of a claim of a single comparison; nothing of others."""
    if difference is None:
        return [None] * len(PAIRED)
    interval, over = difference.interval, "runs and groups" if difference.over_groups else "runs"
    if difference.of_networks:
        interval, over = difference.of_networks, "groups"
    p_values = difference.p_value, difference.p_adjusted
    return [interval.mean, interval.low, interval.high, *p_values, difference.family, difference.seeds, over]
