"""Losses and miners of pytorch-metric-learning (Musgrave et al., arXiv:2008.09164), by name.

The library is imported with the first of its losses, not before: importing it takes seconds.
"""

import inspect
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from relbench.lookup import lookup
from relbench.losses.check_inputs import as_floats, class_numbers
from relbench.losses.entry import Loss
from relbench.losses.inputs import NEEDS

PREFIX = "pml:"

_LIBRARY = "pytorch-metric-learning"

_KINDS = {
    "loss": ("losses", "BaseMetricLossFunction"),
    "miner": ("miners", "BaseMiner"),
    "distance": ("distances", "BaseDistance"),
    "reducer": ("reducers", "BaseReducer"),
    "regularizer": ("regularizers", "BaseRegularizer"),
}
"""Kinds of objects that are found by name: the library's module, and their base class."""

_NOT_FOR_LABELS = {"EmbeddingsAlreadyPackagedAsTriplets", "GenericPairLoss", "ManifoldLoss", "VICRegLoss"}
"""Abstract classes, and losses and miners that take something other than embeddings and labels."""

_OBJECTS = {
    "distance": "distance",
    "reducer": "reducer",
    "embedding_regularizer": "regularizer",
    "weight_regularizer": "regularizer",
}
"""Arguments that are themselves objects of the library, and their kind."""

_TRIAL_CLASSES, _TRIAL_ROWS, _TRIAL_DIM = 4, 4, 8
"""Classes, rows of each, and columns of the batch that options are tried on."""

_SET_BY_SUBCLASSES = {"mat_based_loss"}

_OWN_OPTIONS = {
    "miner": inspect.Parameter("miner", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=str | None),
    "miner_options": inspect.Parameter(
        "miner_options", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Mapping[str, Any] | None
    ),
    "seed": inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int),
}


