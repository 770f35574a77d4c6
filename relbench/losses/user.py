"""Losses that are not relbench's: a function or a class in one file of Python, named on the command line.

Naming such a file runs its code, with all rights of whoever names it, in worker processes alone: a command learns about
the loss from one (`relbench.losses.worker`), runs are made in others. Nothing else in relbench executes code that came
as text. The text is kept with the run and is all that a run knows of the file: it does not go back to the path.
"""

import hashlib
import inspect
import linecache
import re
import sys
from ast import AST, ClassDef, FunctionDef, Import, ImportFrom, parse, walk
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any, NoReturn, TypeGuard, cast

from torch import Tensor, nn

from relbench.lookup import hint
from relbench.losses.entry import RESERVED, Loss
from relbench.losses.inputs import INPUTS
from relbench.losses.pml import PREFIX
from relbench.losses.worker import execute, is_worker, torch_settings
from relbench.seeding import seeded

LARGEST_FILE = 2**20
"""Bytes of a loss file: more is no loss, and would stand in every row."""

OWN_INPUTS = tuple(name for name, entry in INPUTS.items() if entry.requires <= {"teacher"})
"""Which of `INPUTS` the parameters of an own loss can be: what needs neither layers nor a classifier."""


_FORMS = "(student, teacher), (student, teacher, labels) or (embeddings, labels), and then generator, for random draws"
_ONE_FILE = "only this file is kept with a run, so it can import installed packages, but no other file from its folder"
_LONGEST_MESSAGE = 200  # characters of what a user's code raised
_SEED = inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int)


def read_own(spec: str) -> tuple[str, str]:
    """A loss file, read and not yet run. `own_loss` runs it.

    Args:
        spec: as on the command line, "path/to/my_loss.py:MyLoss": the file, and the function or class in it; the name
            can be left out where the file defines only one whose name does not begin with an underscore.

    Returns:
        The name of the loss, "my_loss:MyLoss", and the text of the file.

    Raises:
        ValueError: `spec` is not of that form; the file is not there, cannot be read, is no Python, or imports what
            lies beside it.
    """
    path, _, wanted = spec.rpartition(":")
    if spec.endswith(".py"):
        path, wanted = spec, _only_definition(Path(spec))
    if not path.endswith(".py") or not wanted:
        raise ValueError(f"{spec!r} names no loss: write the file and the loss in it, as in my_loss.py:MyLoss")
    name = _checked(f"{Path(path).stem}:{wanted}")
    source = _text(Path(path))
    _refuse_neighbours(name, source, {Path(path).parent.resolve(), Path.cwd()})
    return name, source


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
        options={option: defaults[optional].replace(name=option) for option, optional in told["options"].items()},
        make=partial(_refuse_to_build, name),
        verify=partial(_check_there, name, source),
        text=source,
    )


def _description(name: str, source: str) -> dict[str, Any]:
    """What a command learns of a loss; executes the text."""
    entry = own_loss(name, source)
    optional = {name: option.default is not option.empty for name, option in entry.options.items()}
    return {
        "summary": entry.summary[:_LONGEST_MESSAGE],
        "source": entry.source,
        "takes": entry.takes,
        "options": optional,
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
    file = _file(_checked(name), source)
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
        summary=_first_line(_inner(thing).__doc__) or f"loss of {_label(file)}",
        source=file,
        takes=takes,
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


@contextmanager
def blame_user_code(name: str, file: str, when: str = "") -> Iterator[None]:
    """For the time of a `with`, whatever a user's code raises becomes one line that says where.

    Args:
        name: of the loss.
        file: its file, as `Loss.source` names it.
        when: in which case it was called, to follow the name.

    Raises:
        ValueError: the code raised something. An interrupt passes.
    """
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):  # Ctrl-C, or nobody waits for the end of this `with`
        raise
    except BaseException as problem:
        line = _line(problem, file)
        place = f"{_label(file)}{f', line {line}' if line else ''}"
        raise ValueError(f"loss {name!r}{when}: {place}: {type(problem).__name__}{_message(problem)}") from problem


def _line(problem: BaseException, file: str) -> int | None:
    """The last line of the file that led to the problem."""
    if isinstance(problem, SyntaxError) and problem.filename == f"<{file}>":
        return problem.lineno
    lines = [frame.lineno for frame in extract_tb(problem.__traceback__) if frame.filename == f"<{file}>"]
    return lines[-1] if lines else None


def _message(problem: BaseException) -> str:
    said = _first_line(problem.msg if isinstance(problem, SyntaxError) else str(problem))
    return (f": {said[:_LONGEST_MESSAGE]}" if said else "") + (
        f"; {_ONE_FILE}" if isinstance(problem, ImportError) else ""
    )


def _first_line(text: str | None) -> str:
    return next(iter((text or "").strip().splitlines()), "")


