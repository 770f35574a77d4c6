"""Losses and miners of pytorch-metric-learning (Musgrave et al., arXiv:2008.09164), by name.

The library is imported when the first of its losses is asked for, not before: that takes seconds.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from relbench.losses.entry import Loss, suggestion

PREFIX = "pml:"

_NOT_FOR_LABELS = {"BaseMetricLossFunction", "GenericPairLoss", "ManifoldLoss", "VICRegLoss"}
"""The names that stand for other losses, and the losses that are not called with embeddings and labels."""

_SET_BY_SUBCLASSES = {"mat_based_loss"}

_OWN_OPTIONS = {
    "miner": inspect.Parameter("miner", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=str | None),
    "miner_options": inspect.Parameter(
        "miner_options", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Mapping[str, Any] | None
    ),
    "seed": inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int),
}


class MetricLearningLoss(nn.Module):
    """A loss of the library, with its miner, called like every supervised loss.

    Args:
        loss: from embeddings, labels and what the miner chose to a scalar; may have parameters (proxies, class
            weights) to be trained along.
        miner: chooses pairs or triplets of a batch; None: the loss takes all.
    """

    def __init__(self, loss: nn.Module, miner: nn.Module | None) -> None:
        super().__init__()
        self.loss, self.miner = loss, miner

    def forward(self, embeddings: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a batch.

        The library draws from torch's global generator; for the time of the call that is one seeded from `generator`,
        and afterwards it is as before.

        Args:
            embeddings: ``(batch, dim)``, floating. Get the gradient, and so do the loss's parameters.
            labels: ``(batch,)``, class numbers, from 0 to `num_classes` - 1 where the loss asks for `num_classes`.
            generator: source of the seed of all draws.

        Returns:
            Scalar.
        """
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with _seeded_globally(seed, embeddings.device):
            chosen = self.miner(embeddings, labels) if self.miner else None
            value: Tensor = self.loss(embeddings, labels, chosen)
        return value


@contextmanager
def _seeded_globally(seed: int, device: torch.device) -> Iterator[None]:
    """For the time of a `with`, torch's global generators (the CPU's, and the device's) are freshly seeded ones."""
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
        seed: of the first values of the loss's parameters, where it has any.
        **options: the loss's arguments; those of its base classes count as well.

    Returns:
        A module, called with `(embeddings, labels, generator)`.

    Raises:
        ValueError: loss, miner or one of their options is unknown, missing or of the wrong type.
    """
    given = {"miner": miner, "miner_options": miner_options, "seed": seed, **options}
    loss = pml_entry(name).build(**given)
    assert isinstance(loss, MetricLearningLoss)
    return loss


def pml_entry(name: str) -> Loss:
    """The table entry of a loss of pytorch-metric-learning.

    Raises:
        ValueError: there is no such loss; names those that come close.
    """
    losses = _classes("losses", "BaseMetricLossFunction")
    if name not in losses:
        raise ValueError(f"pytorch-metric-learning has no loss {name!r}{suggestion(name, losses)}")
    return Loss(
        name=f"{PREFIX}{name}",
        summary=f"{name} of pytorch-metric-learning",
        source="pytorch-metric-learning (arXiv:2008.09164), whose documentation names the loss's paper",
        kind="supervised",
        options=_arguments(losses[name]) | _OWN_OPTIONS,
        make=partial(_make, losses[name]),
        verify=_check_miner,
    )


def pml_names() -> list[str]:
    """All losses of pytorch-metric-learning that a batch with labels is enough for."""
    return sorted(_classes("losses", "BaseMetricLossFunction"))


def _make(
    loss: type[nn.Module],
    *,
    miner: str | None = None,
    miner_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> MetricLearningLoss:
    with _seeded_globally(seed, torch.device("cpu")):
        chooser = _built(_miners()[miner], miner_options or {}) if miner else None
        return MetricLearningLoss(_built(loss, options), chooser)


def _built(kind: type[nn.Module], options: Mapping[str, Any]) -> nn.Module:
    try:
        return kind(**options)
    except (AssertionError, TypeError, ValueError) as problem:
        raise ValueError(f"{kind.__name__} of pytorch-metric-learning refuses {dict(options)}: {problem}") from problem


def _check_miner(options: Mapping[str, Any]) -> None:
    name, given = options.get("miner"), options.get("miner_options") or {}
    if name is None:
        if given:
            raise ValueError(f"miner_options {dict(given)} are given, but no miner")
        return
    miners = _miners()
    if name not in miners:
        raise ValueError(f"pytorch-metric-learning has no miner {name!r}{suggestion(name, miners)}")
    allowed = _arguments(miners[name])
    for unknown in given.keys() - allowed.keys():
        raise ValueError(f"miner {name!r} has no option {unknown!r}{suggestion(unknown, allowed)}")


def _miners() -> dict[str, type[nn.Module]]:
    return _classes("miners", "BaseMiner")


def _classes(module: str, ancestor: str) -> dict[str, type[nn.Module]]:
    """The public classes of one of the library's modules that descend from (and are not) one of them."""
    library = import_module(f"pytorch_metric_learning.{module}")
    above: type[nn.Module] = getattr(library, ancestor)
    names = (name for name in vars(library) if name not in {*_NOT_FOR_LABELS, ancestor})
    classes = {name: getattr(library, name) for name in names}
    return {name: item for name, item in classes.items() if inspect.isclass(item) and issubclass(item, above)}


def _arguments(kind: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """What a class can be built with by keyword: its own parameters, and its bases' through **kwargs."""
    found: dict[str, inspect.Parameter] = {}
    for ancestor in (item for item in kind.__mro__ if item.__module__.startswith("pytorch_metric_learning.")):
        for parameter in inspect.signature(ancestor).parameters.values():
            if parameter.name not in _SET_BY_SUBCLASSES and parameter.kind not in _VARIADIC:
                found.setdefault(parameter.name, _keyword(parameter))
    return found


_VARIADIC = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def _keyword(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter as an option: of the type of its default, where that says anything."""
    types = {bool: bool, int: float, float: float, str: str}
    annotation = types.get(type(parameter.default), Any)
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
