"""What to say about a name that is not known."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

NO_ALIASES: Mapping[str, str] = MappingProxyType({})


def lookup(name: str, names: Iterable[str], what: str, aliases: Mapping[str, str] = NO_ALIASES) -> str:
    """The name itself, if it is one of those known.

    Args:
        name: as somebody wrote it.
        names: those there are.
        what: they are names of: "loss", "data set".
        aliases: what others call it, and its name here; suggested, not taken.

    Raises:
        ValueError: it is not; one line with the nearest ones, or all.
    """
    names = list(names)
    if name in names:
        return name
    meant = aliases.get(name.lower())
    raise ValueError(f"unknown {what} {name!r}: {f'did you mean {meant}?' if meant else hint(name, names)}")


def meant(name: str, names: Iterable[str], other_words: Mapping[str, str]) -> str | None:
    """The name that somebody nearly wrote: in other case, with other signs, with a slip, or by another word for it.

    Args:
        name: as somebody wrote it.
        names: those there are.
        other_words: for these names, without case and signs.
    """
    words = {_bare(each): each for each in names} | dict(other_words)
    near = get_close_matches(_bare(name), words, n=1, cutoff=0.8)
    return words[near[0]] if near else None


def _bare(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def hint(name: str, names: Iterable[str]) -> str:
    """How a message about an unknown name ends: with up to three names that come close, or else with all, sorted."""
    names = sorted(names)
    near = get_close_matches(name, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known are {', '.join(names)}" if names else "there are none"
