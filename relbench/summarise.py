"""From rows to a summary: means, intervals, and each method against its teacher."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relbench.evaluation import significance
from relbench.ledger import Plan, Row, read_record, read_row
from relbench.report import Comparison, Interval, Method, Summary

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
    return plan, {name: read_row(path, name) for name, path in paths.items() if path.exists()}


def summarise(plan: Plan, rows: dict[str, Row]) -> Summary:
    """Sum up the finished runs; what is missing is said in the notes.

    Raises:
        ValueError: no teacher is finished, or rows were not made from the same data.
    """
    done = [entry for entry in plan.entries if entry.fingerprint in rows]
    missing = [f"{entry.label} (seed {entry.seed})" for entry in plan.entries if entry.fingerprint not in rows]
    if not any(entry.role == "teacher" for entry in done):
        raise ValueError("no teacher is finished yet: run the study first")
    if len({rows[entry.fingerprint].data_hash for entry in done}) > 1:
        raise ValueError("the rows were made from different data, so they can't be compared: delete the odd ones")
    notes = (*plan.notes, *([f"Not finished, and left out: {', '.join(missing)}."] if missing else []))
    plan = plan.model_copy(update={"entries": tuple(done), "notes": notes})
    labels = list(dict.fromkeys(entry.label for entry in done))
    methods = tuple(_method(label, plan, rows) for label in labels)
    return Summary(plan, methods, tuple(sorted({entry.seed for entry in done})))


def _method(label: str, plan: Plan, rows: dict[str, Row]) -> Method:
    entries = [entry for entry in plan.entries if entry.label == label]
    teachers = {entry.seed: rows[entry.fingerprint] for entry in plan.entries if entry.role == "teacher"}
    own = tuple(rows[entry.fingerprint] for entry in entries)
    metrics = {name: _over_seeds([row.metrics[name] for row in own]) for name in own[0].metrics}
    role = entries[0].role
    paired = [teachers[entry.seed] for entry in entries if entry.seed in teachers]
    return Method(label, role, own, metrics, None if role == "teacher" else _compare(own, paired))
