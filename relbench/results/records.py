"""Records of what was run: a row per finished run, each in a file of its own.

Tables, plots and reports are built from these files, never from a run in memory. A record's file carries the hash of
its content, and is refused where the two disagree.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json, to_json

from relbench.counts import Counts
from relbench.experiment import Experiment
from relbench.files import atomic_write, read_regular
from relbench.settings import reason, renamed
from relbench.tasks import find_task

Role = Literal["teacher", "student", "control"]
WATCHED_AGAIN = 1e-3  # tolerance of a second measurement: on a GPU sums need not be reproducible
WATCHED = "test."  # prefix of metrics of test images in a history; those of validation images have none
Selection = Literal["last", "validation", "test"]  # the selected step: the last, or the best on these classes


class Record(BaseModel):
    """A frozen record; unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Machine(Record):
    """The machine of a run."""

    device: str  # the processor's or the accelerator's name
    cores: int
    system: str
    versions: dict[str, str]  # package -> version
    git_commit: str | None  # with "-dirty" where the checkout had changes; None outside a checkout


class Result(Record):
    """The result of a run or a measurement; its file is named by the fingerprint of its settings."""

    fingerprint: str


class Row(Result):
    """Results of a finished run."""

    experiment: Experiment
    data_hash: str  # of pixels, labels and split: equal on any machines with the same data
    parameters: int
    selected_step: int
    metrics: dict[str, float]  # on test images
    validation: dict[str, float]  # on validation images, at the selected step
    counts: Annotated[Counts, renamed("counts")]
    # "step", mean loss terms since the last entry, the primary metric of validation, test metrics where watched
    history: tuple[dict[str, float], ...]
    train_seconds: float
    evaluate_seconds: float
    peak_memory: int  # bytes, of the process (CPU) or the allocator (CUDA)
    finished: str  # time in UTC, ISO 8601
    machine: Machine
    weights: str = ""  # source of the trunk's initial weights; "" for random ones, and in rows before this was recorded
    # Hashes of what the numbers rest on; empty in rows before these were recorded.
    weights_hash: str = ""  # of the weights at the selected step
    embeddings_hash: str = ""  # of the stored test embeddings
    # "teacher", "first stage" -> hash of its weights at the time
    dependencies: Annotated[dict[str, str], renamed("dependencies")] = {}
    devices: int = 1  # processes that shared each step, on a GPU each or on the CPU
    other_counts: dict[str, Counts] = {}  # of other metrics that are shares of trials, too, by name

    @property
    def all_counts(self) -> dict[str, Counts]:
        """The counts that were kept, by metric."""
        return {self.primary: self.counts, **self.other_counts}

    @property
    def primary(self) -> str:
        """The metric of its task that models are compared by."""
        return find_task(self.experiment.task).primary

    def metrics_at(self, selection: Selection) -> tuple[int, dict[str, float]] | None:
        """The selected step, and the metrics on test images at it.

        "last" is the last step; "validation" and "test" are the step with the best primary metric on these images, the
        first in a tie. For the rule that the run itself has followed (`training.selection`), these are the row's own
        `selected_step` and `metrics`. For another rule they are known only where test metrics were logged
        (`training.log_test_metrics`), even if both rules select the same step: else seeds would be left out depending
        on their results.

        The rule "test" is peeking: its metrics are optimistic, and no result. It serves comparison with published
        numbers that were selected so.

        Args:
            selection: how the step is selected.

        Returns:
            None where it is unknown: without validation images, or without logged test metrics.

        Source:
            The rule "test" is that of the code of Relational Knowledge Distillation, lenscloth/RKD@0a6c3c0, run.py and
            run_distill.py, which keep the network with the best Recall@1 on the test images as best.pth.
        """
        if selection == self.experiment.training.selection:
            return self.selected_step, self.metrics
        entry = self._entry(selection)
        seen = {name.removeprefix(WATCHED): entry[name] for name in entry if name.startswith(WATCHED)}
        return (int(entry["step"]), seen) if seen else None

    def counts_at(self, selection: Selection, metric: str) -> Counts | None:
        """The counts of a metric, which are kept for the rule alone that the run itself has followed."""
        return self.all_counts.get(metric) if selection == self.experiment.training.selection else None

    def _entry(self, rule: Selection) -> dict[str, float]:
        """The history's entry of the selected step; empty where there is none."""
        if rule == "last":
            return self.history[-1]
        name = self.primary if rule == "validation" else f"{WATCHED}{self.primary}"
        return max((entry for entry in self.history if name in entry), key=lambda entry: entry[name], default={})


class Entry(Record):
    """A line of a table: a run, and its name there."""

    label: str
    role: Role
    seed: int
    fingerprint: str


RecordType = TypeVar("RecordType", bound=Record)
ResultType = TypeVar("ResultType", bound=Result)
HASH = "hash"  # of a record's content, beside it in the file; records of earlier versions have none


