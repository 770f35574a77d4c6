"""Losses that are not relbench's: a function or a class in one file of Python, named on the command line.

Naming such a file runs its code, with all rights of whoever names it, in worker processes alone: a command learns about
the loss from one (`relbench.losses.worker`), runs are made in others. Nothing else in relbench executes code that came
as text. The text is kept with the run and is all that a run knows of the file: it does not go back to the path.
"""

import inspect
import linecache
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import takewhile
from types import ModuleType
from typing import Any, NoReturn, TypeGuard, cast

from torch import Tensor, nn

from relbench.lookup import hint
from relbench.losses.entry import RESERVED, Loss
from relbench.losses.inputs import INPUTS
from relbench.losses.user_errors import LONGEST_MESSAGE, blame_user_code, first_line, label_of, torch_unchanged
from relbench.losses.user_file import checked_name, file_of
from relbench.losses.worker import execute, is_worker
from relbench.seeding import seeded

_ALLOWED = {"teacher", "classifier", "teacher_classifier", "episodes"}
OWN_INPUTS = tuple(name for name, entry in INPUTS.items() if entry.requires <= _ALLOWED)
"""Which of `INPUTS` the parameters of an own loss can be: all but maps of layers and class centres."""


_FORMS = (
    "(student, teacher), (student, teacher, labels), (embeddings, labels), (student_logits, teacher_logits) or, for "
    "few-shot, (support, query), and then generator, for random draws"
)
_SEED = inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int)


@dataclass(frozen=True, kw_only=True)
class DescribedLoss(Loss):
    """What a command knows of a user's loss; only worker processes can build it.

    Attributes:
        text: of the file.
    """

    text: str


def user_loss(name: str, source: str) -> Loss:
    """A user's loss, as far as this process may know it: the loss itself in a worker process, else its description.

    Args:
        name: "my_loss:MyLoss", as from `read_own`.
        source: text of the file.

    Raises:
        ValueError: as `own_loss`; or the code ends its process, or does not return.
    """
    return own_loss(name, source) if is_worker() else _described(name, source)


@lru_cache(maxsize=64)
def _described(name: str, source: str) -> DescribedLoss:
    told = execute(repr(name), _description, name, source)
    any_value = inspect.Parameter("any", inspect.Parameter.KEYWORD_ONLY, annotation=Any)
    defaults = {True: any_value.replace(default=None), False: any_value}
    return DescribedLoss(
        name=name,
        summary=told["summary"],
        source=told["source"],
        takes=tuple(told["takes"]),
        optional=tuple(told["optional"]),
        options={option: defaults[optional].replace(name=option) for option, optional in told["options"].items()},
        make=partial(_refuse_to_build, name),
        verify=partial(_check_there, name, source),
        text=source,
    )


def _description(name: str, source: str) -> dict[str, Any]:
    """What a command learns of a loss; executes the text."""
    entry = own_loss(name, source)
    options = {name: option.default is not option.empty for name, option in entry.options.items()}
    return {
        "summary": entry.summary[:LONGEST_MESSAGE],
        "source": entry.source,
        "takes": entry.takes,
        "optional": entry.optional,
        "options": options,
    }


def _check_there(name: str, source: str, options: Mapping[str, Any]) -> None:
    """Types of options are known where the text is executed."""
    execute(repr(name), _check_here, name, source, dict(options))


def _check_here(name: str, source: str, options: Mapping[str, Any]) -> None:
    own_loss(name, source).check(options)


def _refuse_to_build(name: str, **_: Any) -> NoReturn:
    raise RuntimeError(f"the loss {name!r} of a user's is built in worker processes only")


@lru_cache(maxsize=64)
def own_loss(name: str, source: str) -> Loss:
    """The entry of a loss from the text of its file. Executes the text: now, and again for each loss that is built.

    So each run starts from a file that was just loaded, and what one run leaves in its variables reaches no other. For
    the time of loading and building torch's global generator is one seeded by the run, and afterwards it is as before:
    first values drawn from it are the same wherever the run is computed.

    The names of the parameters say what the loss is called with: `OWN_INPUTS`. Any others are options: of a function
    those that follow a ``*`` or have a default, of a class those of ``__init__``. Options called like one of `NEEDS`
    get their value from the run.

    Args:
        name: "my_loss:MyLoss", as from `read_own`.
        source: text of the file.

    Returns:
        An entry like those of `LOSSES`. A class is an nn.Module, whose parameters are trained along.

    Raises:
        ValueError: the text does not run, has no such name, or its parameters are none that a loss can be called with.
    """
    file = file_of(checked_name(name), source)
    with seeded(0):
        thing = _load(name, source)
    with blame_user_code(name, file):
        parameters = _called_with(thing)
    takes = _takes(name, parameters)
    with blame_user_code(name, file):
        options = _options(thing, takes)
    _refuse_reserved(name, options)
    return Loss(
        name=name,
        summary=first_line(_inner(thing).__doc__) or f"loss of {label_of(file)}",
        source=file,
        takes=takes,
        optional=tuple(each.name for each in parameters if each.name in takes and each.default is not each.empty),
        options={"seed": _SEED} | options,
        make=partial(_make, name, source, {"seed"} - options.keys()),
    )


