"""Training: from an experiment to the objects that train, the objective, and the loop."""

from relbench.training.objective import DivergedError, Objective, Outputs, Teacher, WeightedLoss
from relbench.training.trainer import Trainer, TrainingData, TrainingSetup

__all__ = [
    "DivergedError",
    "Objective",
    "Outputs",
    "Teacher",
    "Trainer",
    "TrainingData",
    "TrainingSetup",
    "WeightedLoss",
]
