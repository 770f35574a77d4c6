"""Drawings inside a page: a short address that holds it whole, in the page's own colours on light ground and on dark.

matplotlib writes six decimals, comments and indentation; on a page they are two thirds of the bytes and nobody sees
them. Percent encoding is shorter than base64, which adds a third.
"""

import re
from urllib.parse import quote

from relbench.report.figures.canvas import ON_DARK

UNUSED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
DECIMALS = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
BETWEEN_TAGS, BREAKS, AFTER_COLONS = re.compile(r">\s+<"), re.compile(r"\s*\n\s*"), re.compile(r"(?<=[:;]) ")
PATH = re.compile(r' d="([^"]*)"')
AROUND_LETTERS = re.compile(r"\s*([A-Za-z])\s*")
COLOUR = re.compile(r"(?<=[: \"])(" + "|".join(ON_DARK) + r")\b")
UNTOUCHED = "/:=;,()-.'!*?@$+[]{}|~_&"  # what an address may hold as it is


def embedded(drawing: bytes) -> str:
    """The address of an SVG."""
    return f"data:image/svg+xml,{quote(compact(themed(drawing.decode())), safe=UNTOUCHED)}"


def themed(svg: str) -> str:
    """The drawing with its colours looked up: those of a dark page where the reader's is dark, never on paper."""
    light = ";".join(f"{_name(colour)}:{colour}" for colour in ON_DARK)
    dark = ";".join(f"{_name(colour)}:{other}" for colour, other in ON_DARK.items())
    rules = f"svg{{{light}}}@media screen and (prefers-color-scheme:dark){{svg{{{dark}}}}}"
    head, tag, body = svg.partition("<defs>")
    coloured = COLOUR.sub(lambda found: f"var({_name(found.group())})", body)
    return f"{head}<style>{rules}</style>{tag}{coloured}"


def _name(colour: str) -> str:
    return f"--c{colour[1:]}"


def compact(svg: str) -> str:
    """The same drawing in fewer letters, to a hundredth of a point."""
    text = BREAKS.sub(" ", BETWEEN_TAGS.sub("><", UNUSED.sub("", svg)))
    text = PATH.sub(lambda found: f' d="{_shorter_path(found.group(1))}"', text)
    return AFTER_COLONS.sub("", DECIMALS.sub(_rounded, text)).replace('"', "'").strip()


def _shorter_path(path: str) -> str:
    return AROUND_LETTERS.sub(r"\1", path.strip()).replace(" ", ",")


def _rounded(found: re.Match[str]) -> str:
    value = float(found.group())
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.5f}".rstrip("0")
