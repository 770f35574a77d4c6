"""Training: from an experiment to the objects that train, the objective, and the loop."""

from relbench.training.objective import DivergedError, Objective, Outputs, Teacher, WeightedLoss
from relbench.training.trainer import Task, Trainer

__all__ = ["DivergedError", "Objective", "Outputs", "Task", "Teacher", "Trainer", "WeightedLoss"]
