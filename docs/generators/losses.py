"""The reference of losses, from the entries of `LOSSES`, their docstrings, and the studies that use them."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

from pydantic import TypeAdapter
from torch import nn

import relbench.losses
from generators.markdown import autodoc, code, facts, link, plain, section, table
from generators.studies import built_studies
from relbench.losses import INPUTS, LOSSES, NEEDS, RKD_PRESETS, Loss
from relbench.studies.setting_list import choices_of

FORMULAS = {
    "triplet": ("triplet_margin", "distance_weighted_probabilities"),
    "correlation_congruence": ("correlation_congruence",),
    "fitnet": ("fitnet",),
}
"""The functions that losses with parameters of their own, or random draws, compute."""


def losses() -> str:
    """A table of all losses, then a section for each."""
    overview = table(
        ["loss", "what it does", "compares"],
        ([link(code(name), "", anchor_of(name)), plain(loss.summary), _kind(loss)] for name, loss in LOSSES.items()),
    )
    return "\n\n".join([overview, *(_section(loss) for loss in LOSSES.values())])


def anchor_of(name: str) -> str:
    """Where the section of a loss is."""
    return f"loss-{name.replace('_', '-')}"


def defined_by(loss: Loss) -> Callable[..., Any]:
    """The function, or class, whose docstring says what the loss computes."""
    return loss.make.args[0] if isinstance(loss.make, partial) else loss.make


def described(loss: Loss) -> list[str]:
    """Names of `relbench.losses` whose docstrings say together what a loss computes."""
    return [defined_by(loss).__name__, *FORMULAS.get(loss.name, ())]


def _kind(loss: Loss) -> str:
    return "student with teacher" if loss.needs_teacher else "embeddings with labels"


def _section(loss: Loss) -> str:
    return section(
        2,
        code(loss.name),
        plain(loss.summary[0].upper() + loss.summary[1:]) + ".",
        facts(dict(_facts(loss))),
        _options(loss),
        _weights(loss.name),
        *map(_docstring, described(loss)),
        anchor=anchor_of(loss.name),
    )


def _docstring(name: str) -> str:
    definition = getattr(relbench.losses, name)
    if not inspect.isclass(definition):
        return autodoc("autofunction", f"relbench.losses.{name}")
    called = "forward" if issubclass(definition, nn.Module) else "__call__"
    return autodoc("autoclass", f"relbench.losses.{name}", f"members: {called}")


def _facts(loss: Loss) -> Iterator[tuple[str, str]]:
    yield "compares", _kind(loss)
    for name in loss.takes:
        optional = ", optional" if name in loss.optional else ""
        yield f"takes {code(name)}{optional}", plain(INPUTS[name].summary)
    if loss.layers:
        yield "usual layers", ", ".join(map(code, loss.layers))
    yield "source", plain(loss.source)
    if loss.waits:
        yield "waits for a GPU", plain(loss.waits)


def _options(loss: Loss) -> str:
    rows = [
        [code(name), _default(option.default), plain(_choices(option.annotation))]
        for name, option in loss.options.items()
        if name not in NEEDS
    ]
    return table(["option", "default", "can be"], rows) if rows else "It has no options."


def _default(value: object) -> str:
    return "must be given" if value is inspect.Parameter.empty else code(value)


def _choices(annotation: Any) -> str:
    return choices_of(TypeAdapter(annotation).json_schema())


def _weights(name: str) -> str:
    """Which weights the loss has in studies, where what it stands beside differs, and in presets of papers."""
    presets = {preset: weights for preset, weights in RKD_PRESETS.items() if name in weights}
    rows = [[f"preset {code(preset)}", f"{weights[name]:g}"] for preset, weights in presets.items()]
    rows += [[link(code(study), "", f"study-{study}"), ", ".join(weights)] for study, weights in _used()[name].items()]
    return table(["used in", "weights"], rows) if rows else "No study uses it."


@cache
def _used() -> Mapping[str, Mapping[str, list[str]]]:
    """By loss, the weights that it has in each study, in the order of its runs."""
    used: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for study in built_studies():
        for name in study.losses:
            weights = (f"{term.weight:g}" for term in study.terms if term.loss == name)
            used[name][study.name] = list(dict.fromkeys(weights))
    return used
