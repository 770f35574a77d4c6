"""Weights & Biases: a run in a project named after the study's folder; offline, unless the user asks for more."""

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relbench.trackers.logger import End
from relbench.trackers.tracked_run import Scalars, TrackedRun

WHOLE = "relbench-whole"  # file in the folder of a run that was written to its results
LONGEST = 64  # characters of a tag
QUIET = {
    "console": "off",
    "silent": True,
    "symlink": False,  # links to folders are refused in results
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "x_disable_stats": True,  # the machine's load is not the run's, which may be made elsewhere
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}


class WeightsAndBiases:
    """A folder for each run, as `wandb sync` takes it.

    Args:
        folder: of the tracks of a study.
    """

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # nothing leaves this machine without being asked for
        self._folder, self._online = folder, os.environ.get("WANDB_MODE") == "online"

    def open(self, run: TrackedRun) -> "WandbLog | None":
        """The run, if it is not whole; one that an earlier command has begun begins anew, as W&B can't resume it."""
        here = list((self._folder / "wandb").glob(f"*-{run.fingerprint}"))
        if any((folder / WHOLE).exists() for folder in here):
            return None
        if not self._online:
            for folder in here:
                shutil.rmtree(folder)
        return WandbLog(self._begun(run))

    def _begun(self, run: TrackedRun) -> Any:
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self._folder, os.R_OK | os.W_OK):  # W&B would write to the system's temporary folder instead
            raise PermissionError(errno.EACCES, "can't be written", str(self._folder))
        experiment = run.planned.experiment
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", run.study),
            dir=self._folder,
            id=run.fingerprint,
            name=run.title,
            group=run.planned.label,
            job_type=run.planned.role,
            tags=[experiment.task.kind, experiment.data.name[:LONGEST]],
            config={**run.tags, **run.settings},
            reinit="create_new",
            resume="allow" if self._online else None,
            settings=wandb.Settings(mode="online" if self._online else "offline", **QUIET),
        )


class WandbLog:
    """A run that W&B writes down.

    Args:
        run: as W&B has begun it, or gone on with it online.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        self.written = max(0, run.step - 1) if run.resumed else 0  # the next step is W&B's

    def write(self, steps: Sequence[Scalars]) -> None:
        """Add the steps."""
        for step in steps:
            self.written = int(step["step"])
            self._run.log({name: value for name, value in step.items() if name != "step"}, step=self.written)

    def end(self, how: End, results: Mapping[str, float], /) -> None:
        """Set the results as the run's summary, and have all of it written."""
        self._run.summary.update(dict(results))
        folder = Path(self._run.settings.sync_dir)
        self._run.finish(exit_code=0 if how == "finished" else 1)
        if how == "finished":
            (folder / WHOLE).touch()
