"""Durations in words."""

import math


def in_words(seconds: float) -> str:
    """45 s, 12 min, 3.5 h, 2.1 days."""
    units = ((1, 90, ".0f", "s"), (60, 90, ".0f", "min"), (3600, 48, ".1f", "h"), (86400, math.inf, ".1f", "days"))
    size, _, form, unit = next(unit for unit in units if seconds < unit[0] * unit[1])
    return f"{seconds / size:{form}} {unit}"
