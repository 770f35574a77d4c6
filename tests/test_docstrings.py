"""The house's own rules for documentation."""

import ast
import csv
import inspect
import re
from pathlib import Path

import pytest

import relbench.evaluation
import relbench.losses

PACKAGE = Path(relbench.losses.__file__).parents[1]
PUBLIC = [
    getattr(module, name)
    for module in (relbench.losses, relbench.evaluation)
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
]


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: function.__name__)
def test_arguments_named_in_docstring_exist(function):
    """Args: names no parameter that is not there, and if it is there it names every one."""
    section = re.search(r"Args:\n(.*?)(?:\n\n|\Z)", inspect.getdoc(function) or "", re.DOTALL)
    if section:
        documented = re.findall(r"^ {4}\**(\w+):", section.group(1), re.MULTILINE)
        assert documented == [name for name in inspect.signature(function).parameters if not name.startswith("_")]


def test_every_public_loss_names_its_source():
    for name in ("rkd_distance", "rkd_angle", "triplet_margin", "distance_weighted_probabilities"):
        assert re.search(r"Source:", inspect.getdoc(getattr(relbench.losses, name)) or ""), name


def test_functions_are_short():
    """The median function has at most ten lines of code, nine in ten at most thirty."""
    lengths = sorted(
        code_lines(node)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    )
    assert lengths[len(lengths) // 2] <= 10
    assert lengths[len(lengths) * 9 // 10] <= 30


def code_lines(function: ast.FunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_the_readmes_python_runs():
    """The example in the README, word by word."""
    blocks = re.findall(r"```python\n(.*?)```", (PACKAGE.parent / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize(
    ("study", "heading"), [("quickstart", "## The result"), ("glyphs-methods", "## Every method on Glyphs")]
)
def test_the_readmes_table_is_the_reference_result(study, heading):
    """Every method's Recall@1 and difference stand in the README as in the committed table."""
    root = PACKAGE.parent
    section = (root / "README.md").read_text(encoding="utf-8").partition(f"{heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    with (root / "results/reference" / study / "table.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            line = next(line for line in lines if line.startswith(f"| {row['method']} |"))
            assert f"| {100 * float(row['recall@1']):.1f} {'±' if row['seeds'] != '1' else '|'}" in line
            if row["difference_to_teacher"]:
                assert f"| {100 * float(row['difference_to_teacher']):+.1f} |" in line.replace("\N{MINUS SIGN}", "-")
                assert row["verdict"] in line
