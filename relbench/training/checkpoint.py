"""Checkpoints: all that a training run needs to go on as if it had never stopped."""

import pickle
from pathlib import Path
from typing import Any

import torch

from relbench.files import written_whole

State = dict[str, Any]  # tensors, numbers, texts, and lists and dicts of them: nothing that needs code to be loaded


def save_checkpoint(state: State, path: Path) -> None:
    """Write a checkpoint; a process killed meanwhile leaves the one before."""
    with written_whole(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, fingerprint: str) -> State:
    """Read a checkpoint of an experiment, without executing anything that is in the file.

    Raises:
        ValueError: the file is damaged, holds more than data, or is another experiment's.
    """
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
        found = state["fingerprint"]
    except (RuntimeError, EOFError, KeyError, TypeError, OSError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path} is not a readable checkpoint ({reason}): delete it, and the run starts again from its first step"
        ) from None
    if found != fingerprint:
        raise ValueError(
            f"{path} is the checkpoint of another experiment ({found}, expected {fingerprint}): "
            "delete it, and the run starts again from its first step"
        )
    return state


def selected_weights(state: State) -> dict[str, torch.Tensor]:
    """Weights of the network at the step that counts."""
    weights: dict[str, torch.Tensor] = state["best"]["network"] if state["best"] else state["network"]
    return weights
