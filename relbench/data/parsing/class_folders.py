"""A folder of images in class folders as a table; what lies there and is left out is named."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image

from relbench.data.images.decoding import FORMATS
from relbench.data.table import COLUMNS, SPLITS, Sharing, checked, meant_split
from relbench.files import open_regular

FIRST_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # of version 0.1
IMAGES = (*FIRST_ENDINGS, ".jpe", ".jfif", ".apng", ".gif", ".avif", ".pbm", ".pnm", ".dib")

Rows = list[tuple[str, str, str]]


def read_image_folder(folder: Path, seed: int = 0, classes: Sharing = "disjoint") -> pd.DataFrame:
    """Read a folder of images in class folders.

    Either `train/<class>/` and `test/<class>/` (and `validation/<class>/`, if wanted), or `<class>/` alone: then half
    of the classes (the larger half) are for training and the others for testing. For that the names are sorted as text
    and permuted by `numpy.random.default_rng(seed)`. Images are known by their ending, or, where the name has none, by
    their content. Everything else is left out; see `left_out_files`.

    Args:
        folder: holds the folders.
        seed: of the split into halves.
        classes: what the splits promise.

    Returns:
        A checked table, sorted by split, class and name; it may have no validation classes.

    Raises:
        ValueError: the folder has another form, a class folder has no image, or `checked` refuses the table.
    """
    found = _folders(folder)
    if _has_splits(found):
        rows = _split_rows(folder, found)
    else:
        _refuse_misnamed_splits(folder, found)
        _refuse_halves(folder, classes)
        halves = _halves(found, seed)
        rows = [row for name in found for row in _class_rows(folder, name, halves[name])]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return checked(
        table,
        needs_validation=False,
        classes=classes,
        where=str(folder),
        place=lambda row: str(folder / rows[row][0]),
    )


def left_out_files(folder: Path) -> dict[str, list[str]]:
    """Files in a folder that `read_image_folder` leaves out: paths by what they are."""
    found = defaultdict(list)
    for what, path in _left_out(folder, "", 2 if _has_splits(_folders(folder)) else 1):
        found[what].append(path)
    return dict(found)


def _left_out(folder: Path, at: str, depth: int) -> Iterator[tuple[str, str]]:
    """What is left out, and its path, down to the class folders at that depth."""
    for entry in _entries(folder / at):
        path = f"{at}{entry.name}"
        if entry.name.startswith("."):
            yield "hidden", path
        elif entry.is_dir():
            yield from _left_out(folder, f"{path}/", depth - 1)
        elif depth:
            yield ("images outside of class folders" if is_image(entry) else "no images"), path
        elif not is_image(entry):
            yield ("images by content, not by ending" if _holds_image(entry) else "no images"), path


def endings(paths: list[str]) -> str:
    """The number of paths with each ending, the most frequent first."""
    counted = Counter(PurePosixPath(path).suffix.lower() or "without an ending" for path in paths)
    return ", ".join(f"{count:,} {ending}" for ending, count in counted.most_common())


def is_image(entry: os.DirEntry[str]) -> bool:
    """Whether a file is an image by its ending, or, where it has none, by its content."""
    return entry.name.lower().endswith(IMAGES) or ("." not in entry.name and _holds_image(entry))


def _holds_image(entry: os.DirEntry[str]) -> bool:
    try:
        with open_regular(Path(entry.path)) as file, Image.open(file, formats=FORMATS):
            return True
    except Exception:  # noqa: BLE001 - on what is no image PIL's decoders raise errors of nearly any kind
        return False


def _has_splits(folders: list[str]) -> bool:
    return bool({"train", "test"} & set(folders))


def _split_rows(folder: Path, found: list[str]) -> Rows:
    odd = sorted(set(found) - set(SPLITS)) or sorted({"train", "test"} - set(found))
    if odd:
        raise ValueError(
            f"{folder} should hold train, test and perhaps validation, nothing else: check {odd[0]!r}{_hint(odd[0])}"
        )
    splits = [(split, name) for split in found for name in _folders(folder / split)]
    return [row for split, name in splits for row in _class_rows(folder, f"{split}/{name}", split)]


def _hint(name: str) -> str:
    meant = meant_split(name)
    return f" (did you mean {meant!r}?)" if meant and meant != name else ""


def _refuse_misnamed_splits(folder: Path, found: list[str]) -> None:
    """Refuse splits under other names, such as Train and Test: they would be taken for classes."""
    meant = {meant_split(name) for name in found}
    if {"train", "test"} <= meant and None not in meant:
        raise ValueError(
            f"{folder} holds {', '.join(found)}: if these are splits, name them train, test and validation; "
            "if they are classes, put them into a table"
        )


def _refuse_halves(folder: Path, classes: Sharing) -> None:
    """Halves are halves of the classes."""
    if classes != "disjoint":
        raise ValueError(
            f"{folder} holds no folders train and test: to be split by images, it needs train/<class> and test/<class>"
        )


def _halves(classes: list[str], seed: int) -> dict[str, str]:
    """Split of each class."""
    order = np.random.default_rng(seed).permutation(len(classes))
    train = {classes[at] for at in order[: (len(classes) + 1) // 2]}
    return {name: "train" if name in train else "test" for name in classes}


def _class_rows(folder: Path, class_folder: str, split: str) -> Rows:
    """Name, label and split of the images in a class folder."""
    entries = visible(folder / class_folder)
    if any(entry.is_dir() for entry in entries):
        raise ValueError(f"{folder / class_folder} has folders inside: images must lie in the class folder itself")
    odd = [entry.name for entry in entries if entry.name.lower().endswith(IMAGES) and not entry.is_file()]
    if odd:
        raise ValueError(f"{folder / class_folder / odd[0]} is not a file, or is a broken link: repair or remove it")
    images = [entry.name for entry in entries if is_image(entry)]
    if not images:
        raise ValueError(f"{folder / class_folder} holds no image ({' '.join(IMAGES)}): fill or remove it")
    return [(f"{class_folder}/{name}", PurePosixPath(class_folder).name, split) for name in images]


def _folders(folder: Path) -> list[str]:
    return [entry.name for entry in visible(folder) if entry.is_dir()]


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name, without hidden files."""
    found = [entry for entry in _entries(folder) if not entry.name.startswith(".")]
    odd = [entry.name for entry in found if not entry.name.isprintable()]
    if odd:
        raise ValueError(f"{folder} holds {odd[0]!r}, a name with characters that cannot be printed: rename it")
    return found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """All that a folder holds, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=attrgetter("name"))
    except OSError as error:
        raise ValueError(f"{folder} cannot be read ({error.strerror}): it should be a folder of images") from None
