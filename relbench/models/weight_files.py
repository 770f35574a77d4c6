"""Weights of a trunk from the user's file: read without executing anything, and only if they are all there."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from relbench.experiment import Net
from relbench.files import open_regular
from relbench.models.trunk import State, Trunk, TrunkEntry
from relbench.tensors import read_tensors

NESTED = ("state_dict", "model", "network")  # under which checkpoints hold the weights of a network
WRAPPERS = ("module.", "_orig_mod.")  # what data-parallel and compiled networks prefix the names with
COUNTER = "num_batches_tracked"  # of batch normalisation: files of old versions of torch lack it
NAMED = 3  # names of weights in a message


def content_of(net: Net) -> str:
    """SHA-256 of the file that a network's weights are read from; "" where they come from no file.

    Raises:
        ValueError: it can't be read.
    """
    if not net.weights_file:
        return ""
    path = Path(net.weights_file)
    try:
        status = path.stat()
        return _digest(path, (status.st_mtime_ns, status.st_size, status.st_ino))
    except OSError as error:
        raise ValueError(f"the weights {path} can't be read ({error.strerror}): {_advice(path)}") from None


def _advice(path: Path) -> str:
    return "name a file that is there" if path.is_absolute() else f"paths begin at {os.getcwd()}"  # noqa: PTH109 - where the command was called


@lru_cache
def _digest(path: Path, _stamp: tuple[int, ...]) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_file(trunk: Trunk, net: Net, entry: TrunkEntry, size: int | None) -> None:
    """Put weights from a file into a trunk.

    The file holds those of the library's network, with or without its classifier, of a trunk, or of an `Embedder`,
    whose linear layer is left out.

    Args:
        trunk: as the settings say, with any weights.
        net: its settings, the hash of the file among them, where that was noted.
        entry: of the trunk.
        size: side of the images in pixels; None for any.

    Raises:
        ValueError: the file can't be read, or is not the one that was planned for; or it lacks weights of the trunk, or
            has others. One line.
    """
    path = Path(net.weights_file)
    if net.weights_content not in ("", content_of(net)):
        raise ValueError(f"the weights {path} are not those that were planned for: plan the run again")
    put(trunk, read_state(path), entry, size, f"the weights {path} are not those of {net.trunk}")


def put(trunk: Trunk, state: State, entry: TrunkEntry, size: int | None, refusal: str) -> None:
    """Put weights into a trunk.

    Args:
        trunk: as its entry builds it.
        state: weights of the library's network, of a trunk, or of an `Embedder`.
        entry: of the trunk.
        size: side of the images in pixels; None for any.
        refusal: beginning of the message where they don't fit.

    Raises:
        ValueError: weights of the trunk are missing, or there are others. One line.
    """
    module, own = _within(trunk, state)
    if module is trunk:
        found: State = own
    else:
        try:
            found = entry.adapted(own, size)
        except Exception as error:  # noqa: BLE001 - a library raises nearly anything at weights of another network
            differing = _differences(module, own, trunk.heads) or str(error).partition("\n")[0]
            raise ValueError(f"{refusal}: {differing}") from None
    differing = _differences(module, found, trunk.heads)
    if differing:
        raise ValueError(f"{refusal}: {differing}")
    module.load_state_dict({name: found.get(name, value) for name, value in module.state_dict().items()})


def _within(trunk: Trunk, state: State) -> tuple[nn.Module, State]:
    """The module that weights are of, by their names, and its own among them."""
    if any(name.startswith("trunk.") for name in state):  # an Embedder's; the rest is its linear layer
        return trunk, {name.removeprefix("trunk."): value for name, value in state.items() if name.startswith("trunk.")}
    network = getattr(trunk, "network", trunk)
    of_the_trunk = network is trunk or all(name.startswith("network.") for name in state)
    return (trunk if of_the_trunk else network), state


def _differences(module: nn.Module, state: State, heads: Iterable[str]) -> str:
    """What is missing, what is not the module's, and what has other shapes, a few by name; "" where all fits."""
    own = module.state_dict()
    others = [name for name in state if name not in own and not _within_any(name, heads)]
    shapes = [name for name in own if name in state and own[name].shape != state[name].shape]
    words = {
        "missing": [name for name in own if name not in state and not name.endswith(COUNTER)],
        "of another network": others,
        "of another shape": shapes,
    }
    return "; ".join(
        f"{_some(names)} {'is' if len(names) == 1 else 'are'} {what}" for what, names in words.items() if names
    )


def _within_any(name: str, parts: Iterable[str]) -> bool:
    return any(name.startswith(f"{part}.") for part in parts)


def _some(names: list[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def read_state(path: Path) -> State:
    """Weights by name, from a file of safetensors or torch; nothing in it is executed.

    Raises:
        ValueError: the file can't be read, is damaged, needs code, or holds something else.
    """
    try:
        content = _safetensors(path) if path.suffix == ".safetensors" else read_tensors(path)
    except Exception as error:  # noqa: BLE001 - a damaged file raises nearly anything
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"the weights {path} can't be read ({reason})") from None
    state = _unwrapped(content)
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no weights by name: save a network's state_dict() alone")
    return state


def _safetensors(path: Path) -> State:
    from safetensors.torch import load_file as load  # noqa: PLC0415 - few runs need it

    with open_regular(path):  # no pipe
        return dict(load(path))


def _unwrapped(content: Any) -> dict[str, Any]:
    """The weights of a network in what a checkpoint holds, under their own names."""
    while isinstance(content, Mapping) and (inner := next((key for key in NESTED if _holds(content, key)), None)):
        content = content[inner]
    state = dict(content) if isinstance(content, Mapping) else {}
    for wrapper in (*WRAPPERS, *WRAPPERS):  # in either order
        if state and all(str(name).startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): value for name, value in state.items()}
    return state


def _holds(content: Mapping[Any, Any], key: str) -> bool:
    return isinstance(content.get(key), Mapping)
