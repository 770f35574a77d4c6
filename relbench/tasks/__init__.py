"""Tasks: what a run is for. Each says how batches are drawn, what a table must promise, and how a network is measured.

Nothing else asks which task a run has: whoever needs to know something of it asks `find_task`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relbench.experiment import Classification, FewShot, TaskSettings
from relbench.tasks.task import Model, Task

if TYPE_CHECKING:  # settings and rows are read without these
    from relbench.data import DataSet

__all__ = ["TASKS", "Model", "Task", "find_task"]


def _retrieval(settings: TaskSettings, data_set: "DataSet | None") -> Task:
    from relbench.tasks.retrieval import RetrievalTask  # noqa: PLC0415 - settings and rows are read without torch

    del settings  # it has no settings of its own
    return RetrievalTask(ks=data_set.ks if data_set else ())


def _classification(settings: Classification, data_set: "DataSet | None") -> Task:
    from relbench.tasks.classification import ClassificationTask  # noqa: PLC0415

    del data_set  # nothing is usual there
    return ClassificationTask(settings)


def _few_shot(settings: FewShot, data_set: "DataSet | None") -> Task:
    from relbench.tasks.few_shot import FewShotTask  # noqa: PLC0415

    del data_set  # nothing is usual there
    return FewShotTask(settings)


TASKS: dict[str, Callable[[Any, "DataSet | None"], Task]] = {
    "retrieval": _retrieval,
    "classification": _classification,
    "few-shot": _few_shot,
}
"""Makers of the tasks, by the kind of their settings, which `relbench.experiment` lists."""


def find_task(settings: TaskSettings, data_set: "DataSet | None" = None) -> Task:
    """The task that the settings name.

    Args:
        settings: of an experiment.
        data_set: whose images are looked at: it says what is usual there. None where no image is looked at.
    """
    return TASKS[settings.kind](settings, data_set)
