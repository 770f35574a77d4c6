"""Training: from an experiment to the objects that train, the objective, and the loop."""

from relbench.training.divergence import DivergedError
from relbench.training.learner import Earlier, Learner
from relbench.training.objective import Objective, Teacher
from relbench.training.setup import TrainingSetup
from relbench.training.stream import TrainingData, stream
from relbench.training.trainer import Trainer, train

__all__ = [
    "DivergedError",
    "Earlier",
    "Learner",
    "Objective",
    "Teacher",
    "Trainer",
    "TrainingData",
    "TrainingSetup",
    "stream",
    "train",
]
