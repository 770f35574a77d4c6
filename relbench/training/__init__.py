"""Training: objective, loop, checkpoints."""

from relbench.training.checkpoint import CheckpointError, State, fits, load_checkpoint, selected_weights
from relbench.training.loop import Task, Trainer
from relbench.training.objective import DivergedError, Part

__all__ = [
    "CheckpointError",
    "DivergedError",
    "Part",
    "State",
    "Task",
    "Trainer",
    "fits",
    "load_checkpoint",
    "selected_weights",
]