def guarded(entry: Loss, loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """An own loss for training, where whatever its code raises becomes one line as well.

    Args:
        entry: of the loss.
        loss: as built by the entry.
    """
    call = loss.forward if isinstance(loss, nn.Module) else loss

    def called(*inputs: Any) -> Tensor:
        with blame_user_code(entry.name, entry.source, " in training"):
            value: Tensor = call(*inputs)
            return value

    if not isinstance(loss, nn.Module):
        return called
    loss.forward = called
    return loss


def _make(name: str, source: str, hidden: Collection[str], **options: Any) -> Callable[..., Tensor]:
    """What is called, from a file that was just loaded; it does not take the options in `hidden`."""
    given = {option: value for option, value in options.items() if option not in hidden}
    with seeded(options.get("seed", 0)):
        thing = _load(name, source)
        with blame_user_code(name, file_of(name, source)):
            return thing(**given) if _is_module(thing) else partial(thing, **given)


def _load(name: str, source: str) -> Callable[..., Any]:
    """Execute the text, and give what has the name in it: a function, or a class that is an nn.Module."""
    module, wanted = _executed(name, source), name.partition(":")[2]
    if wanted not in vars(module):
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        raise ValueError(f"{label_of(file_of(name, source))} has no {wanted!r}: {hint(wanted, own)}")
    thing = vars(module)[wanted]
    if not _is_module(thing) and (inspect.isclass(thing) or isinstance(thing, nn.Module) or not callable(thing)):
        kind = "a class of another kind" if inspect.isclass(thing) else f"an object of type {type(thing).__name__}"
        raise ValueError(f"loss {name!r} is {kind}: name a function, or a class that is a torch.nn.Module")
    return cast("Callable[..., Any]", thing)


def _is_module(thing: object) -> TypeGuard[type[nn.Module]]:
    return inspect.isclass(thing) and issubclass(thing, nn.Module)


def _executed(name: str, source: str) -> ModuleType:
    """A fresh module from the text. Python finds it, and its lines, as if it had been imported."""
    file = file_of(name, source)
    module = ModuleType(f"relbench_own_{file.split()[-1]}")
    module.__file__, module.__package__ = f"<{file}>", ""
    linecache.cache[module.__file__] = (len(source), None, source.splitlines(keepends=True), module.__file__)
    sys.modules[module.__name__] = module
    with torch_unchanged(name, file), blame_user_code(name, file):
        exec(compile(source, module.__file__, "exec"), vars(module))  # noqa: S102 - the user named the file to be run
    return module


def _called_with(thing: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of the call, without a function's options after the ``*``."""
    if _is_module(thing):
        return list(inspect.signature(thing.forward).parameters.values())[1:]
    parameters = inspect.signature(thing).parameters.values()
    return [parameter for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]


def _takes(name: str, parameters: Sequence[inspect.Parameter]) -> tuple[str, ...]:
    """The inputs among the parameters. They come first, and what follows can be left out."""
    names = [parameter.name for parameter in parameters]
    takes = tuple(takewhile(OWN_INPUTS.__contains__, names))
    needed = [rest.name for rest in parameters if rest.default is rest.empty and rest.kind is not rest.VAR_KEYWORD]
    unknown = {*needed, *set(OWN_INPUTS).intersection(names)} - set(takes)
    if unknown or not any(INPUTS[each].trains for each in takes) or {"student", "embeddings"} <= set(takes):
        raise ValueError(
            f"loss {name!r} is called with ({', '.join(map(str, parameters))}): name its parameters {_FORMS}; options "
            "have a default or follow a *"
        )
    return takes


def _options(thing: Callable[..., Any], takes: Collection[str]) -> dict[str, inspect.Parameter]:
    """What can be given by name: to the class when it is built, or to the function beside its inputs."""
    parameters = inspect.signature(thing).parameters.values()
    named = [option for option in parameters if option.kind in (option.KEYWORD_ONLY, option.POSITIONAL_OR_KEYWORD)]
    names = _namespace(thing)
    return {option.name: _option(option, names) for option in named if _is_module(thing) or option.name not in takes}


def _namespace(thing: Any) -> Mapping[str, Any]:
    """The names that annotations of a function or class are written with."""
    function = inspect.unwrap(_inner(thing))
    found: Mapping[str, Any] = getattr(function, "__globals__", None) or vars(sys.modules[function.__module__])
    return found


def _inner(thing: Any) -> Any:
    """What a functools.partial calls in the end."""
    while isinstance(thing, partial):
        thing = thing.func
    return thing


def _refuse_reserved(name: str, options: Iterable[str]) -> None:
    for option in sorted(set(options).intersection(RESERVED)):
        raise ValueError(
            f"loss {name!r} has an option {option!r}, which means something else for every loss: rename it"
        )


def _option(parameter: inspect.Parameter, names: Mapping[str, Any]) -> inspect.Parameter:
    """As an option: by name only, and of any type if none is written, or none that is there when the file runs."""
    annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, dict(names))  # noqa: S307 - text of the file that was just executed
        except Exception:  # noqa: BLE001 - imported for type checkers only, say
            annotation = Any
    return parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=annotation)
