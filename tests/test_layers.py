"""Imports point one way: from a higher layer to a lower one, and never between folders of the same layer."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "relbench"
LAYERS = [
    {"settings", "transforms", "experiment", "geometry", "lookup", "seeding", "files", "locks", "tensors", "memory"}
    | {
        "cores",
        "processes",
        "plain_text",
        "fonts",
        "counts",
        "episodes",
        "execution",
        "extras",
        "ranks",
    },  # small things with a name
    {"data", "models", "losses", "evaluation"},
    {"results", "tasks", "studies"},
    {"training", "machine", "trackers"},
    {"resolve", "preflight", "run", "transfer"},  # one run, from top to bottom
    {"grid", "analysis", "report", "benchmarks", "export", "judging"},
    {"cli", "api"},
]
INSIDE_A_LAYER = {  # allowed arrows between modules of one layer, each with its reason
    ("locks", "files"),  # a lock file is written to through no link
    ("files", "memory"),  # what would not fit is not read
    ("memory", "cores"),  # control groups limit both
    ("tensors", "files"),  # pipes are not read
    ("counts", "settings"),  # frozen alike, and their keys were renamed
    ("transforms", "settings"),
    ("experiment", "settings"),
    ("experiment", "transforms"),
    ("evaluation", "losses"),  # class means, which a loss compares with, are also what classifies
    ("results", "tasks"),  # a task says what can't be in a row of it
    ("studies", "tasks"),  # a task says how many steps an epoch has
    ("studies", "results"),  # a rule of selection is that of a row
    ("run", "preflight"),
    ("transfer", "preflight"),
    ("transfer", "resolve"),
    ("analysis", "grid"),  # learning rates that were chosen stand in the notes
    ("report", "analysis"),  # a summary is drawn
    ("export", "analysis"),  # a model card has the study's results
    ("export", "report"),  # in the words of its report
    ("judging", "export"),  # runs and exported folders are found, and read again
    ("ranks", "processes"),  # they are started as all processes are
    ("processes", "memory"),  # a process that was killed was perhaps short of it
    ("training", "trackers"),  # each step is told
    ("benchmarks", "grid"),  # executors are measured
}
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}


def arrows() -> list[tuple[str, str, Path]]:
    """(module, imported module, file) of each import of relbench in relbench."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        found += [(module, target, path) for target in imported_modules(path)]
    return [(module, target, path) for module, target, path in found if module not in ("__init__", "__main__", target)]


def imported_modules(path: Path) -> list[str]:
    modules: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "relbench":
            modules += [f"relbench.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            modules.append(node.module or "")
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    return [module.split(".")[1] for module in modules if module.startswith("relbench.")]


def test_every_module_has_a_layer():
    modules = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    modules -= {"__init__", "__main__"}  # a folder without code, such as one of published numbers, is no module
    assert modules == set(LAYER_OF)
    assert len(LAYERS) <= 7


@pytest.mark.parametrize(("module", "target", "path"), arrows(), ids=str)
def test_imports_point_down(module, target, path):
    if target.startswith("__"):  # relbench.__version__
        return
    assert LAYER_OF[target] < LAYER_OF[module] or (module, target) in INSIDE_A_LAYER, (
        f"{path} imports relbench.{target}"
    )


def test_each_exception_is_used():
    assert {(module, target) for module, target, _ in arrows()} >= INSIDE_A_LAYER


def imported_files(path: Path) -> set[Path]:
    """Files of relbench that a file imports by name: a folder's `__init__` only for what stands in it."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relbench"):
            source = PACKAGE.parent.joinpath(*(node.module or "").split("."))
            for name in (alias.name for alias in node.names):
                places = [source / f"{name}.py", source / name / "__init__.py", source.with_suffix(".py")]
                found.add(next((place for place in places if place.exists()), source / "__init__.py"))
    return found


def test_no_file_imports_itself_in_a_circle():
    files = {path: imported_files(path) for path in PACKAGE.rglob("*.py")}
    assert sum(map(len, files.values())) > len(files)
    assert set(TopologicalSorter(files).static_order()) == set(files)  # a circle is an error that names it


def test_no_module_without_a_name():
    nameless = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
    assert not [path for path in PACKAGE.rglob("*.py") if path.stem in nameless]
