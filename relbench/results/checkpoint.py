"""Checkpoints: all that a training run needs to continue as if it had never stopped.

A checkpoint carries the hash of its content, and is refused where the two disagree.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from relbench.files import atomic_write
from relbench.memory import is_out_of_memory
from relbench.tensors import content_hash, read_tensors

State = dict[str, Any]  # tensors, numbers, strings, and lists and dicts of them: loadable without executing code

PARTS = frozenset(  # of a state
    [
        *("fingerprint", "step", "seconds", "network", "losses", "optimizer", "scheduler", "history", "best"),
        *("generators", "cuda_generator"),  # in those of code version 1, which can be read
    ]
)
HASH = "hash"  # of these parts, beside them in the file; checkpoints of earlier versions have none

START_AGAIN = "delete it, and the run starts again from its first step"


class CheckpointError(ValueError):
    """A damaged checkpoint, or another experiment's."""


def save_checkpoint(state: State, path: Path) -> None:
    """Write a checkpoint; if the process is killed meanwhile, the previous checkpoint remains.

    Raises:
        OSError: it can't be written.
    """
    with atomic_write(path) as temporary:
        try:
            torch.save(state | {HASH: content_hash(state)}, temporary)
        except RuntimeError as error:  # torch's writer drops the system's message
            if is_out_of_memory(error):
                raise
            raise OSError(f"{path} can't be written ({_reason(error)}): is the disk full?") from None


def load_checkpoint(path: Path, fingerprint: str, steps: int, primary: str) -> State:
    """A checkpoint of an experiment, read without executing anything in the file.

    Args:
        path: of the file.
        fingerprint: of the experiment.
        steps: of the experiment: no checkpoint is beyond.
        primary: the metric that selects the best step.

    Raises:
        CheckpointError: the file is damaged, holds more than data, or is another experiment's.
    """
    with fits(path):
        state: State = read_tensors(path)
        _refuse_changed(state)
        found = state["fingerprint"]
    if found != fingerprint:
        raise CheckpointError(
            f"{path} is the checkpoint of another experiment ({found}, expected {fingerprint}): {START_AGAIN}"
        )
    with fits(path):
        _check(state, steps, primary)
    return state


def _refuse_changed(state: State) -> None:
    """Refuse content that has changed since it was written, and remove its hash."""
    written = state.pop(HASH, None)
    strange = state.keys() - PARTS  # the hash itself, perhaps, under a damaged name
    if strange:
        raise ValueError(f"{min(strange)!r} is not part of a checkpoint")
    if written is not None and written != content_hash(state):
        raise ValueError("its content has changed since it was written: its hash differs")


def _check(state: State, steps: int, primary: str) -> None:
    """Refuse a state whose parts do not belong together."""
    step, history, best = state["step"], state["history"], state["best"]
    if not isinstance(step, int) or not 0 < step <= steps:
        raise ValueError(f"step {step!r} of {steps}")
    if history[-1]["step"] != step or state["scheduler"]["last_epoch"] != step:
        raise ValueError(f"history or schedule do not end with step {step}")
    if best is not None and best["step"] not in [entry["step"] for entry in history if primary in entry]:
        raise ValueError(f"the history lacks the best step {best['step']}")
    if not all(torch.isfinite(tensor).all() for tensor in selected_weights(state).values()):
        raise ValueError("a weight is not finite")


@contextmanager
def fits(path: Path) -> Iterator[None]:
    """Turn errors while a checkpoint is read or used into a `CheckpointError`.

    Raises:
        CheckpointError: one line that names the file.
    """
    try:
        yield
    except (CheckpointError, torch.OutOfMemoryError):  # a GPU that is too small is no fault of the file
        raise
    except Exception as error:  # noqa: BLE001 - damaged bytes raise errors of nearly any kind
        raise CheckpointError(
            f"{path} is not a readable checkpoint of this run ({_reason(error)}): {START_AGAIN}"
        ) from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def selected_weights(state: State) -> dict[str, torch.Tensor]:
    """Weights of the network at the selected step."""
    weights: dict[str, torch.Tensor] = state["best"]["network"] if state["best"] else state["network"]
    return weights


def weights_hash(state: State) -> str:
    """Hash of the weights at the selected step: of the network, the losses and the classifier trained along."""
    return content_hash({"network": selected_weights(state), "losses": _selected_losses(state)})


CLASSIFIER = "classifier."  # prefix of the classifier's weights among those of the losses


def selected_classifier(state: State) -> dict[str, torch.Tensor]:
    """Weights at the selected step of the classifier trained along; empty where there was none."""
    found = _selected_losses(state).items()
    return {name.removeprefix(CLASSIFIER): tensor for name, tensor in found if name.startswith(CLASSIFIER)}


def _selected_losses(state: State) -> dict[str, torch.Tensor]:
    losses: dict[str, torch.Tensor] = state["best"]["losses"] if state["best"] else state["losses"]
    return losses
