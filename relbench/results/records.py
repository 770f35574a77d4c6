"""What happened, as rows: one finished run, one row, one file.

Tables, plots and reports are built from rows and from the plan that names them, never from a run in memory. A record's
file carries the hash of all that is in it, and is refused where it has another one.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json, to_json

from relbench.counts import Counts
from relbench.experiment import Experiment, Term, flattened, one_line, renamed
from relbench.files import atomic_write, read_regular
from relbench.tasks import find_task

if TYPE_CHECKING:
    import pandas as pd

Role = Literal["teacher", "student", "control"]
WATCHED_AGAIN = 1e-3  # by how much measuring twice may differ: on a GPU sums need not be the same twice
WATCHED = "test."  # begins the names of what a history says of test classes; names of validation classes have no prefix
Selection = Literal["last", "validation", "test"]  # the step that counts: the last; the best on these classes


class Record(BaseModel):
    """A frozen record of something that happened; unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Machine(Record):
    """Where a run was made."""

    device: str  # the processor's or the accelerator's name
    cores: int
    system: str
    versions: dict[str, str]  # package -> version
    git_commit: str | None  # "-dirty" is appended where the checkout had changes; None outside a checkout


class Row(Record):
    """One finished run."""

    fingerprint: str
    experiment: Experiment
    data_hash: str  # of pixels, labels and split: equal on two machines that hold the same data
    parameters: int
    selected_step: int
    metrics: dict[str, float]  # on test images
    validation: dict[str, float]  # on validation classes, at the selected step
    counts: Annotated[Counts, renamed("counts")]
    # "step", mean loss terms since the last entry, the primary metric of validation, test metrics where watched
    history: tuple[dict[str, float], ...]
    train_seconds: float
    evaluate_seconds: float
    peak_memory: int  # bytes, of the process (CPU) or the allocator (CUDA)
    finished: str  # time in UTC, ISO 8601
    machine: Machine
    weights: str = (
        ""  # where the trunk's first weights come from; "" for random ones, and in rows before this was noted
    )
    # Hashes of what the numbers rest on; none in rows before these were noted.
    weights_hash: str = ""  # of the weights that gave the metrics
    embeddings_hash: str = ""  # of the test embeddings that are kept
    dependencies: Annotated[
        dict[str, str], renamed("dependencies")
    ] = {}  # "teacher", "first stage" -> hash of the weights that it had

    @property
    def primary(self) -> str:
        """The metric of its task that models are compared by."""
        return find_task(self.experiment.task).primary

    def metrics_at(self, selection: Selection) -> tuple[int, dict[str, float]] | None:
        """The step that a rule chooses, and the metrics on test classes there.

        "last" is the last step; "validation" and "test" are the step with the best primary metric on these classes, the
        first of equal ones. Of the rule that the run itself has followed (`training.selection`) it is what the row
        says: `selected_step` and `metrics`. Of another rule it is known only where test metrics were logged
        (`training.log_test_metrics`), even if both rules choose the same step: else some seeds would be left out by how
        they came out.

        The rule "test" is peeking: what it gives is too good, and no result. It is here to be compared with numbers
        that were made so.

        Args:
            selection: how the step is chosen.

        Returns:
            None where the row can't tell: no validation classes, or test classes that were not watched.

        Source:
            The rule "test" is that of the code of Relational Knowledge Distillation, lenscloth/RKD@0a6c3c0, run.py and
            run_distill.py, which keep the network with the best Recall@1 on the test images as best.pth.
        """
        if selection == self.experiment.training.selection:
            return self.selected_step, self.metrics
        entry = self._entry(selection)
        seen = {name.removeprefix(WATCHED): entry[name] for name in entry if name.startswith(WATCHED)}
        return (int(entry["step"]), seen) if seen else None

    def _entry(self, rule: Selection) -> dict[str, float]:
        """The history's entry of the step that a rule chooses; empty where there is none."""
        if rule == "last":
            return self.history[-1]
        name = self.primary if rule == "validation" else f"{WATCHED}{self.primary}"
        return max((one for one in self.history if name in one), key=lambda one: one[name], default={})


class Entry(Record):
    """One line of a plan: what a run is called in the tables."""

    label: str
    role: Role
    seed: int
    fingerprint: str


class Plan(Record):
    """Which runs make up a study's result."""

    study: str
    title: str
    notes: tuple[str, ...]  # what a reader of the table must know
    entries: tuple[Entry, ...]
    pairs: tuple[tuple[str, str], ...] = ()  # labels of methods that are compared with another one than the teacher
    added_losses: Annotated[
        tuple[str, ...], renamed("added_losses")
    ] = ()  # labels of methods that the user put beside the study's: spoken of first


RecordType = TypeVar("RecordType", bound=Record)
HASH = "hash"  # of a record's content, beside it in the file; records of earlier versions have none


def write_record(record: Record, path: Path) -> None:
    """Write a row or a plan; readers see the old file or the new one, never a part."""
    content = from_json(record.model_dump_json())
    with atomic_write(path) as temporary:
        temporary.write_bytes(to_json(content | {HASH: _hash(content)}, indent=1) + b"\n")


def read_record(kind: type[RecordType], path: Path) -> RecordType:
    """Read a row or a plan back.

    Raises:
        ValueError: the file can't be read, is truncated, not such a record, or has changed since it was written; one
            line with what to do.
    """
    try:
        return _validated(kind, read_regular(path))
    except (ValueError, OSError) as error:
        why = one_line(error) if isinstance(error, ValidationError) else getattr(error, "strerror", None) or error
        raise ValueError(
            f"{path} is not a readable {kind.__name__.lower()} ({why}): "
            "delete it, and run the study again to restore it"
        ) from None


