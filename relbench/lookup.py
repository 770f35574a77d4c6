"""Lookup of names, with suggestions for unknown ones."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

NO_ALIASES: Mapping[str, str] = MappingProxyType({})


def lookup(name: str, names: Iterable[str], what: str, aliases: Mapping[str, str] = NO_ALIASES) -> str:
    """The name itself, if it is known.

    Args:
        name: as the user wrote it.
        names: the known names.
        what: kind of thing that they name: "loss", "data set".
        aliases: from names used elsewhere to the name here, which is suggested, not taken.

    Raises:
        ValueError: the name is unknown; one line with the nearest names, or all.
    """
    names = list(names)
    if name in names:
        return name
    meant = aliases.get(name.lower())
    raise ValueError(f"unknown {what} {name!r}: {f'did you mean {meant}?' if meant else hint(name, names)}")


def meant(name: str, names: Iterable[str], other_words: Mapping[str, str]) -> str | None:
    """The name that was probably meant: with other case, other punctuation, a slip, or a synonym.

    Args:
        name: as the user wrote it.
        names: the known names.
        other_words: synonyms of these names, in lower case, without punctuation.
    """
    words = {_bare(each): each for each in names} | dict(other_words)
    near = get_close_matches(_bare(name), words, n=1, cutoff=0.8)
    return words[near[0]] if near else None


def _bare(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def hint(name: str, names: Iterable[str]) -> str:
    """End of a message about an unknown name: up to three close names, or else all, sorted."""
    names = sorted(names)
    near = get_close_matches(name, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known are {', '.join(names)}" if names else "there are none"
