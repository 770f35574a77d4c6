"""The numbers and claims of a printed table for programs: in [0, 1], never percent."""

import pandas as pd

from relbench.analysis.cells import FilledCell, Ours
from relbench.analysis.summary import Summary
from relbench.results.records import Selection

PREFIXES: dict[Selection, str] = {"last": "last", "validation": "validation", "test": "test_peeking"}


def cell_numbers(summary: Summary) -> pd.DataFrame:
    """A line a number: where it stands, the paper's, and by rule of selection ours with seeds and chosen steps."""
    frame = pd.DataFrame([_study(summary) | _numbers_of(cell, summary) for cell in summary.cells])
    return frame.astype({f"{PREFIXES[rule]}_seeds": "Int64" for rule in summary.shown})  # whole also with gaps


def _study(summary: Summary) -> dict[str, object]:
    scale = {"scale": summary.scale, "changed_settings": summary.changes}
    return {"study": summary.name, **summary.variant, **scale}


def _numbers_of(cell: FilledCell, summary: Summary) -> dict[str, object]:
    columns: dict[str, object] = {"part": cell.part, "row": cell.row, "column": cell.column, "metric": cell.metric}
    columns |= {"path": cell.path, "measured_on": cell.on, "paper": cell.published}
    for rule in summary.shown:
        numbers = _ours(cell.ours.get(rule)) | {"difference": cell.difference(rule)}
        columns |= {f"{PREFIXES[rule]}_{name}": value for name, value in numbers.items()}
    return columns | {"note": cell.note}


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
        [data, floor.label, floor.net, metric, one.mean, one.low, one.high, floor.seeds]
        for data, floors in summary.floors.items()
        for floor in floors
        for metric, one in floor.metrics.items()
    ]
    beside = _study(summary)
    return pd.DataFrame([[*beside.values(), *line] for line in lines], columns=[*beside, *names])


def claim_numbers(summary: Summary) -> pd.DataFrame:
    """A line a claim, with the rule of selection that answers it: the first that the table shows."""
    beside = _study(summary) | {"rule": PREFIXES[summary.shown[0]]}
    lines = [[*beside.values(), claim.text, claim.answer, claim.detail] for claim in summary.claims]
    return pd.DataFrame(lines, columns=[*beside, "claim", "answer", "detail"])