class MetricLearningLoss(nn.Module):
    """A loss of the library with its miner, called like every loss of embeddings and labels.

    Args:
        loss: from embeddings, labels and the miner's choice to a scalar; may have parameters (proxies, class
            weights) to be trained along.
        miner: chooses pairs or triplets of a batch; None: the loss takes all.
    """

    def __init__(self, loss: nn.Module, miner: nn.Module | None) -> None:
        super().__init__()
        self.loss, self.miner = loss, miner
        for module in loss.modules():
            _keep_as_buffers(module)

    def forward(self, embeddings: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a batch.

        The library draws from torch's global generator, which is seeded from `generator` during the call and restored
        after it.

        Args:
            embeddings: ``(batch, dim)``, floating. Get the gradient, and so do the loss's parameters.
            labels: ``(batch,)``, class numbers, from 0 to `num_classes` - 1 where the loss takes `num_classes`.
            generator: source of the seed of all draws.

        Returns:
            Scalar.
        """
        embeddings, labels = as_floats("embeddings", embeddings), class_numbers(labels)
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with _seeded_globally(seed, embeddings.device):
            chosen = self.miner(embeddings, labels) if self.miner else None
            value: Tensor = self.loss(embeddings, labels, chosen)
        for name, kept in self.loss.named_buffers():
            if kept.requires_grad:  # it belongs to this batch's graph, which is freed before the next batch
                self.loss.get_submodule(name.rpartition(".")[0]).register_buffer(name.rpartition(".")[2], kept.detach())
        return value


def _keep_as_buffers(module: nn.Module) -> None:
    """Register a module's plain tensors as buffers, so that they are saved and move with it to a device."""
    for name in [name for name, value in vars(module).items() if isinstance(value, Tensor)]:
        module.register_buffer(name, module.__dict__.pop(name))


@contextmanager
def _seeded_globally(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators (the CPU's and the device's) inside a `with`, and restore them after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        # Not torch.manual_seed: that would seed the generators of all devices, which are not restored.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def pml_loss(
    name: str,
    miner: str | None = None,
    *,
    miner_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> MetricLearningLoss:
    """A loss of pytorch-metric-learning by the name of its class, with or without a miner.

    Args:
        name: of the loss, such as "MultiSimilarityLoss".
        miner: of the miner, such as "MultiSimilarityMiner".
        miner_options: the miner's arguments.
        seed: of the initial values of the loss's parameters, where it has any.
        **options: the loss's arguments; those of its base classes count as well. A distance, reducer or regularizer is
            the name of its class, "LpDistance", or the name with arguments, `{"name": "LpDistance", "p": 1}`.

    Returns:
        A module, called with `(embeddings, labels, generator)`.

    Raises:
        ValueError: loss, miner or an option of theirs is unknown, missing or of the wrong type; or they can't be built,
            or called with a batch.
    """
    given = {"miner": miner, "miner_options": miner_options, "seed": seed, **options}
    loss = pml_entry(name).build(**given)
    assert isinstance(loss, MetricLearningLoss)
    return loss


def pml_entry(name: str) -> Loss:
    """The table entry of a loss of pytorch-metric-learning.

    Raises:
        ValueError: there is no such loss; the message suggests close names.
    """
    loss = _class("loss", name)
    return Loss(
        name=f"{PREFIX}{name}",
        summary=f"{name} of {_LIBRARY}",
        source=f"{_LIBRARY} (arXiv:2008.09164), whose documentation names the loss's paper",
        takes=("embeddings", "labels", "generator"),
        options=_arguments(loss) | _OWN_OPTIONS,
        make=partial(_make, loss),
        verify=partial(_try, loss),
        waits="most of the library's losses and miners look for pairs of a batch on the GPU",
    )


def pml_names() -> list[str]:
    """All losses of pytorch-metric-learning that need no more than a batch with labels."""
    return sorted(_classes("loss"))


def _make(
    loss: type[nn.Module],
    *,
    miner: str | None = None,
    miner_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> MetricLearningLoss:
    run = {name: value for name, value in options.items() if name in NEEDS}
    with _seeded_globally(seed, torch.device("cpu")), warnings.catch_warnings(action="ignore"):
        chooser = _built(_class("miner", miner), miner_options or {}, run) if miner else None
        return MetricLearningLoss(_built(loss, options, run), chooser)


def _built(kind: type[nn.Module], options: Mapping[str, Any], run: Mapping[str, Any]) -> nn.Module:
    """An object of the library; `run` holds values that follow from the run, for the objects among its options."""
    arguments = {
        name: _object(_OBJECTS[name], value, run) if name in _OBJECTS else value for name, value in options.items()
    }
    return kind(**arguments)


def _object(what: str, wanted: object, run: Mapping[str, Any]) -> object:
    """An option that is an object of the library, built from its name, or name and options; others unchanged."""
    if isinstance(wanted, str):
        wanted = {"name": wanted}
    if not isinstance(wanted, Mapping):
        return wanted
    options = {name: value for name, value in wanted.items() if name != "name"}
    kind = _class(what, wanted.get("name", ""))
    allowed = _arguments(kind)
    _check_names(kind, options, allowed.keys() - set(NEEDS))
    return _built(kind, options | {name: value for name, value in run.items() if name in allowed}, run)


def _try(loss: type[nn.Module], options: Mapping[str, Any]) -> None:
    """Build the loss and call it with a small batch, so that impossible options are refused before a run.

    Anything the library raises counts as a refusal: its errors come from anywhere between its constructors and torch.
    Values that follow from the run come from the batch here. Draws nothing from torch's global generators.
    """
    _check_miner(options)
    generator = torch.Generator().manual_seed(0)
    dim = options.get("descriptors_dim", _TRIAL_DIM)
    run = {"num_classes": _TRIAL_CLASSES, "embedding_size": dim, "descriptors_dim": dim}
    taken = {name: value for name, value in run.items() if name in _arguments(loss)}
    labels = torch.arange(_TRIAL_CLASSES).repeat_interleave(_TRIAL_ROWS)
    try:
        with warnings.catch_warnings(action="ignore"):
            built = _make(loss, **{**options, **taken})
            rows = normalize(torch.randn(len(labels), dim, generator=generator))
            value = built(rows, labels, generator)
    except Exception as problem:
        first_line = next(iter(str(problem).splitlines()), type(problem).__name__)
        raise ValueError(f"{_refusal(loss, options)}: {first_line}") from problem
    if not isinstance(value, Tensor) or value.ndim:
        raise ValueError(f"{_refusal(loss, options)}: for a batch it returns more than a number")
    if not value.isfinite():
        raise ValueError(f"{_refusal(loss, options)}: for a random batch it returns {float(value)}")


def _refusal(loss: type[nn.Module], options: Mapping[str, Any]) -> str:
    given = {name: value for name, value in options.items() if value or name not in _OWN_OPTIONS}
    return f"{loss.__name__} of {_LIBRARY} refuses {given}"


def _check_miner(options: Mapping[str, Any]) -> None:
    name, given = options.get("miner"), options.get("miner_options") or {}
    if name is not None:
        miner = _class("miner", name)
        _check_names(miner, given, _arguments(miner))
    elif given:
        raise ValueError(f"miner_options {dict(given)} were given, but no miner")


def _check_names(kind: type[nn.Module], options: Iterable[str], allowed: Iterable[str]) -> None:
    for name in options:
        lookup(name, allowed, f"option of {kind.__name__}")


def _class(what: str, name: str) -> type[nn.Module]:
    """The library's class of that name; ValueError with close names where there is none."""
    classes = _classes(what)
    return classes[lookup(name, classes, f"{_LIBRARY} {what}")]


def _classes(what: str) -> dict[str, type[nn.Module]]:
    """The library's public classes of a kind that can be named in settings."""
    module, base = _KINDS[what]
    library = import_module(f"pytorch_metric_learning.{module}")
    _index_by_tuples()
    above: type[nn.Module] = getattr(library, base)
    classes = {name: item for name, item in vars(library).items() if inspect.isclass(item)}
    left_out = {base, *_NOT_FOR_LABELS}
    return {name: item for name, item in classes.items() if issubclass(item, above) and name not in left_out}


@cache
def _index_by_tuples() -> None:
    """Let HistogramLoss index its matrix by a tuple: torch warns at every step of its list of rows and columns."""
    module: Any = import_module("pytorch_metric_learning.losses.histogram_loss")
    pairs = module.filter_pairs
    module.filter_pairs = lambda *columns: tuple(pairs(*columns))


def _arguments(kind: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """Keyword arguments of a class: its own parameters, and those of its bases through **kwargs."""
    found: dict[str, inspect.Parameter] = {}
    for ancestor in (item for item in kind.__mro__ if item.__module__.startswith("pytorch_metric_learning.")):
        for parameter in inspect.signature(ancestor).parameters.values():
            if parameter.name not in _SET_BY_SUBCLASSES and parameter.kind not in _VARIADIC:
                found.setdefault(parameter.name, _keyword(parameter))
    return found


_VARIADIC = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def _keyword(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter as an option, typed by its default where it has a telling one."""
    types = {bool: bool, int: float, float: float, str: str}
    annotation = types.get(type(parameter.default), int if parameter.name in NEEDS else Any)
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
