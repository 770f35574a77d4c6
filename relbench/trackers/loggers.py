"""The programs for curves that can follow runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relbench.extras import needed
from relbench.lookup import lookup
from relbench.trackers.csv_file import CsvFiles
from relbench.trackers.logger import Logger
from relbench.trackers.mlflow import MLflow
from relbench.trackers.tensorboard import TensorBoard
from relbench.trackers.wandb import WeightsAndBiases

FOLDER = "tracks"  # in a study's folder


@dataclass(frozen=True)
class LoggerEntry:
    """A program for curves.

    Attributes:
        open: makes its place in the folder of a study's tracks.
        shown: where its curves are, or the command that shows them; {folder} stands for the folder of all tracks.
        module: the library that writes it, which the extra of the program's name brings; "" for none.
    """

    open: Callable[[Path], Logger]
    shown: str
    module: str = ""


LOGGERS: Mapping[str, LoggerEntry] = {
    "csv": LoggerEntry(CsvFiles, "{folder}/csv"),
    "mlflow": LoggerEntry(
        MLflow, "MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {folder}/mlruns", "mlflow"
    ),
    "tensorboard": LoggerEntry(TensorBoard, "tensorboard --logdir {folder}/tensorboard", "tensorboard"),
    "wandb": LoggerEntry(WeightsAndBiases, "wandb sync {folder}/wandb/offline-run-*", "wandb"),
}
"""All of them, by name."""


def loggers_asked(given: Sequence[str]) -> tuple[str, ...]:
    """Names of programs for curves, each once.

    Args:
        given: names, or several with commas between.

    Raises:
        ValueError: a name is unknown, or its library is not installed; one line.
    """
    names = dict.fromkeys(name.strip() for part in given for name in part.split(","))
    for name in names:
        module = LOGGERS[lookup(name, LOGGERS, "tracker")].module
        if module:
            needed(module, name, f"--track {name}")
    return tuple(names)