def _checked(name: str) -> str:
    """The name, if it can stand in tables, and as a key among the modules of a run."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+:[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith(PREFIX):
        raise ValueError(
            f"a loss cannot be called {name!r}: name the file with letters, digits, _ and - before the .py (but not "
            f"{PREFIX.removesuffix(':')}), and the function or class in it with letters, digits and _"
        )
    return name


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise ValueError(f"{path} is {'a folder' if path.is_dir() else 'not there'}: name the file of a loss")
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{path} is larger than {LARGEST_FILE} bytes: name a file that holds the loss alone")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from None


def _only_definition(path: Path) -> str:
    """The one function or class that a file defines for others; ValueError unless it is just one."""
    with blame_user_code(path.name, path.name):
        tree = parse(_text(path), f"<{path.name}>")
    defined = [node.name for node in tree.body if isinstance(node, FunctionDef | ClassDef)]
    public = list(dict.fromkeys(name for name in defined if not name.startswith("_")))
    if len(public) != 1:
        has = f"defines {', '.join(public)}" if public else "defines no function or class"
        raise ValueError(f"{path} {has}: write which one is the loss, as in {path}:{(public or ['MyLoss'])[0]}")
    return public[0]


def _refuse_neighbours(name: str, source: str, folders: set[Path]) -> None:
    """ValueError if the text imports what Python would find in one of the folders."""
    file = _file(name, source)
    with blame_user_code(name, file):
        tree = parse(source, f"<{file}>")
    for line, module in _imports(tree):
        if _home(module) in folders:
            raise ValueError(
                f"loss {name!r}: {_label(file)}, line {line}: imports {module} from the same folder; {_ONE_FILE}"
            )


def _imports(tree: AST) -> Iterator[tuple[int, str]]:
    """Lines that import, and the first part of what they import."""
    for node in walk(tree):
        if isinstance(node, Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module.partition(".")[0]


def _home(module: str) -> Path | None:
    """The folder that a module or package lies in; None for what is built in, not found, or relbench's to import."""
    spec = None if module in sys.modules else find_spec(module)
    if not spec:
        return None
    place = next(iter(spec.submodule_search_locations or []), spec.origin if spec.has_location else None)
    return Path(place).resolve().parent if place else None


def _file(name: str, source: str) -> str:
    return f"{name.partition(':')[0]}.py, sha256 {hashlib.sha256(source.encode()).hexdigest()[:12]}"


def _label(file: str) -> str:
    """The file's name without its hash."""
    return file.partition(",")[0]


def _make(name: str, source: str, hidden: Collection[str], **options: Any) -> Callable[..., Tensor]:
    """What is called, from a file that was just loaded; it does not take the options in `hidden`."""
    given = {option: value for option, value in options.items() if option not in hidden}
    with seeded(options.get("seed", 0)):
        thing = _load(name, source)
        with blame_user_code(name, _file(name, source)):
            return thing(**given) if _is_module(thing) else partial(thing, **given)


def _load(name: str, source: str) -> Callable[..., Any]:
    """Execute the text, and give what has the name in it: a function, or a class that is an nn.Module."""
    module, wanted = _executed(name, source), name.partition(":")[2]
    if wanted not in vars(module):
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        raise ValueError(f"{_label(_file(name, source))} has no {wanted!r}: {hint(wanted, own)}")
    thing = vars(module)[wanted]
    if not _is_module(thing) and (inspect.isclass(thing) or isinstance(thing, nn.Module) or not callable(thing)):
        kind = "a class of another kind" if inspect.isclass(thing) else f"an object of type {type(thing).__name__}"
        raise ValueError(f"loss {name!r} is {kind}: name a function, or a class that is a torch.nn.Module")
    return cast("Callable[..., Any]", thing)


def _is_module(thing: object) -> TypeGuard[type[nn.Module]]:
    return inspect.isclass(thing) and issubclass(thing, nn.Module)


def _executed(name: str, source: str) -> ModuleType:
    """A fresh module from the text. Python finds it, and its lines, as if it had been imported."""
    file = _file(name, source)
    module = ModuleType(f"relbench_own_{file.split()[-1]}")
    module.__file__, module.__package__ = f"<{file}>", ""
    linecache.cache[module.__file__] = (len(source), None, source.splitlines(keepends=True), module.__file__)
    sys.modules[module.__name__] = module
    with torch_unchanged(name, file), blame_user_code(name, file):
        exec(compile(source, module.__file__, "exec"), vars(module))  # noqa: S102 - the user named the file to be run
    return module


@contextmanager
def torch_unchanged(name: str, file: str) -> Iterator[None]:
    """Refuse code that changes what torch does for everything else: runs of other losses are not trained like that.

    It is not undone: the process that has executed the code is good for nothing else.

    Args:
        name: of the loss.
        file: its file, as `Loss.source` names it.

    Raises:
        ValueError: the code did so.
    """
    before = torch_settings()
    yield
    changed = [what for what, setting in torch_settings().items() if setting != before[what]]
    if changed:
        raise ValueError(
            f"loss {name!r}: {_label(file)} changes {' and '.join(changed)} of torch, which the rest of its run would "
            "use, unlike the runs that it is compared with: leave it unchanged"
        )


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
    if {*needed, *set(OWN_INPUTS).intersection(names)} - set(takes) or len({"student", "embeddings"} & set(takes)) != 1:
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
