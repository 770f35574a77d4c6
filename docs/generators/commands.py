"""The reference of commands, from their help texts."""

import re

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from relbench.cli.main import app


def commands() -> str:
    """A section for each command, as `typer COMMAND utils docs` writes it, without its title."""
    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="relbench"), name="relbench")
    return re.sub(r"^\[", r"\\[", text.partition("\n")[2], flags=re.MULTILINE)
