"""A network from a user's Python file, which is executed: `module.py:build` returns it."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from relbench.experiment import Normalization as NormalizationName
from relbench.judging.candidate import UNKNOWN, Candidate, Judged
from relbench.models.normalization import Normalization
from relbench.models.weight_files import read_state
from relbench.seeding import seeded

NAMED = 3  # names of weights in a message
LONGEST = 200  # characters of what a user's code raised


def candidate_of_file(spec: str, weights: Path | None, normalization: NormalizationName | None) -> Candidate:
    """The network that a function of a Python file returns.

    Args:
        spec: "path/to/module.py:build", or the file alone for its function `build`, which takes no arguments.
        weights: file of the network's weights; None: as `build` returns it.
        normalization: of the images that it is shown; None: it is shown images in [0, 1].
    """

    def build(channels: int, size: int) -> Judged:
        del size
        if normalization and channels != 3:
            raise ValueError(
                f"--normalization {normalization} is for coloured images, but these are grey: leave it out"
            )
        with seeded(0):  # what it draws is the same each time
            network = _built(spec)
        if weights:
            load_weights(network, weights, spec)
        return Judged(UserModel(network, spec, Normalization(normalization) if normalization else nn.Identity()))

    return Candidate(build, note=UNKNOWN)


class UserModel(nn.Module):
    """A user's network, shown images as it expects them; whatever is wrong with its embeddings is told in one line.

    Args:
        network: from images, shape (batch, channels, size, size), to embeddings, shape (batch, dim).
        spec: names it in messages.
        normalize: of the images.
    """

    def __init__(self, network: nn.Module, spec: str, normalize: nn.Module) -> None:
        super().__init__()
        self.network, self.normalize, self._spec = network, normalize, spec

    def forward(self, images: Tensor) -> Tensor:
        """Images, as floats in [0, 1] or bytes -> embeddings.

        Raises:
            ValueError: the network returns no matrix of finite numbers with a row per image, or raises something.
        """
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        with blamed(self._spec):
            embeddings: Tensor = self.network(self.normalize(scaled))
        self._check(embeddings, images)
        return embeddings

    def _check(self, found: Any, images: Tensor) -> None:
        count, shape = len(images), tuple(images.shape)
        if not isinstance(found, Tensor):
            raise ValueError(
                f"{self._spec} returns a value of type {type(found).__name__} for images of shape {shape}: {WANTED}"
            )
        if found.ndim != 2 or len(found) != count or not found.shape[1]:
            raise ValueError(f"{self._spec} returns shape {tuple(found.shape)} for images of shape {shape}: {WANTED}")
        if not found.is_floating_point() or not torch.isfinite(found).all():
            what = "numbers that are not finite" if found.is_floating_point() else f"numbers of type {found.dtype}"
            raise ValueError(f"{self._spec} returns {what}: {WANTED}")


WANTED = "return a matrix of finite numbers (images, dimensions) with a row per image"


def _built(spec: str) -> nn.Module:
    """What the function returns: a network."""
    named, _, name = spec.rpartition(":") if not spec.endswith(".py") else (spec, "", "build")
    path = Path(named).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise ValueError(f"{path} {what}: name a Python file and a function in it, such as module.py:build")
    with _importing_from(path.resolve().parent):
        with blamed(spec):
            module = _executed(path)
        function = _function(module, name, path)
        with blamed(spec):
            network = function()
    if not isinstance(network, nn.Module):
        raise ValueError(f"{spec} returns a value of type {type(network).__name__}: return a torch.nn.Module")
    return network


def _executed(path: Path) -> ModuleType:
    name = f"relbench_user_{path.stem}"
    found = importlib.util.spec_from_file_location(name, path)
    assert found  # its name ends with .py
    assert found.loader
    module = sys.modules[name] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _function(module: ModuleType, name: str, path: Path) -> Callable[[], Any]:
    function = getattr(module, name, None)
    if not callable(function):
        own = [each for each, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise ValueError(f"{path} has no function {name}: {f'it has {_some(own)}' if own else 'it has none'}")
    return cast("Callable[[], Any]", function)


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """A user's file can import what lies beside it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def load_weights(network: nn.Module, path: Path, what: str) -> None:
    """Put weights from a file into a network; nothing in the file is executed.

    Args:
        network: of all of these weights.
        path: a file of safetensors or torch.
        what: names the network in messages.

    Raises:
        ValueError: the file can't be read, or weights are missing, of another network, or of another shape.
    """
    state, own = read_state(path), network.state_dict()
    wrong = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": [name for name in own if name in state and own[name].shape != state[name].shape],
    }
    told = [f"{len(names)} {kind} ({_some(names)})" for kind, names in wrong.items() if names]
    if told:
        raise ValueError(f"the weights {path} are not those of {what}: {'; '.join(told)}")
    network.load_state_dict(state)


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


@contextmanager
def blamed(spec: str) -> Iterator[None]:
    """Whatever a user's code raises becomes one line that says where; an interrupt passes.

    Args:
        spec: of the file and its function.

    Raises:
        ValueError: the code raised something.
    """
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as problem:
        line = _line(problem, Path(spec.partition(".py")[0]).name + ".py")
        words = " ".join(str(problem).split())[:LONGEST]
        place = f", line {line}" if line else ""
        raise ValueError(f"{spec}{place}: {type(problem).__name__}{f': {words}' if words else ''}") from problem


def _line(problem: BaseException, file: str) -> int | None:
    """The last line of the user's file that led to the problem."""
    if isinstance(problem, SyntaxError) and problem.filename and Path(problem.filename).name == file:
        return problem.lineno
    lines = [frame.lineno for frame in extract_tb(problem.__traceback__) if Path(frame.filename).name == file]
    return lines[-1] if lines else None
