"""Pieces of Markdown, as MyST reads it."""

import re
from collections.abc import Iterable, Mapping, Sequence

SPECIAL = re.compile(r"(?<!\w)_|_(?!\w)|[*<>\[\]|\\]")

NONE = "\N{EN DASH}"
"""In a cell that has nothing to say."""


def plain(text: str) -> str:
    """Text that is shown as it is, but for what stands in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else SPECIAL.sub(r"\\\g<0>", part) for part in parts)


def code(text: object) -> str:
    """Text as code, in one line."""
    return f"`{text}`"


def block(text: str, language: str = "text") -> str:
    """Text as a block of code."""
    return f"```{language}\n{text.strip(chr(10))}\n```"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown in one line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def facts(named: Mapping[str, str]) -> str:
    """A list of what is said, each behind its name."""
    return "\n".join(f"- **{name}**: {fact}" for name, fact in named.items())


def section(level: int, title: str, *parts: str, anchor: str = "") -> str:
    """A heading and what stands below it, empty parts left out; an anchor leads to it."""
    name = [f"({anchor})="] if anchor else []
    return "\n\n".join(["\n".join([*name, f"{'#' * level} {title}"]), *filter(None, parts)])


def link(text: str, page: str, anchor: str = "") -> str:
    """A link to an anchor of a page; the page by its path from the site's folder."""
    return f"[{text}]({f'#{anchor}' if anchor else f'/{page}.md'})"


def autodoc(directive: str, name: str, *options: str) -> str:
    """A name of Python with its docstring, and options of the directive, such as "members: forward"."""
    lines = [f".. {directive}:: {name}", *(f"   :{option}" for option in options)]
    return "\n".join(["```{eval-rst}", *lines, "```"])
