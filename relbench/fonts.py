"""Text in pictures that can be read: in a font that has its characters, or else by the numbers of these characters."""

import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby

from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

SHOWN = 4  # numbers of characters in a row, before the others are left out
REGULAR = ("400", "normal", "regular")  # how fonts call that weight
LAST_RESORT = "Last Resort"  # a family that draws a box for every character
INVISIBLE = ("Cf", "Mn")  # categories without a width of their own: joiners, selectors of variants, accents


def make_readable(figure: Figure) -> None:
    """Show every text of a finished figure in full, without a warning about missing characters.

    What a text's own font lacks is taken from other installed fonts; what none of them has is written as "[U+732B]".
    """
    for axes in figure.get_axes():
        for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
            _fix_labels(axis)
    for text in _texts(figure):
        if lacking := _lacking(text.get_text(), text.get_fontproperties()):
            text.set_text(_spelled(text.get_text(), lacking))
            _add_families(text, lacking)


def _texts(artist: Artist) -> Iterator[Text]:
    """All texts below, but for tick labels: to ask an axis for its children makes all of its ticks."""
    for child in artist.get_children():
        if isinstance(child, Axis):
            yield child.label
        elif isinstance(child, Text):
            yield child
        else:
            yield from _texts(child)


def _fix_labels(axis: Axis) -> None:
    """Tick labels are written anew at each drawing: where one lacks a character, all are fixed as they are."""
    places = list(axis.get_majorticklocs())
    labels = axis.get_major_formatter().format_ticks(places)
    if lacking := _lacking("".join(labels), axis.label.get_fontproperties()):
        axis.set_ticks(places, labels=[_spelled(label, lacking) for label in labels])
        for label in axis.get_ticklabels():
            _add_families(label, lacking)


def _lacking(text: str, properties: FontProperties) -> frozenset[str]:
    """The characters that a font has not."""
    if text.replace("\n", "").isprintable() and text.isascii():
        return frozenset()
    font = get_font(findfont(properties))
    return frozenset(character for character in set(text) - {"\n"} if not font.get_char_index(ord(character)))


def _add_families(text: Text, lacking: frozenset[str]) -> None:
    own = [family for family in text.get_fontfamily() if family not in _families(lacking)]
    text.set_fontfamily([*own, *_families(lacking)])


@cache
def _families(lacking: frozenset[str]) -> tuple[str, ...]:
    """Installed fonts that together have as many of the characters as there are in any: first the one that has most."""
    covered = {family: lacking & _characters(path, lacking) for family, path in _installed().items()}
    best = max(covered, key=lambda family: len(covered[family]), default="")
    if not covered.get(best):
        return ()
    return (best, *_families(lacking - covered[best]))


@cache
def _characters(path: str, asked: frozenset[str]) -> frozenset[str]:
    """Which of the characters a font has."""
    font = get_font(path)
    return frozenset(character for character in asked if font.get_char_index(ord(character)))


@cache
def _installed() -> dict[str, str]:
    """Path of the regular font of each family, those without serifs first."""
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
