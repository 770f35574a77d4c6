"""Docstrings as Sphinx reads them: indented lines below prose are literal, and signs of mathematics are signs."""

import re
from typing import Any

from docutils import nodes
from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

ARRAY = re.compile(r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[([^\[\]]+)\]\]")


def as_restructured_text(_app: Sphinx, _what: str, _name: str, _of: Any, _options: Any, lines: list[str]) -> None:
    """Change a docstring in place, before napoleon finds the sections in it."""
    lines[:] = restructured(lines)


def with_aliases(
    _app: Sphinx, _what: str, _name: str, _of: Any, _options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """A signature with numpy's names of types, in place of all that they stand for."""
    return signature and _with_aliases(signature), returned and _with_aliases(returned)


def _with_aliases(signature: str) -> str:
    shorter = signature.replace(stringify_annotation(ArrayLike, "smart"), "~numpy.typing.ArrayLike")
    return ARRAY.sub(r"~numpy.typing.NDArray[\1]", shorter)


def with_dashes(_app: Sphinx, tree: nodes.document) -> None:
    """Put a dash between the name of a parameter and what it is, which Sphinx writes with two hyphens."""
    for text in [text for text in tree.findall(nodes.Text) if text == " -- "]:
        text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def restructured(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText: blocks that are indented below prose are marked as literal."""
    marked: list[str] = []
    literal = example = False
    for line in lines:
        if line.startswith("    ") and _ends_prose(marked):
            literal = True
            marked += ["::", ""]
        literal = literal and not re.match(r"\S", line)
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        marked.append(line if literal or example else _signs(line))
    return marked


def _ends_prose(lines: list[str]) -> bool:
    """Whether an empty line comes last, and what is above it is not indented."""
    above = next((line for line in reversed(lines) if line.strip()), " ")
    return bool(lines) and not lines[-1].strip() and not above.startswith(" ")


def _signs(line: str) -> str:
    """A line where |x| is no substitution, * no emphasis and CODE@COMMIT no address of mail, outside of backticks."""
    parts = re.split(r"(`+[^`]*`+)", line)
    return "".join(part if part.startswith("`") else re.sub(r"[|*@]", r"\\\g<0>", part) for part in parts)
