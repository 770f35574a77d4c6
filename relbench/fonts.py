"""Readable text in figures: in fonts that have its characters, or else with the numbers of these characters."""

import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby

from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

SHOWN = 4  # numbers of consecutive characters that are shown
REGULAR = ("400", "normal", "regular")  # names of that weight in fonts
LAST_RESORT = "Last Resort"  # a family that draws a box for every character
INVISIBLE = ("Cf", "Mn")  # categories of characters without width: joiners, variation selectors, accents


def make_readable(figure: Figure) -> None:
    """Show all text of a finished figure in full, without a warning about missing characters.

    Characters that a text's font lacks come from other installed fonts; those of no font are written as "[U+732B]".
    """
    for axes in figure.get_axes():
        for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
            _fix_labels(axis)
    for text in _texts(figure):
        if lacking := _lacking(text.get_text(), text.get_fontproperties()):
            text.set_text(_spelled(text.get_text(), lacking))
            _add_families(text, lacking)


def _texts(artist: Artist) -> Iterator[Text]:
    """All texts below, except tick labels: an axis creates all its ticks when its children are listed."""
    for child in artist.get_children():
        if isinstance(child, Axis):
            yield child.label
        elif isinstance(child, Text):
            yield child
        else:
            yield from _texts(child)


def _fix_labels(axis: Axis) -> None:
    """Fix an axis's tick labels where any lacks a character: they would be written anew at each drawing."""
    places = list(axis.get_majorticklocs())
    labels = axis.get_major_formatter().format_ticks(places)
    if lacking := _lacking("".join(labels), axis.label.get_fontproperties()):
        axis.set_ticks(places, labels=[_spelled(label, lacking) for label in labels])
        for label in axis.get_ticklabels():
            _add_families(label, lacking)


def _lacking(text: str, properties: FontProperties) -> frozenset[str]:
    """The characters that a font lacks."""
    if text.replace("\n", "").isprintable() and text.isascii():
        return frozenset()
    font = get_font(findfont(properties))
    return frozenset(character for character in set(text) - {"\n"} if not font.get_char_index(ord(character)))


def _add_families(text: Text, lacking: frozenset[str]) -> None:
    own = [family for family in text.get_fontfamily() if family not in _families(lacking)]
    text.set_fontfamily([*own, *_families(lacking)])


@cache
def _families(lacking: frozenset[str]) -> tuple[str, ...]:
    """Installed fonts that together cover all characters that any has, the font with most of them first."""
    covered = {family: lacking & _characters(path, lacking) for family, path in _installed().items()}
    best = max(covered, key=lambda family: len(covered[family]), default="")
    if not covered.get(best):
        return ()
    return (best, *_families(lacking - covered[best]))


@cache
def _characters(path: str, asked: frozenset[str]) -> frozenset[str]:
    """Those of the characters that a font has."""
    font = get_font(path)
    return frozenset(character for character in asked if font.get_char_index(ord(character)))


@cache
def _installed() -> dict[str, str]:
    """Path of the regular font of each family, sans-serif families first."""
    regular = [font for font in fontManager.ttflist if font.style == "normal" and str(font.weight) in REGULAR]
    ordered = sorted(regular, key=lambda font: ("Sans" not in font.name, font.name, font.fname))
    return {font.name: font.fname for font in reversed(ordered) if not font.name.startswith(LAST_RESORT)}


def _spelled(text: str, lacking: frozenset[str]) -> str:
    """The text, with numbers in place of the characters that no font has."""
    found = frozenset().union(*(_characters(_installed()[family], lacking) for family in _families(lacking)))
    runs = groupby(text, key=lambda character: character in lacking - found)
    return "".join(_numbers("".join(run)) if unknown else "".join(run) for unknown, run in runs)


def _numbers(characters: str) -> str:
    seen = [character for character in characters if unicodedata.category(character) not in INVISIBLE]
    if not seen:
        return ""
    more = " ..." if len(seen) > SHOWN else ""
    return f"[{' '.join(f'U+{ord(character):04X}' for character in seen[:SHOWN])}{more}]"
