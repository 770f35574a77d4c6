"""Guides name files that exist: a path that moved is corrected there, too."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = ["README.md", "CONTRIBUTING.md", "datasets/README.md", "results/README.md"]
PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)+/?|\w+/|\w+\.py)`")
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]+\b")  # NAME, FINGERPRINT
FOLDERS = (ROOT, ROOT / "relbench", ROOT / "tests")


def is_there(path):
    """A file by its path from the project, the package or the tests; or by its last two parts."""
    return any((folder / path).exists() for folder in FOLDERS) or any(
        list(folder.rglob(path.rstrip("/"))) for folder in FOLDERS[1:]
    )


@pytest.mark.parametrize("guide", GUIDES)
def test_links_lead_somewhere(guide):
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / guide).read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not ((ROOT / guide).parent / link).exists()] == []


def test_files_that_contributing_names_exist():
    found = PATH.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    named = [path for path in found if not PLACEHOLDER.search(path)]
    assert len(named) > 40
    assert [path for path in named if path != "my_loss.py" and not is_there(path)] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_files_of_the_package_that_are_named_exist(guide):
    found = re.findall(r"`(relbench/[\w./-]+)", (ROOT / guide).read_text(encoding="utf-8"))
    assert [path for path in found if not PLACEHOLDER.search(path) and not (ROOT / path).exists()] == []
