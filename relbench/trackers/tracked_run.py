"""Runs as programs for curves show them: named, with settings and tags, and scalars by step."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from relbench.experiment import Term
from relbench.results.frame import setting_columns
from relbench.results.records import WATCHED, Row
from relbench.studies.study import PlannedRun
from relbench.tasks import find_task
from relbench.trackers.tracker import Status

Scalars = Mapping[str, float]
"""A step of a run: "step", and what is known of it, as `loss/TERM`, `validation/METRIC` and `test/METRIC`."""

RESULT = "result/"  # prefix of what a finished run has come to
NO_NAME_OF_A_FILE = re.compile(r"[^\w.+=@,-]+")


@dataclass(frozen=True)
class TrackedRun:
    """A run that is followed.

    Attributes:
        study: name of its study's folder.
        planned: what it is called there, what it is there for, and its settings.
    """

    study: str
    planned: PlannedRun

    @property
    def fingerprint(self) -> str:
        """The run's name that nothing else has."""
        return self.planned.experiment.fingerprint

    @property
    def title(self) -> str:
        """The run's name for readers."""
        return f"{self.planned.label}, seed {self.planned.experiment.seed}"

    @property
    def file_name(self) -> str:
        """The run's name on a disk, which ends with its fingerprint: the label may change when a rate is chosen."""
        label = NO_NAME_OF_A_FILE.sub("-", self.planned.label)
        return f"{label}-{self.planned.experiment.seed}-{self.fingerprint}"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Hyper-parameters by dotted name, those of each term of the objective among them."""
        run = self.planned.experiment
        terms = {f"terms.{term.loss}.{name}": value for term in run.terms for name, value in _of_term(term).items()}
        return setting_columns(run) | terms

    @cached_property
    def tags(self) -> dict[str, str]:
        """What the run is, and where it belongs."""
        run = self.planned.experiment
        tags = {"study": self.study, "label": self.planned.label, "role": self.planned.role, "seed": str(run.seed)}
        teacher = {"teacher": run.last_teacher.fingerprint} if run.last_teacher else {}
        return tags | {"fingerprint": self.fingerprint} | teacher

    def scalars(self, history: Iterable[Mapping[str, float]]) -> list[Scalars]:
        """A history as the steps of curves; entries of the same step are one."""
        steps: dict[float, dict[str, float]] = {}
        for entry in history:
            step = steps.setdefault(entry["step"], {})
            step |= {self._named(name): value for name, value in entry.items()}
        return list(steps.values())

    def settled(self, status: Status) -> list[Scalars]:
        """The steps that a run under way has told all of: while it validates, the last one's metrics are to come."""
        steps = self.scalars(status.history)
        return steps[:-1] if status.phase == "validating" else steps

    def _named(self, name: str) -> str:
        if name == "step":
            return name
        if name.startswith(WATCHED):
            return f"test/{name.removeprefix(WATCHED)}"
        return f"validation/{name}" if name == find_task(self.planned.experiment.task).primary else f"loss/{name}"


def _of_term(term: Term) -> dict[str, Any]:
    return {"weight": term.weight, **term.options, **({"layers": list(term.layers)} if term.layers else {})}


def results_of(row: Row) -> dict[str, float]:
    """What a finished run has come to: metrics on test images at the selected step, that step, and its time."""
    return {
        **{f"{RESULT}{name}": value for name, value in row.metrics.items()},
        f"{RESULT}selected_step": float(row.selected_step),
        f"{RESULT}train_seconds": row.train_seconds,
    }
