"""Training: objective, loop, checkpoints."""

from relbench.training.checkpoint import (
    CheckpointError,
    State,
    fits,
    load_checkpoint,
    selected_classifier,
    selected_weights,
    weights_hash,
)
from relbench.training.loop import Task, Trainer
from relbench.training.objective import DivergedError, Objective, Part, Seen, Teacher

__all__ = [
    "CheckpointError",
    "DivergedError",
    "Objective",
    "Part",
    "Seen",
    "State",
    "Task",
    "Teacher",
    "Trainer",
    "fits",
    "load_checkpoint",
    "selected_classifier",
    "selected_weights",
    "weights_hash",
]