def write_record(record: Record, path: Path) -> None:
    """Write a record; readers see the old file or the new, never a part."""
    content = from_json(record.model_dump_json())
    with atomic_write(path) as temporary:
        temporary.write_bytes(to_json(content | {HASH: _hash(content)}, indent=1) + b"\n")


RESTORE = "delete it, and run the study again to restore it"


def read_record(kind: type[RecordType], path: Path, advice: str = RESTORE) -> RecordType:
    """Record from its file.

    Args:
        kind: of record.
        path: of its file.
        advice: what to do about one that can't be read.

    Raises:
        ValueError: the file can't be read, is truncated, is another kind of record, or has changed since it was
            written; one line that says what to do.
    """
    try:
        return _validated(kind, read_regular(path))
    except (ValueError, OSError) as error:
        what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()  # StudyRecord: study record
        raise ValueError(f"{path} is not a readable {what} ({reason(error)}): {advice}") from None


def _validated(kind: type[RecordType], text: bytes) -> RecordType:
    """The record in a file. The hash is compared with the file's content, to which later versions add no defaults."""
    content = from_json(text, allow_inf_nan=False)
    written = content.pop(HASH, None) if isinstance(content, dict) else None
    record = kind.model_validate_json(to_json(content))
    if written is not None and written != _hash(content):
        raise ValueError("its content has changed since it was written: its hash differs")
    return record


def _hash(content: Mapping[str, Any]) -> str:
    """SHA-256 of JSON content, independent of the order of names and the layout of the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_row(path: Path, fingerprint: str) -> Row:
    """The row of a run.

    Raises:
        ValueError: the file is truncated, or holds another experiment's row.
    """
    return read_result(Row, "row", path, fingerprint, _contradictions)


def read_result(
    kind: type[ResultType],
    what: str,
    path: Path,
    fingerprint: str,
    contradictions: Callable[[ResultType], Iterator[str]],
) -> ResultType:
    """Result from its file, which must hold what its name says.

    Args:
        kind: of record.
        what: its name in messages, such as "row".
        path: of its file.
        fingerprint: that it must have.
        contradictions: in a result; the first is named.

    Raises:
        ValueError: the file is damaged, of another experiment, or contradicts itself; one line that says what to do.
    """
    found = read_record(kind, path)
    if found.fingerprint != fingerprint:
        raise ValueError(
            f"{path} is the {what} of another experiment ({found.fingerprint}, expected {fingerprint}): {RESTORE}"
        )
    contradiction = next(contradictions(found), None)
    if contradiction:
        raise ValueError(f"{path} contradicts itself: {contradiction}; {RESTORE}")
    return found


def refuse_other_dependencies(rows: Mapping[str, Row]) -> None:
    """Refuse rows of runs whose teacher or first stage has been trained again since.

    Args:
        rows: by fingerprint. A run without a row, or a row without hashes, is not compared.

    Raises:
        ValueError: one line that names the runs to be trained again.
    """
    stale = {name: what for name, row in rows.items() for what in other_dependencies(row, rows)}
    if stale:
        named = ", ".join(f"{name} (its {what})" for name, what in stale.items())
        raise ValueError(
            f"built on other weights than those that are there now: {named}; delete the folders of these runs, and run "
            "the study again to restore them"
        )


def other_dependencies(row: Row, rows: Mapping[str, Row]) -> Iterator[str]:
    """The dependencies of a run, teacher or first stage, whose row has other weights than the run was built on."""
    for what, experiment in row.experiment.dependencies.items():
        base, built_on = rows.get(experiment.fingerprint), row.dependencies.get(what)
        if base and base.weights_hash and built_on and built_on != base.weights_hash:
            yield what


def _contradictions(row: Row) -> Iterator[str]:
    """Contradictions within a row, as in rows that were edited or mixed up."""
    if row.experiment.fingerprint != row.fingerprint:
        yield f"its settings have the fingerprint {row.experiment.fingerprint}"
    task = find_task(row.experiment.task)
    yield from task.contradictions(row.metrics, row.all_counts)
    yield from task.contradictions(row.validation, {})
    is_watched = any(name.startswith(WATCHED) for name in set().union(*row.history))
    for entry in row.history if is_watched else ():
        watched = {name.removeprefix(WATCHED): value for name, value in entry.items() if name.startswith(WATCHED)}
        yield from (f"{WATCHED}{what}" for what in task.contradictions(watched, {}))
        if entry.get("step") == row.selected_step and any(
            abs(value - row.metrics.get(name, -1)) > WATCHED_AGAIN for name, value in watched.items()
        ):
            yield f"its metrics differ from those in its history at step {row.selected_step}"
    if row.selected_step not in [entry.get("step") for entry in row.history]:
        yield f"the selected step {row.selected_step} is missing from its history"
