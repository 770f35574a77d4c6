"""Findings in a user's images, counted and named, and what is done about them: one sentence for each kind."""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from relbench.cores import usable_cores
from relbench.data.images.decoding import Decoding, Kind, kinds
from relbench.data.images.photos import in_order, reason
from relbench.data.table import Progress
from relbench.files import open_regular

NAMED = 3  # examples of each kind
MISSING = ("nan", "na", "n/a", "<na>", "null", "none")
FINDINGS: dict[Kind, str] = {
    "transparent": "transparency: put onto {background} (--background COLOUR|refuse)",
    "rotated": "an EXIF rotation: applied (--exif apply|refuse)",
    "deep": "16 bits per channel: the upper 8 are used",
    "dim": "only the lower 12 of 16 bits in use, so they come out nearly black: scale them first",
    "several": "several pictures (an animation, or pages): the first is used",
    "cmyk": "CMYK colours: converted without a colour profile",
    "profile": "a colour profile other than sRGB: it is ignored",
}

Found = Mapping[Kind, Sequence[str]]


def find_kinds(folder: Path, names: Sequence[str], progress: Progress = iter) -> Found:
    """Look at every image, without decoding more of it than needed.

    Args:
        folder: what the names are relative to.
        names: of the images.
        progress: wraps the names, for a progress bar.

    Returns:
        The names of the images of each kind that occurs.

    Raises:
        ValueError: images can't be used; one line with their number, and the first few with the reasons.
    """
    found: dict[Kind, list[str]] = {kind: [] for kind in FINDINGS}
    faults = []
    threads = usable_cores()
    with ThreadPoolExecutor(threads) as pool:
        looked = in_order(pool, 2 * threads, lambda name: _kinds_or_why(folder / name), names)
        for name, there in zip(progress(names), looked, strict=True):
            faults += [f"{folder / name} ({there})"] if isinstance(there, str) else []
            for kind in () if isinstance(there, str) else there:
                found[kind].append(name)
    if faults:
        raise ValueError(f"{len(faults):,} of {len(names):,} images can't be used: {examples(faults)}")
    return {kind: there for kind, there in found.items() if there}


def _kinds_or_why(path: Path) -> set[Kind] | str:
    try:
        return kinds(path)
    except Exception as error:  # noqa: BLE001 - on damaged files PIL's decoders raise errors of nearly any kind
        return reason(error)


def needed(found: Found, allowed: Decoding) -> Decoding:
    """The settings that the images need; what none of them needs stays unset.

    Raises:
        ValueError: images need what is to be refused.
    """
    for kind, what, setting in (
        ("transparent", "transparency", allowed.background),
        ("rotated", "an EXIF rotation", allowed.exif),
    ):
        if setting is None and (names := found.get(kind)):  # type: ignore[call-overload]
            raise ValueError(f"{_have(len(names))} {what}, which is refused: {examples(names)}")
    return Decoding(
        background=allowed.background if "transparent" in found else None,
        exif=allowed.exif if "rotated" in found else None,
    )


def image_notes(found: Found, count: int, decoding: Decoding) -> list[str]:
    """What is done with the images of each kind.

    Args:
        found: see `find_kinds`.
        count: of all images.
        decoding: what is done.
    """
    return [
        f"{_have(len(names), count)} {FINDINGS[kind].format(background=decoding.background)}: {examples(names)}"
        for kind, names in found.items()
    ]


def _have(some: int, count: int | None = None) -> str:
    of = "" if count is None else f" of {count:,}"
    plain = some == 1 and count is None
    return f"{some:,}{of} {'image' if plain else 'images'} {'has' if some == 1 else 'have'}"


def examples(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def copy_notes(folder: Path, table: pd.DataFrame) -> list[str]:
    """Says how many images are copies of others, and how many of those have another class, or lie in another split."""
    labels, splits = (dict(zip(table["name"], table[column], strict=True)) for column in ("label", "split"))
    alike = [
        (labels[name] == labels[before], splits[name] == splits[before], f"{name} of {before}")
        for name, before in copies(folder, list(labels))
    ]
    if not alike:
        return []
    torn, leaked = (sum(not pair[at] for pair in alike) for at in (0, 1))
    named = examples([words for *_, words in sorted(alike, key=lambda pair: pair[:2])])
    of_them = f"{torn:,} in another class, {leaked:,} in another split"
    return [f"copies of other images, byte for byte: {len(alike):,} ({of_them}): {named}"]


def label_notes(labels: Iterable[str]) -> list[str]:
    """A sentence for classes that may be meant as a single class, or as none.

    The former differ only in case, blanks, signs or leading zeros; the latter are called as programs write a value that
    is missing.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        alike[_plain_label(label)].append(label)
    groups = [" and ".join(map(repr, group)) for group in alike.values() if len(group) > 1]
    missing = [repr(label) for group in alike.values() for label in group if label.lower() in MISSING]
    return [
        *([f"classes that differ only in case, blanks, signs or zeros: {examples(groups)}"] if groups else []),
        *([f"classes named like a missing value: {examples(missing)}"] if missing else []),
    ]


def _plain_label(label: str) -> str:
    words = "".join(char if char.isalnum() else " " for char in unicodedata.normalize("NFKC", label).casefold())
    return " ".join(word.lstrip("0") or "0" for word in words.split()) or label


def copies(folder: Path, names: Sequence[str]) -> list[tuple[str, str]]:
    """Images that are, byte for byte, the same as an earlier image, each with the first of its kind.

    Only files of equal size are read.
    """
    by_size: dict[int, list[str]] = defaultdict(list)
    for name in names:
        by_size[(folder / name).stat().st_size].append(name)
    return [pair for group in by_size.values() if len(group) > 1 for pair in _equal(folder, group)]


def _equal(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    first: dict[bytes, str] = {}
    for name in names:
        with open_regular(folder / name) as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        before = first.setdefault(digest, name)
        if before != name:
            yield name, before
