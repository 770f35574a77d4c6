"""Is what lies in a folder the data set? A look at all of it: checksums, table, counts, and every image decoded."""

from collections.abc import Callable, Iterable
from pathlib import Path

from relbench.data.card import Card
from relbench.data.checksum import misfit, wrong_files
from relbench.data.own import IMAGES
from relbench.data.photo_sets import PhotoSet
from relbench.data.photos import undecodable

Paths = Callable[[Iterable[Path]], Iterable[Path]]


def faults(photos: PhotoSet, card: Card | None, root: Path, threads: int, progress: Paths = iter) -> list[str]:
    """A line for each thing that is wrong; none if all is well.

    Args:
        photos: the data set.
        card: what is published about it; None for one that a user added.
        root: the folder of all data sets.
        threads: that decode images at once.
        progress: wraps the images, for a progress bar.
    """
    folder = photos.folder(root)
    found = [*_wrong_archives(card, folder), *wrong_files(card, folder)] if card else []
    try:
        paths = [photos.images(root) / name for name in photos.read(root)["name"]]
    except ValueError as error:
        found.append(str(error))
        paths = _images_below(photos.images(root))
    damaged = undecodable(paths, threads, progress)
    return found + [f"{path} can't be decoded ({reason})" for path, reason in damaged]


def _wrong_archives(card: Card, folder: Path) -> list[str]:
    paths = {folder / archive.file: archive for archive in card.archives}
    problems = {path: misfit(path, archive, _unheard) for path, archive in paths.items() if path.is_file()}
    return [f"{path} {problem}" for path, problem in problems.items() if problem]


def _unheard(_done: int, _total: int | None) -> None:
    """Checksums take a while, but far less than decoding."""


def _images_below(folder: Path) -> list[Path]:
    """What looks like an image, where there is no table to name them."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGES and not path.name.startswith("."))
    return sorted(found)
