"""What to say about a name that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


def known(name: str, names: Iterable[str], what: str) -> str:
    """The name itself, if it is one of those known.

    Args:
        name: as somebody wrote it.
        names: those there are.
        what: they are names of: "loss", "data set".

    Raises:
        ValueError: it is not; one line with the nearest ones, or all.
    """
    names = list(names)
    if name in names:
        return name
    raise ValueError(f"unknown {what} {name!r}: {hint(name, names)}")


def hint(name: str, names: Iterable[str]) -> str:
    """How a message about an unknown name ends: with up to three names that come close, or else with all, sorted."""
    names = sorted(names)
    near = get_close_matches(name, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known are {', '.join(names)}" if names else "there are none"
