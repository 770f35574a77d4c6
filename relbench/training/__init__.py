"""Training: from an experiment to the objects that train, the objective, and the loop."""

from relbench.training.objective import DivergedError, Objective, Teacher
from relbench.training.stream import TrainingData, stream
from relbench.training.trainer import Trainer, TrainingSetup

__all__ = [
    "DivergedError",
    "Objective",
    "Teacher",
    "Trainer",
    "TrainingData",
    "TrainingSetup",
    "stream",
]
