"""The reference of Python names: those that modules list in `__all__`, with their docstrings."""

import inspect
from collections.abc import Collection
from types import ModuleType

import relbench
import relbench.evaluation
import relbench.losses
from generators.losses import described
from generators.markdown import autodoc
from relbench.losses import LOSSES

DATA = {
    "INPUTS": "relbench.losses.inputs.INPUTS",
    "LOSSES": "relbench.losses.LOSSES",
    "NEEDS": "relbench.losses.inputs.NEEDS",
    "REFILLED_PRESETS": "relbench.losses.refilled.REFILLED_PRESETS",
    "RKD_PRESETS": "relbench.losses.relational.RKD_PRESETS",
}
"""Where values stand that are no functions or classes, and their docstrings below them."""


def package_names() -> str:
    """All names of `relbench` itself, but for what the section of `relbench.evaluation` has."""
    return _names(relbench, without={"Recall"})


def evaluation_names() -> str:
    """All names of `relbench.evaluation`."""
    return _names(relbench.evaluation, without=())


def other_names_of_losses() -> str:
    """The names of `relbench.losses` that the reference of losses does not have."""
    return _names(relbench.losses, without={name for loss in LOSSES.values() for name in described(loss)})


def _names(module: ModuleType, without: Collection[str]) -> str:
    return "\n\n".join(_described(module, name) for name in module.__all__ if name not in without)


def _described(module: ModuleType, name: str) -> str:
    of = getattr(module, name)
    if inspect.isclass(of):
        return autodoc("autoclass", f"{module.__name__}.{name}")
    if callable(of):
        return autodoc("autofunction", f"{module.__name__}.{name}")
    return autodoc("autodata", DATA[name], "no-value:")
