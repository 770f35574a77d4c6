"""Sections of the guides that lie in the repository, their links as the site has them."""

import re
from functools import cache
from os.path import relpath
from pathlib import Path

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs"
PAGES = {
    "README.md": "index",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "datasets/README.md": "how-to/data",
    "results/README.md": "reference/results",
}
"""The pages of the site that stand for guides."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@cache
def _guide(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(name: str, heading: str | None, page: str) -> str:
    """What stands below a heading, up to the next of its level; without a heading, a guide from its title to the next.

    Args:
        name: of the guide, its path from the repository.
        heading: without its marks; None: the beginning; "all": everything below the title.
        page: of the site, which it is to stand on.

    Raises:
        ValueError: the guide has no such heading.
    """
    text, marks = _guide(name), list(_headings(_guide(name)))
    title = marks[0]
    if heading in {None, "all"}:
        end = marks[1].start() if heading is None and len(marks) > 1 else len(text)
        return _with_links(text[title.end() : end], name, page)
    found = next((mark for mark in marks if mark[2] == heading), None)
    if found is None:
        raise ValueError(f"{page}: {name} has no heading {heading!r}; it has {', '.join(mark[2] for mark in marks)}")
    after = (mark.start() for mark in marks if mark.start() > found.start() and len(mark[1]) <= len(found[1]))
    return _with_links(text[found.end() : next(after, len(text))], name, page)


def _headings(text: str) -> list[re.Match[str]]:
    """Those outside blocks of code, where # begins a comment."""
    fences = [fence.start() for fence in re.finditer(r"^```", text, re.MULTILINE)]
    return [mark for mark in HEADING.finditer(text) if sum(fence < mark.start() for fence in fences) % 2 == 0]


def _with_links(text: str, name: str, page: str) -> str:
    return LINK.sub(lambda link: _link(link, (ROOT / name).parent, page), text)


def _link(link: re.Match[str], folder: Path, page: str) -> str:
    """A link as it is to stand on the page: to another page, to a copy of the file, or its text alone."""
    image, text, target = link.groups()
    path, hash_mark, anchor = target.partition("#")
    if "://" in target or not path:
        return link[0]
    there = (folder / path).resolve()
    known = relpath(there, ROOT)
    if known in PAGES:
        return f"[{text}](/{PAGES[known]}.md{hash_mark}{anchor})"
    if there.is_dir():
        there /= "report.html"
    return f"{image}[{text}]({relpath(there, (SITE / page).parent)})" if there.is_file() else f"`{known}`"
