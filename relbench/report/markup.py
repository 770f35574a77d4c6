"""Markup of a page: templates, grids, pictures, addresses."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import relbench
from relbench.analysis.summary import Summary
from relbench.plain_text import visible
from relbench.report.figures.embedding import embedded
from relbench.report.tables import Table

CITED = re.compile(r"(arXiv:\d{4}\.\d{4,5})|([\w.-]+/[\w.-]+)@([0-9a-f]{7,40})")  # a paper, or code at a commit
HASH = re.compile(r"\b([0-9a-f]{32,64})\b")


@dataclass(frozen=True)
class Grid:
    """A plain table of the page."""

    name: str  # what a screen reader announces
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_number: Sequence[bool]  # by column


@dataclass(frozen=True)
class Picture:
    """A plot in its two shapes, as addresses that hold the picture itself."""

    wide: str
    narrow: str
    text: str  # for those who do not see it


def environment() -> Environment:
    """The environment that reads and fills templates."""
    made = Environment(
        loader=PackageLoader("relbench.report"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"hashes": with_hashes, "is_hash": _is_hash}
    return made


def with_hashes(text: str) -> list[tuple[str, bool]]:
    """A text in parts, each with whether it is a hash, which a page shows by its first digits."""
    parts = HASH.split(text)
    return [(part, at % 2 == 1) for at, part in enumerate(parts) if part]


def _is_hash(text: str) -> bool:
    return HASH.fullmatch(text) is not None


def rendered(template: str, content: dict[str, Any]) -> str:
    """The page that a template makes of its content and relbench's version."""
    return environment().get_template(template).render(content, version=relbench.__version__)


def _visible(value: Any) -> Any:
    """Text of the page can turn no direction of writing round; markup is the templates' own."""
    return visible(value) if type(value) is str else value


def grid_of(name: str, table: Table) -> Grid:
    """A table for the page."""
    return Grid(name, table.header, table.rows, [column.is_number for column in table.columns])


def picture_of(draw: Callable[..., bytes], summary: Summary, in_words: Callable[[Summary], str]) -> Picture:
    """A figure of a summary in both shapes."""
    wide, narrow = (embedded(draw(summary, "svg", narrow=narrow)) for narrow in (False, True))
    return Picture(wide, narrow, in_words(summary))


def with_addresses(source: str) -> list[tuple[str, str]]:
    """A source in parts, each with the address that it has, or none."""
    parts, end = [], 0
    for found in CITED.finditer(source):
        paper, code, commit = found.groups()
        address = f"github.com/{code}/tree/{commit}" if code else f"arxiv.org/abs/{paper.removeprefix('arXiv:')}"
        parts += [(source[end : found.start()], ""), (found.group(), f"https://{address}")]
        end = found.end()
    return [*parts, (source[end:], "")]
