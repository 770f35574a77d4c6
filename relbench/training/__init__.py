"""Training: objective, loop, checkpoints."""

from relbench.training.checkpoint import State, load_checkpoint, selected_weights
from relbench.training.loop import Task, Trainer
from relbench.training.objective import DivergedError, Part

__all__ = ["DivergedError", "Part", "State", "Task", "Trainer", "load_checkpoint", "selected_weights"]