def _validated(kind: type[RecordType], text: bytes) -> RecordType:
    """The record in a file; its hash is that of the file, so a later version's defaults don't change it."""
    content = from_json(text, allow_inf_nan=False)
    written = content.pop(HASH, None) if isinstance(content, dict) else None
    record = kind.model_validate_json(to_json(content))
    if written is not None and written != _hash(content):
        raise ValueError("its content has changed since it was written: it has another hash")
    return record


def _hash(content: Mapping[str, Any]) -> str:
    """SHA-256 of what JSON can hold, whatever the order of names and the layout of the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_row(path: Path, fingerprint: str) -> Row:
    """Read the row of one run.

    Raises:
        ValueError: the file is truncated, or holds another experiment's row.
    """
    row = read_record(Row, path)
    check_identity("row", path, (row.fingerprint, fingerprint), _contradictions(row))
    return row


def check_identity(what: str, path: Path, fingerprints: tuple[str, str], contradictions: Iterable[str]) -> None:
    """Refuse a record that is another one's, or that says two things at once.

    Args:
        what: it is, such as "row".
        path: of its file.
        fingerprints: what it has, and what it should have.
        contradictions: in it; the first is named.

    Raises:
        ValueError: one line with what to do.
    """
    found, expected = fingerprints
    if found != expected:
        raise ValueError(
            f"{path} is the {what} of another experiment ({found}, expected {expected}): "
            "delete it, and run the study again to restore it"
        )
    contradiction = next(iter(contradictions), None)
    if contradiction:
        raise ValueError(
            f"{path} contradicts itself: {contradiction}; delete it, and run the study again to restore it"
        )


def refuse_other_dependencies(rows: Mapping[str, Row]) -> None:
    """Refuse rows of which one was built on other weights of a run than those that this run's row is about.

    Args:
        rows: by fingerprint. A run without a row, or a row without hashes, is not compared.

    Raises:
        ValueError: one line that says which runs are to be made anew.
    """
    stale = {name: what for name, row in rows.items() for what in other_dependencies(row, rows)}
    if stale:
        named = ", ".join(f"{name} (its {what})" for name, what in stale.items())
        raise ValueError(
            f"built on other weights than those that are there now: {named}; delete the folders of these runs, and run "
            "the study again to restore them"
        )


def other_dependencies(row: Row, rows: Mapping[str, Row]) -> Iterator[str]:
    """What a run was built on, its teacher or its first stage, where the rows are about other weights of it."""
    for what, one in row.experiment.dependencies.items():
        base, built_on = rows.get(one.fingerprint), row.dependencies.get(what)
        if base and base.weights_hash and built_on and built_on != base.weights_hash:
            yield what


def _contradictions(row: Row) -> Iterator[str]:
    """What is said twice must be said alike: a row that was edited or mixed up is not believed."""
    if row.experiment.fingerprint != row.fingerprint:
        yield f"its settings have the fingerprint {row.experiment.fingerprint}"
    task = find_task(row.experiment.task)
    yield from task.contradictions(row.metrics, row.counts)
    yield from task.contradictions(row.validation, None)
    for entry in row.history:
        watched = {name.removeprefix(WATCHED): value for name, value in entry.items() if name.startswith(WATCHED)}
        yield from (f"{WATCHED}{what}" for what in task.contradictions(watched, None))
        if entry.get("step") == row.selected_step and any(
            abs(value - row.metrics.get(name, -1)) > WATCHED_AGAIN for name, value in watched.items()
        ):
            yield f"its metrics are not what its history says of step {row.selected_step}"
    if row.selected_step not in [entry.get("step") for entry in row.history]:
        yield f"step {row.selected_step}, which counts, is missing from its history"


def as_frame(entries: Iterable[Entry], rows: Mapping[str, Row]) -> "pd.DataFrame":
    """Table of finished runs, one per line, with settings and metrics in columns of dotted names."""
    import pandas as pd  # noqa: PLC0415 - the settings of a study are shown without it

    frame = pd.DataFrame([_flat(entry, rows[entry.fingerprint]) for entry in entries])
    return frame.astype({"total_steps": "Int64"}) if "total_steps" in frame else frame  # whole beside empty cells


def _flat(entry: Entry, row: Row) -> dict[str, Any]:
    columns: dict[str, Any] = {"study_label": entry.label, "role": entry.role, "seed": entry.seed}
    columns["fingerprint"] = row.fingerprint
    teacher = row.experiment.last_teacher
    columns["teacher"] = teacher.fingerprint if teacher else ""
    columns |= _earlier(row.experiment)
    columns |= row.metrics
    columns |= {f"validation.{name}": value for name, value in row.validation.items()}
    for group in ("data", "net", "training"):
        settings = flattened(getattr(row.experiment, group))
        columns |= {f"{group}.{name}": value for name, value in settings.items()}
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
    columns |= {"system": machine.system, "git_commit": machine.git_commit}
    return columns | {f"version.{name}": version for name, version in machine.versions.items()}


def _earlier(experiment: Experiment) -> dict[str, Any]:
    """Of a run that goes on from another: which, and the steps of both."""
    first = experiment.initialized_from
    return {"initialized_from": first.fingerprint, "total_steps": experiment.total_steps} if first else {}


def _written(term: Term) -> dict[str, Any]:
    """A term's settings; layers and source only where it has them, a revision from the second on."""
    left_out = {name for name in ("layers", "source") if not getattr(term, name)}
    return term.model_dump(exclude=left_out | ({"revision"} if term.revision == 1 else set()))
