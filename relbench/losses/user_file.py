"""The file of a user's loss: read and named, not yet run."""

import hashlib
import re
import sys
from ast import AST, ClassDef, FunctionDef, Import, ImportFrom, parse, walk
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from relbench.losses.pml import PREFIX
from relbench.losses.user_errors import ONE_FILE, blame_user_code, label_of

LARGEST_FILE = 2**20
"""Bytes of a loss file: more is no loss, and would stand in every row."""


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
    name = checked_name(f"{Path(path).stem}:{wanted}")
    source = _text(Path(path))
    _refuse_neighbours(name, source, {Path(path).parent.resolve(), Path.cwd()})
    return name, source


def checked_name(name: str) -> str:
    """The name, if it can stand in tables, and as a key among the modules of a run."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+:[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith(PREFIX):
        raise ValueError(
            f"a loss cannot be called {name!r}: name the file with letters, digits, _ and - before the .py (but not "
            f"{PREFIX.removesuffix(':')}), and the function or class in it with letters, digits and _"
        )
    return name


def file_of(name: str, source: str) -> str:
    """The file as `Loss.source` names it: with the beginning of its hash."""
    return f"{name.partition(':')[0]}.py, sha256 {hashlib.sha256(source.encode()).hexdigest()[:12]}"


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
    file = file_of(name, source)
    with blame_user_code(name, file):
        tree = parse(source, f"<{file}>")
    for line, module in _imports(tree):
        if _home(module) in folders:
            raise ValueError(
                f"loss {name!r}: {label_of(file)}, line {line}: imports {module} from the same folder; {ONE_FILE}"
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
