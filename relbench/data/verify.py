"""Verification of a data set: checksums, table, counts, and every image decoded.

Nothing stops at the first fault: whoever mends a folder wants to know all that is wrong.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from relbench.data.datasets.added import Added, read_added
from relbench.data.datasets.photos import PhotoSet, promise
from relbench.data.datasets.published import READERS, check_published_counts
from relbench.data.download.card import Card
from relbench.data.download.checksum import checksum_mismatch, wrong_files
from relbench.data.download.fetch import not_ready
from relbench.data.images.decoding import rgb
from relbench.data.images.photos import Paths, undecodable
from relbench.data.parsing.class_folders import IMAGES, read_image_folder
from relbench.data.parsing.image_table import survey_table
from relbench.data.parsing.missing import missing_images
from relbench.data.parsing.survey import Survey, survey
from relbench.experiment import Data

SHOWN = 50  # missing images that get one line each


def faults(
    photos: PhotoSet, card: Card | None, root: Path, threads: int, progress: Paths = iter
) -> tuple[list[str], int]:
    """One line for each thing that is wrong, and their number; none if all is well.

    Told are: archives and files with a wrong checksum, files that the layout lacks, each line or record of the lists
    that is damaged in itself, the first fault beyond that (a line that is gone or contradicts another, a wrong count),
    each missing image (one line for each of the first 50), and each image that can't be decoded. A JPEG damaged in its
    pixels can decode all the same, and is not told. Where nothing else is wrong, the first damaged file of decoded
    images is told. Of a data set that can be split in several ways, the lists of all are looked at.

    Args:
        photos: the data set.
        card: what is published about it; None if a user added it.
        root: the folder of all data sets.
        threads: that decode images at once.
        progress: wraps the images, for a progress bar.
    """
    folder = photos.images(root)
    found = _published(photos, card, folder) if card else _added(read_added(photos.name, root))
    missing, damaged = _looked_at(photos, card, found, threads, progress, folder)
    count = len(found.faults) + len(missing) + len(damaged)
    if not count:
        refused = _refusal(lambda: _check_table(photos, card, root, found.table))
        return refused, len(refused)
    return [*found.faults, *_shown(missing), *damaged], count


def _looked_at(
    photos: PhotoSet, card: Card | None, found: Survey, threads: int, progress: Paths, folder: Path
) -> tuple[list[str], list[str]]:
    """A line for each missing image file, and for each that can't be decoded."""
    records = photos.records(folder)
    if records:
        return [], records.damaged([name for name, _ in found.images], threads, progress)
    missing, there = _sought(found, folder)
    if card and not photos.layouts and (found.faults or missing):  # then the lists may not name all that is there
        there = sorted({*there, *_images_below(folder)})
    broken = undecodable(there, threads, progress, partial(rgb, decoding=photos.decoding))
    return missing, [f"{path} can't be decoded ({reason})" for path, reason in broken]


def _check_table(photos: PhotoSet, card: Card | None, root: Path, table: pd.DataFrame | None) -> None:
    """Refuse the table of a source that has changed since it was added, and damaged files of decoded images."""
    if table is None:
        return
    if not card:
        read_added(photos.name, root).unchanged(table)
    photos.check_kept(root, table["name"].tolist())


def _published(photos: PhotoSet, card: Card, folder: Path) -> Survey:
    """Everything but the images themselves.

    Where lists contradict each other as they are split in the usual way, they would do so in others, too.
    """
    lacking, surveys = _lacking(card, folder), list[Survey]()
    outside = [*_wrong_archives(card, folder), *wrong_files(card, folder), *lacking]
    for data in photos.ways:
        sound = data.split == photos.splits[0] or not any(found.faults for found in surveys)
        surveys.append(_surveyed(card, folder, data, complete=sound and not lacking))
    of_lists = dict.fromkeys(fault for found in surveys for fault in found.faults)
    return Survey([*outside, *of_lists], surveys[0].images, surveys[0].table)


def _surveyed(card: Card, folder: Path, data: Data, *, complete: bool) -> Survey:
    """The lists as the settings want them split, and the counts."""
    found = survey(folder, READERS[card.name](data).scan(folder), promise(data.split), complete=complete)
    table = found.table
    counts = [] if table is None else _refusal(lambda: check_published_counts(card, folder, table, data))
    return Survey([*found.faults, *counts], found.images, table)


def _lacking(card: Card, folder: Path) -> list[str]:
    """What is not there of the layout of which something is there and least is lacking."""
    lacking = {layout: [path for path in layout.paths if not (folder / path).exists()] for layout in card.accepted}
    layout, lacks = min(lacking.items(), key=lambda item: (len(item[0].paths) == len(item[1]), len(item[1])))
    of = f" (layout {layout.name})" if len(card.layouts) > 1 else ""
    if len(layout.paths) == len(lacks):
        return [not_ready(card, folder.parent)]
    return [f"{folder / path} is missing: complete it, or fetch the data set again{of}" for path in lacks]


def _added(added: Added) -> Survey:
    """An added table or image folder; of the images in the table's folder only the listed ones concern it."""
    source = Path(added.source)
    if not source.is_dir():
        return survey_table(source, promise(added.split))
    try:
        table = read_image_folder(source, added.seed, promise(added.split))
    except ValueError as error:
        below = [(str(path.relative_to(source)), str(path)) for path in _images_below(source)]
        return Survey([str(error)], below)
    return Survey([], [(name, str(source / name)) for name in table["name"]], table)


def _refusal(read: Callable[[], object]) -> list[str]:
    """Why it can't be read, in one line; nothing if it can."""
    try:
        read()
    except ValueError as error:
        return [str(error)]
    return []


def _sought(found: Survey, folder: Path) -> tuple[list[str], list[Path]]:
    """A line for each missing image, and the paths of the others, each once."""
    names = [name for name, _ in found.images]
    missing = set(missing_images(folder, names))
    told = [f"{found.images[row][1]}: image {names[row]!r} is not in {folder}" for row in sorted(missing)]
    return told, list(dict.fromkeys(folder / name for row, name in enumerate(names) if row not in missing))


def _shown(missing: list[str]) -> list[str]:
    more = len(missing) - SHOWN
    return [*missing[:SHOWN], *([f"and {more} more images are missing"] if more > 0 else [])]


def _wrong_archives(card: Card, folder: Path) -> list[str]:
    paths = {archive.place(folder): archive for archive in card.archives}
    problems = {path: checksum_mismatch(path, archive, _unheard) for path, archive in paths.items() if path.is_file()}
    return [f"{path} {problem}" for path, problem in problems.items() if problem]


def _unheard(_done: int, _total: int | None) -> None:
    """Checksums take a while, but far less than decoding."""


def _images_below(folder: Path) -> list[Path]:
    """What looks like an image."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGES and not path.name.startswith("."))
    return sorted(found)
