"""Commands that pages and guides show: each is one that relbench takes, with options that it has."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from relbench.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "datasets/README.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*/*.md"))]
COMMAND = get_command(app)


def commands(page):
    """Commands of a page's blocks, without comments and what follows a redirection."""
    lines = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^    relbench (.+)$", lines, re.MULTILINE):
        words = shlex.split(line.partition(" > ")[0], comments=True)
        if words != ["--help"]:  # ends the program where it is parsed
            yield words


def parse(words):
    """Parse a command's words, as when it is called; typer raises where they do not fit."""
    command = COMMAND
    context = command.make_context("relbench", list(words))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_taken(page):
    for words in commands(page):
        parse(words)


def test_an_option_that_is_not_there_is_found():
    assert sum(len([*commands(page)]) for page in PAGES) > 60
    with pytest.raises(Exception, match="No such option: --seed"):
        parse(["reproduce", "quickstart", "--seed", "0"])


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/how-to/*.md")), ids=lambda page: page.stem)
def test_python_runs(page, capsys):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, page.name, "exec"), {})
        assert capsys.readouterr().out
