"""~ is the home folder in every path that a command is given."""

from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from relbench.cli.console import expanded
from relbench.cli.main import app


def commands(typer_app):
    """The functions of all commands."""
    found = [command.callback for command in typer_app.registered_commands]
    return found + [one for group in typer_app.registered_groups for one in commands(group.typer_instance)]


def paths_of(function):
    """(name, what typer is told) of each parameter that is a path."""
    hints = get_type_hints(function, include_extras=True)
    return [
        (name, get_args(hint)[1:])
        for name, hint in hints.items()
        if get_origin(hint) is Annotated and Path in (get_args(hint)[0], *get_args(get_args(hint)[0]))
    ]


FOUND = [(function.__name__, *found) for function in commands(app) for found in paths_of(function)]


def test_there_are_such():
    assert {(command, name) for command, name, _ in FOUND} >= {
        ("reproduce", "results"),
        ("compare", "data"),
        ("report", "folder"),
        ("evaluate", "labels"),
        ("fetch_one", "cache"),
        ("show", "output"),
        ("add_one", "source"),
    }


@pytest.mark.parametrize(("command", "name", "told"), FOUND, ids=[f"{command} {name}" for command, name, _ in FOUND])
def test_every_path_is_expanded(command, name, told):
    assert [info.callback for info in told] == [expanded]


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded(Path("~/x")) == tmp_path / "x"
    assert expanded(Path("x/~")) == Path("x/~")
    assert expanded(None) is None


def test_no_folder_of_that_name_is_made(call, tmp_path, monkeypatch):
    """From option and environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "x").mkdir(parents=True)
    damaged = tmp_path / "home" / "x" / "mine" / "added.json"
    damaged.parent.mkdir()
    damaged.touch()
    assert "mine" in call("data", "list", "--data=~/x").out
    monkeypatch.setenv("RELBENCH_DATA", "~/x")
    assert "mine" in call("data", "list").out
    assert not (tmp_path / "~").exists()


def test_nobodys_home(call):
    refused = call("data", "list", "--data=~nobody-of-that-name/x")
    assert refused.code == 2
    assert "there is no such home folder" in refused.error
