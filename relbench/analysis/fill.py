"""Cells of a table, filled with what is finished."""

from collections.abc import Sequence
from statistics import fmean

from relbench.analysis.cells import FilledCell, Ours
from relbench.analysis.results import Results
from relbench.evaluation import seed_interval
from relbench.evaluation.metric_names import HALF_INTERVAL
from relbench.grid.tuning import TUNING_SEED
from relbench.results.records import Selection
from relbench.studies.record import StudyRecord
from relbench.studies.study import Cell, Study


def filled(cell: Cell, record: StudyRecord, results: Results, shown: Sequence[Selection]) -> FilledCell:
    """A cell with our values under each of the rules that has any."""
    values = {rule: value for rule in shown if (value := ours(cell, record, results, rule))}
    return FilledCell(
        part=cell.part,
        row=cell.row,
        column=cell.column,
        metric=cell.metric,
        path=cell.run,
        on=cell.on,
        published=cell.published,
        published_interval=cell.published_interval,
        ours=values,
        note=record.study.runs[cell.run].note if cell.run else "",
        doubt=cell.doubt,
    )


def ours(cell: Cell, record: StudyRecord, results: Results, rule: Selection) -> Ours | None:
    """Our values for a cell, under a rule of selection; None where no run of it is finished."""
    seeds = (TUNING_SEED,) if is_untrained(cell, record.study) else record.seeds
    found = {seed: results.metrics_at(cell, seed, rule) for seed in seeds}
    finished = {seed: measured for seed, measured in found.items() if measured and cell.metric in measured[1]}
    if not finished:
        return None
    values = tuple(metrics[cell.metric] for _, metrics in finished.values())
    halves = [metrics.get(f"{cell.metric}{HALF_INTERVAL}") for _, metrics in finished.values()]
    known = [half for half in halves if half is not None]
    return Ours(
        values=values,
        seeds=tuple(finished),
        interval=seed_interval(values),
        steps=tuple(step for step, _ in finished.values()),
        over_groups=fmean(known) if len(known) == len(halves) else None,
    )


def is_untrained(cell: Cell, study: Study) -> bool:
    """Whether the cell is of a network that is the same for every seed."""
    return bool(cell.run) and not study.runs[cell.run].stages
