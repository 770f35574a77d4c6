"""A Sphinx extension: what pages say of losses, data sets, studies, commands and guides is taken from these.

A page has a line `<!-- generated: NAME -->` where Markdown from `GENERATED` is to stand, or
`<!-- included: FILE, HEADING -->` for a section of a guide; without a heading, the guide's beginning.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from sphinx.application import Sphinx

from generators.commands import commands
from generators.data_sets import data_sets
from generators.docstrings import as_restructured_text, with_aliases, with_dashes
from generators.extras import extras
from generators.guides import section
from generators.losses import losses
from generators.python_names import evaluation_names, other_names_of_losses, package_names
from generators.settings import settings
from generators.studies import studies
from generators.trunks import trunks

GENERATED: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "data sets": data_sets,
    "evaluation": evaluation_names,
    "losses": losses,
    "optional libraries": extras,
    "other names of losses": other_names_of_losses,
    "package": package_names,
    "settings": settings,
    "studies": studies,
    "trunks": trunks,
}

LINE = re.compile(r"^<!-- (generated|included): ([^,>]+?)(?:, (.+?))? -->$", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx what is done when."""
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)  # before napoleon, at 500
    app.connect("autodoc-process-signature", with_aliases)
    app.connect("doctree-read", with_dashes)
    return {"parallel_read_safe": True}


def fill(_app: Sphinx, page: str, source: list[str]) -> None:
    """Put in place of a page's lines what they stand for."""
    source[0] = LINE.sub(lambda line: _text(page, *line.groups()), source[0])


def _text(page: str, kind: str, name: str, heading: str | None) -> str:
    return GENERATED[name]() if kind == "generated" else section(name, heading, page)
