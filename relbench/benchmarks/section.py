"""A part of a benchmark: its figures, or the error that ended it."""

import time
from collections.abc import Callable, Iterable

from relbench.benchmarks.figure import Figure
from relbench.settings import Settings

Part = Callable[[], Iterable[Figure]]


class Section(Settings):
    """What a part of a benchmark has measured.

    Attributes:
        name: of the part.
        figures: those measured before it ended.
        error: what ended it early, in one line; empty if nothing did.
        seconds: on the clock.
    """

    name: str
    figures: tuple[Figure, ...]
    error: str
    seconds: float


def measure(name: str, part: Part, tell: Callable[[str], None]) -> Section:
    """Go through a part; an error ends it alone, and what was measured before stays.

    Args:
        name: of the part.
        part: measures.
        tell: is told of the part, of each figure at once, and of how it ended.
    """
    tell(f"{name} ...")
    start, figures, error = time.perf_counter(), list[Figure](), ""
    try:
        for figure in part():
            figures.append(figure)
            tell(f"  {figure.name}: {figure.shown} {figure.verdict}".rstrip())
    except Exception as problem:  # noqa: BLE001 - whatever it is, the other parts are to be measured
        error = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
    took = time.perf_counter() - start
    tell(f"  {error or 'done'} ({took:.0f} s)")
    return Section(name=name, figures=tuple(figures), error=error, seconds=took)
