"""Metrics are named by tasks, their evaluation and studies: whoever else needs a name asks the task."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "relbench"
MAY_NAME_METRICS = {"tasks", "evaluation", "studies"}
METRIC = re.compile(r"recall|r_precision|map@r|accuracy", re.IGNORECASE)
FORMER_CONSTANTS = {"MAIN", "PRIMARY"}  # of the metric that all others compared by
EXCEPTIONS = {  # with their reasons; none of these decides anything
    "__init__.py": "the class Recall, among what the package offers",
    "benchmarks/evaluation.py": "times the evaluation of retrieval, and says so",
    "benchmarks/evaluation_kinds.py": "the same metrics written once more, plainly, to compare the evaluation with",
    "benchmarks/gpu.py": "times the evaluation of retrieval, and says so",
    "benchmarks/start.py": "rows as a study of retrieval leaves them, to time their report",
    "report/figures/recall.py": "curves over K, drawn where Recall@K was measured at several K",
    "report/page.py": "the section with these curves",
    "report/wording.py": "names for readers, and the prefix by which the curves find their points",
    "report/write.py": "file names of the curves",
    "cli/evaluate.py": "help of `relbench evaluate`, by task",
}


def sources() -> list[str]:
    """Python files of the package that must not name a metric."""
    paths = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")]
    return sorted(str(path) for path in paths if path.parts[0] not in MAY_NAME_METRICS)


def literals(name: str) -> list[str]:
    """Texts in a file, but for docstrings of modules, functions, classes and attributes."""
    tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documentation]
    return [node.value for node in constants if isinstance(node.value, str)]


def names(name: str) -> set[str]:
    tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
    imported = {each.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for each in node.names}
    return imported | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("name", sources())
def test_a_metric_is_named_by_its_task_alone(name):
    if name not in EXCEPTIONS:
        assert [text for text in literals(name) if METRIC.search(text)] == []
        assert names(name).isdisjoint(FORMER_CONSTANTS)


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_every_exception_is_one(name):
    assert [text for text in literals(name) if METRIC.search(text)]
