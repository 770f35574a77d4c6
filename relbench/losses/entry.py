"""Entries of the table of losses, and the check of their options."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from torch import Tensor

from relbench.lookup import hint
from relbench.losses.inputs import INPUTS, NEEDS, Requirement, required_by

RESERVED = ("layers", "loss", "source", "weight")
"""What a term says of any loss: no option can have such a name, or `--set` could not tell which is meant."""


def no_further_check(options: Mapping[str, Any]) -> None:
    """For losses whose options are right if their names and types are."""


@dataclass(frozen=True)
class Loss:
    """One entry of the table of losses.

    Attributes:
        name: how an experiment calls it.
        summary: what it does, one line.
        source: where it comes from: paper, code.
        takes: what it is called with, names of `INPUTS` in order. It returns a scalar.
        options: its options by name, each with annotation and default.
        make: from options to what is called: a function, or a module if the loss has parameters of its own, which
            are then to be trained along.
        optional: those of `takes` that may be None.
        layers: which layers' maps it compares if nothing else is said; empty for losses that take no maps. The loss of
            a term is the sum over its layers, each with a loss (and parameters) of its own.
        verify: raises ValueError where names and types are right and the values still are not.
        free_length_revision: counts up whenever its code changes, beyond rounding, the numbers of runs whose embeddings
            are not of unit length; those of unit length stay at 1. See `Term.revision`.
        of_places: whether it compares the places of a map with each other, so that it is 0 for maps of one place.
        labels_on_the_host: whether its labels are in the host's memory, where it finds what follows from them alone
            without waiting for a GPU; a user's loss, and others, are given them where the embeddings are.
        waits: why the host must wait for a GPU in each of its steps; empty where it need not (`relbench bench waits`).
    """

    name: str
    summary: str
    source: str
    takes: tuple[str, ...]
    options: Mapping[str, inspect.Parameter]
    make: Callable[..., Callable[..., Tensor]]
    layers: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    verify: Callable[[Mapping[str, Any]], object] = no_further_check
    free_length_revision: int = 1
    of_places: bool = False
    labels_on_the_host: bool = False
    waits: str = ""

    @property
    def required(self) -> set[str]:
        """Options that have no usual value, and that no run knows."""
        empty = inspect.Parameter.empty
        return {name for name, option in self.options.items() if option.default is empty} - set(NEEDS)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of `INPUTS` that `takes` is called with in a training."""
        on_the_host = {"labels": "host_labels"} if self.labels_on_the_host else {}
        return tuple(on_the_host.get(name, name) for name in self.takes)

    @property
    def requires(self) -> frozenset[Requirement]:
        """Requirements to be assembled before the training."""
        return required_by(self.takes)

    @property
    def needs_teacher(self) -> bool:
        """Whether it compares with a teacher."""
        return "teacher" in self.requires

    @property
    def trains_student(self) -> bool:
        """Whether its gradient reaches the student."""
        return any(INPUTS[name].trains for name in self.takes)

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of `NEEDS` that the loss takes: pass them to `build` along with the experiment's options."""
        return tuple(name for name in NEEDS if name in self.options)

    def check(self, options: Mapping[str, Any]) -> None:
        """Refuse options that cannot be right. Cheap; what `needs` lists may still be missing.

        Raises:
            ValueError: an option is unknown, missing, or of the wrong type or value; names the loss, the option, and
                what is allowed.
        """
        for name, value in options.items():
            self._check_option(name, value)
        self._refuse_missing(self.required - set(options))
        self.verify(options)

    def build(self, **options: Any) -> Callable[..., Tensor]:
        """The loss with its options fixed.

        Raises:
            ValueError: as `check`, and where an option is missing that the run knows (see `needs`).
        """
        self.check(options)
        missing = (name for name in self.needs if self.options[name].default is inspect.Parameter.empty)
        self._refuse_missing(set(missing) - set(options))
        return self.make(**options)

    def _check_option(self, name: str, value: object) -> None:
        if name not in self.options:
            raise ValueError(f"loss {self.name!r} has no option {name!r}: {hint(name, self.options)}")
        annotation = self.options[name].annotation
        if not _fits(value, annotation):
            raise ValueError(f"loss {self.name!r}: option {name!r} is {value!r}, but must be {_words(annotation)}")

    def _refuse_missing(self, names: set[str]) -> None:
        if names:
            raise ValueError(f"loss {self.name!r} needs a value for {', '.join(sorted(names))}")


def options_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a function (or class), annotations resolved."""
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    parameters = inspect.signature(function).parameters.values()
    keywords = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    return {parameter.name: parameter.replace(annotation=hints[parameter.name]) for parameter in keywords}


def inputs_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the positional parameters of a function, or method, what it is bound to aside."""
    return tuple(name for name, _ in _positional(function) if name != "self")


def _positional(function: Callable[..., Any]) -> list[tuple[str, inspect.Parameter]]:
    parameters = inspect.signature(function).parameters.items()
    return [(name, parameter) for name, parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


def pure_loss(
    function: Callable[..., Tensor],
    summary: str,
    source: str,
    layers: tuple[str, ...] = (),
    verify: Callable[[Mapping[str, Any]], object] = no_further_check,
) -> Loss:
    """The entry of a loss without parameters of its own: a function, whose keyword-only parameters are the options."""
    optional = tuple(name for name, parameter in _positional(function) if parameter.default is not parameter.empty)
    name, takes, options = function.__name__, inputs_of(function), options_of(function)
    make = partial(partial, function)
    return Loss(name, summary, source, takes, options, make, layers, optional, verify, labels_on_the_host=True)


def _fits(value: object, annotation: Any) -> bool:
    """Whether a value has a type, without conversion; a whole number passes for a float, True does not."""
    settings = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
    try:
        TypeAdapter(annotation, config=settings).validate_python(value)
    except (ValidationError, PydanticUserError):  # wrong; or a type that no plain value has
        return False
    return True


def _words(annotation: Any) -> str:
    return annotation.__name__ if inspect.isclass(annotation) else str(annotation).replace("typing.", "")
