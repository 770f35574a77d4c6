"""Text from outside made safe to show: names, paths, labels and messages without control characters.

A name can hold escape sequences that recolour or clear a terminal, marks that reverse the direction of writing, line
breaks that forge a second line, and halves of surrogate pairs that no file can hold. Each is shown by its number, as
Python writes it. All formats of a report, and the terminal, use this; escaping of markup is left to each format.
Numbers in words are written here, too, the same everywhere.
"""

import math
import re
from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
UNSEEN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # control characters, except tab and line feed
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # directions of writing
    "\\u2028\\u2029\\ufeff\\ud800-\\udfff]"  # separators, byte order mark, halves of surrogate pairs
)


def visible(text: str) -> str:
    r"""The text with control characters shown by their numbers; line feeds and tabs stay.

    Example:
        >>> print(visible("red: \x1b[31m"))
        red: \x1b[31m
    """
    return UNSEEN.sub(lambda found: ascii(found.group())[1:-1], text)


def one_line(text: str) -> str:
    r"""The visible text on a single line, with spaces for line feeds and tabs: for a cell, a caption, a log.

    Example:
        >>> one_line("two\nlines")
        'two lines'
    """
    return visible(text.translate({ord("\n"): " ", ord("\t"): " "}))


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 seed, 3 seeds, 2 classes."""
    return f"{number:,} {noun if number == 1 else many(noun)}"


def many(noun: str) -> str:
    """The plural: seeds, classes, queries."""
    if noun.endswith("y"):
        return f"{noun[:-1]}ies"
    return f"{noun}{'es' if noun.endswith('s') else 's'}"


def listed(words: Sequence[str]) -> str:
    """Words as a list with "and" before the last."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def duration_in_words(seconds: float) -> str:
    """45 s, 12 min, 3.5 h, 2.1 days, 1,200 years."""
    units = (
        (1, 90, ".0f", "s"),
        (60, 90, ".0f", "min"),
        (3600, 48, ".1f", "h"),
        (86_400, 730, ".1f", "days"),
        (31_557_600, math.inf, ",.3g", "years"),
    )
    size, _, form, unit = next(unit for unit in units if seconds < unit[0] * unit[1])
    return f"{seconds / size:{form}} {unit}"


def percent(value: float, decimals: int = 1) -> str:
    """0.523 is 52.3."""
    return f"{_rounded(value, decimals):.{decimals}f}".replace("-", MINUS)


def signed(value: float, decimals: int = 1) -> str:
    """A difference in points, with its sign: 0.049 is +4.9."""
    return f"{_rounded(value, decimals):+.{decimals}f}".replace("-", MINUS)


def _rounded(value: float, decimals: int) -> float:
    return round(100 * value, decimals) + 0.0  # the sum turns -0.0 into 0.0


def p_value(value: float) -> str:
    """As many digits as a decision at 0.05 needs: "p = 0.052", "p < 0.001"."""
    if value < 0.001:
        return "p < 0.001"
    rounded = f"{value:.3f}"
    return "p < 0.05" if value < 0.05 <= float(rounded) else f"p = {rounded}"
