"""Tables of finished runs: a run on each line, its settings and numbers in columns of dotted names."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from relbench.data import resolve_transform
from relbench.experiment import Data, Experiment, Term, flattened, task_columns
from relbench.results.records import Entry, Row
from relbench.settings import changed
from relbench.tasks import find_task
from relbench.transforms import TRANSFORM_OF

SELDOM = ("batch_norm_parts", "compile")
"""Settings of a training that stand in tables where a run has another value than the default alone."""


def as_frame(entries: Iterable[Entry], rows: Mapping[str, Row]) -> pd.DataFrame:
    """Table of finished runs, one per line, with settings and metrics in columns of dotted names."""
    frame = pd.DataFrame([_flat(entry, rows[entry.fingerprint]) for entry in entries])
    return frame.astype({"total_steps": "Int64"}) if "total_steps" in frame else frame  # whole beside empty cells


def setting_columns(experiment: Experiment) -> dict[str, Any]:
    """Settings of data, network, training and task by dotted name, but for those that no run of its kind has.

    Those are the settings of views that other data sets have, of batches that other tasks draw, of fewer images of a
    class where a run has them all, and what seldom differs from its default.
    """
    groups = {"data": _data(experiment.data), "net": flattened(experiment.net), "training": _training(experiment)}
    columns = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
    return columns | task_columns(experiment.task)


def _data(data: Data) -> dict[str, Any]:
    shown = changed(data, {"transform": resolve_transform(data)})
    others = {name for name, kind in TRANSFORM_OF.items() if kind is not type(shown.transform)}
    others |= {"train_images_per_class"} if data.train_images_per_class is None else set()
    return {name: value for name, value in flattened(shown).items() if name not in others}


def _training(experiment: Experiment) -> dict[str, Any]:
    values, training = flattened(experiment.training), experiment.training
    others = set() if find_task(experiment.task).balanced else {"images_per_class"}
    others |= {name for name in SELDOM if name not in training.model_dump(exclude_defaults=True)}
    return {name: value for name, value in values.items() if name not in others}


def _flat(entry: Entry, row: Row) -> dict[str, Any]:
    columns: dict[str, Any] = {"study_label": entry.label, "role": entry.role, "seed": entry.seed}
    columns["fingerprint"] = row.fingerprint
    teacher = row.experiment.last_teacher
    columns["teacher"] = teacher.fingerprint if teacher else ""
    columns |= _earlier(row.experiment)
    columns |= row.metrics
    columns |= {f"validation.{name}": value for name, value in row.validation.items()}
    columns |= setting_columns(row.experiment)
    columns["terms"] = json.dumps([_written(term) for term in row.experiment.terms])
    plain = (
        "data_hash",
        "weights",
        "parameters",
        "selected_step",
        "train_seconds",
        "evaluate_seconds",
        "peak_memory",
        "finished",
    )
    columns |= {name: getattr(row, name) for name in plain}
    machine = row.machine
    columns |= {"code_version": row.experiment.code_version, "device_name": machine.device, "cores": machine.cores}
    columns |= {"devices": row.devices} if row.devices > 1 else {}
    columns |= {"system": machine.system, "git_commit": machine.git_commit}
    return columns | {f"version.{name}": version for name, version in machine.versions.items()}


def _earlier(experiment: Experiment) -> dict[str, Any]:
    """Columns of a run that continues another: the other's name, and the steps of both."""
    first = experiment.initialized_from
    return {"initialized_from": first.fingerprint, "total_steps": experiment.total_steps} if first else {}


def _written(term: Term) -> dict[str, Any]:
    """A term's settings; layers and source only where present, a revision only from the second on."""
    left_out = {name for name in ("layers", "source") if not getattr(term, name)}
    return term.model_dump(exclude=left_out | ({"revision"} if term.revision == 1 else set()))
