"""The tutorial runs: its files, its Python and its commands, from top to bottom, with the words added that it names."""

import os
import re
import shlex
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import relbench.report.write

TUTORIAL = (Path(__file__).parents[2] / "docs/tutorial.md").read_text(encoding="utf-8")
FILES = relbench.report.write.files_of
FENCED = r"^```(?P<kind>\S.*)\n(?::caption: (?P<caption>.+)\n)?(?P<code>(?s:.*?))^```$"
BLOCK = re.compile(rf"{FENCED}|^    (?P<command>\S.+)$", re.MULTILINE)
BLOCKS = list(BLOCK.finditer(TUTORIAL))
ADDED = next(block["code"].split() for block in BLOCKS if (block["caption"] or "").startswith("added by the tests"))


@pytest.fixture
def folder(tmp_path, monkeypatch, data_folder):
    """An empty folder to work in; Glyphs is rendered already."""
    shutil.copytree(data_folder / "glyphs", tmp_path / "datasets/glyphs", copy_function=os.link)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def without_figures(summary):
    """The files of a report that take no time: figures and page are tested with the report."""
    return {name: render for name, render in FILES(summary).items() if name.startswith("table")}


def run(call, words):
    """A command of the tutorial; its output."""
    trains = words[1] in {"reproduce", "compare"}
    result = call(*words[1:], *(ADDED if trains else ()))
    assert result.code == 0, (words, result.error)
    return result.out


def test_the_tutorial_runs(call, folder, capsys, monkeypatch):
    monkeypatch.setattr(relbench.report.write, "files_of", without_figures)
    printed = {}
    for block in BLOCKS:
        if block["command"]:
            assert block["command"].startswith("relbench ")
            printed[block["command"]] = run(call, shlex.split(block["command"]))
        elif block["kind"] == "{code-block} python":
            Path(block["caption"]).write_text(block["code"])
        elif block["kind"] == "python":
            exec(compile(block["code"], "tutorial.md", "exec"), {})
    assert len(printed) == 11
    assert "recall@1" in capsys.readouterr().out
    (of_loss,) = (text for command, text in printed.items() if command.startswith("relbench compare"))
    assert "6 of 7 runs are finished already" in of_loss
    assert "Methods against each other" in of_loss
    assert len(list(folder.glob("results/*/table.md"))) == 3
    plt.close("all")
