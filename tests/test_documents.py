"""Guides name files that exist: a path that moved is corrected there, too."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = ["README.md", "CONTRIBUTING.md", "datasets/README.md", "results/README.md"]
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]+\b")  # NAME, FINGERPRINT


@pytest.mark.parametrize("guide", GUIDES)
def test_links_lead_somewhere(guide):
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / guide).read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not ((ROOT / guide).parent / link).exists()] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_files_of_the_package_that_are_named_exist(guide):
    found = re.findall(r"`(relbench/[\w./-]+)", (ROOT / guide).read_text(encoding="utf-8"))
    assert [path for path in found if not PLACEHOLDER.search(path) and not (ROOT / path).exists()] == []
