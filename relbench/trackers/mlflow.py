"""MLflow: a run in a file store, in an experiment named after the study's folder."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relbench.trackers.logger import End
from relbench.trackers.tracked_run import Scalars, TrackedRun

STATUS: Mapping[End, str] = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
SETTINGS = {
    "MLFLOW_ALLOW_FILE_STORE": "true",  # since 3.10 it asks for a database where this is not set
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing leaves this machine
}
BATCH = 100  # metrics or parameters that are logged at once: no more parameters are allowed
LONGEST = 6000  # characters of a parameter


class MLflow:
    """A file store, in which runs are found again by their fingerprint.

    Args:
        folder: of the tracks of a study.
    """

    def __init__(self, folder: Path) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        store = folder.absolute() / "mlruns"
        self._client = MlflowClient(store.as_uri(), store.as_uri())
        self._experiments: dict[str, str] = {}
        self._known: dict[str, Any] = {}

    def open(self, run: TrackedRun) -> "MLflowLog | None":
        """The run in the store, if it is not finished there already."""
        experiment = self._experiment(run.study)
        found = self._known.get(run.fingerprint)
        if found and found.info.status == STATUS["finished"]:
            return None
        if not found:
            found = self._client.create_run(experiment, run_name=run.title, tags={"fingerprint": run.fingerprint})
        self._describe(found.info.run_id, run)
        return MLflowLog(self._client, found)

    def _experiment(self, study: str) -> str:
        """The number of a study's experiment; its runs are looked up when it is first asked for."""
        if study not in self._experiments:
            found = self._client.get_experiment_by_name(study)
            number = found.experiment_id if found else self._client.create_experiment(study)
            runs = self._client.search_runs([number], max_results=50_000)
            self._known |= {run.data.tags.get("fingerprint", ""): run for run in runs}
            self._experiments[study] = number
        return self._experiments[study]

    def _describe(self, number: str, run: TrackedRun) -> None:
        """Tell settings and tags, also to a run that stands there: its label may be another now."""
        from mlflow.entities import Param, RunTag

        self._client.update_run(number, status="RUNNING", name=run.title)
        self._client.log_batch(number, tags=[RunTag(name, value) for name, value in run.tags.items()])
        parameters = [Param(_plain(name), str(value)[:LONGEST]) for name, value in run.settings.items()]
        for begin in range(0, len(parameters), BATCH):
            self._client.log_batch(number, params=parameters[begin : begin + BATCH])


class MLflowLog:
    """A run in the store, which has a file for each metric: a command that is killed may leave a part of a step.

    Args:
        client: of the store.
        run: as it stands there.
    """

    def __init__(self, client: Any, run: Any) -> None:
        self._client, self._number = client, run.info.run_id
        self.written = 0
        self._last = {name: self._last_step(name) for name in run.data.metrics}

    def _last_step(self, name: str) -> int:
        return max(int(metric.step) for metric in self._client.get_metric_history(self._number, name))

    def write(self, steps: Sequence[Scalars]) -> None:
        """Add each metric's later steps."""
        for step in steps:
            self._write(int(step["step"]), {name: value for name, value in step.items() if name != "step"})

    def end(self, how: End, results: Mapping[str, float], /) -> None:
        """Add the results, at the last step, and set the run's status."""
        self._write(self.written, results)
        self._client.set_terminated(self._number, STATUS[how])

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        new = {_plain(name): value for name, value in values.items()}
        later = {name: value for name, value in new.items() if step > self._last.get(name, 0)}
        if later:
            now = int(1000 * time.time())
            self._client.log_batch(self._number, [Metric(name, value, now, step) for name, value in later.items()])
        self._last |= dict.fromkeys(later, step)
        self.written = step


def _plain(name: str) -> str:
    """The name without the characters that MLflow refuses: recall@1 is recall_at_1."""
    return re.sub(r"[^\w./ :-]", "_", name.replace("@", "_at_"))
