"""TOML for people to read: short lists in one line, long ones in several, and comments."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import tomli_w

from relbench.studies.files.layout import with_null

WIDTH = 110  # characters of a line, where it can be broken
NO_COMMENTS: Mapping[str, str] = MappingProxyType({})


def section(name: str, values: Mapping[str, Any], comments: Mapping[str, str] = NO_COMMENTS) -> str:
    """A table of a file, with its head.

    Args:
        name: of the table, as TOML writes it.
        values: by key, which may be a dotted one.
        comments: on some of the keys.
    """
    return "".join([f"[{name}]\n", *lines(values, comments)])


def lines(values: Mapping[str, Any], comments: Mapping[str, str] = NO_COMMENTS) -> Iterator[str]:
    """The lines of a table, with a comment behind a key's value, or above it where there is no room."""
    for key, value in values.items():
        line, comment = f"{key} = {_broken(with_null(value), len(key))}", comments.get(key, "")
        if comment and len(line) + len(comment) > WIDTH:
            yield f"# {comment}\n{line}\n"
        else:
            yield f"{line}  # {comment}\n" if comment else f"{line}\n"


def key_of(name: str) -> str:
    """A name as a key: in quotes where it needs them."""
    return tomli_w.dumps({name: 0}).removesuffix(" = 0\n")


def _broken(value: Any, before: int) -> str:
    text = _inline(value)
    if not isinstance(value, list) or before + len(text) <= WIDTH:
        return text
    rows = [""]
    for each in map(_inline, value):
        if rows[-1] and len(rows[-1]) + len(each) > WIDTH:
            rows.append("")
        rows[-1] += f" {each},"
    return "[\n" + "".join(f" {row}\n" for row in rows) + "]"


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key_of(key)} = {_inline(each)}" for key, each in value.items()) + " }"
    return tomli_w.dumps({"_": value}).removeprefix("_ = ").removesuffix("\n")
