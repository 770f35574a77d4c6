"""The reference of commands, from their help texts."""

import re

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from generators.markdown import code
from relbench.cli.main import app

LISTS = re.compile(r"^(#+) `(relbench.*)`\n((?:(?!^#).*\n)*?)\*\*Commands\*\*:\n\n((?:\* .*\n)+)", re.MULTILINE)


def commands() -> str:
    """A section for each command, as `typer COMMAND utils docs` writes it, without its title."""
    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="relbench"), name="relbench")
    return LISTS.sub(_with_links, text).partition("\n")[2]


def _with_links(listed: re.Match[str]) -> str:
    """The commands of a group as links, without their help, which is cut short there."""
    marks, group, before, entries = listed.groups()
    names = [f"{group} {name}" for name in re.findall(r"^\* `([\w-]+)`", entries, re.MULTILINE)]
    links = "\n".join(f"* [{code(name)}](#{name.replace(' ', '-')})" for name in names)
    return f"{marks} {code(group)}\n{before}**Commands**:\n\n{links}\n"
