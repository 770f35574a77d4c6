"""Bring your own: a table or an image folder becomes a data set with the same checks as the published ones."""

import csv
import os
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from relbench.data.annotations import Survey, refuse_missing, text_lines
from relbench.data.table import COLUMNS, ROLES, checked
from relbench.files import open_regular

NEEDED = ("path", "label", "split")
TRUTH = {"true": True, "1": True, "false": False, "0": False, "": None}
IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # as torchvision's ImageFolder

Rows = list[tuple[str, str, str]]


def read_table(path: Path, *, check_images: bool = True) -> pd.DataFrame:
    """Read a table of images: CSV (UTF-8, commas, a header) or Parquet.

    Columns are `path` (relative to the table's folder, or absolute), `label`, `split` ("train" or "test"; "validation"
    if wanted) and, if wanted, `query` and `gallery`: true or false (in CSV also 1 or 0), of no meaning but on test
    lines. Other columns are left out.

    Args:
        path: the table, named `*.csv` or `*.parquet`.
        check_images: refuse it if an image is not there.

    Returns:
        A checked table with `path` as `name`; it may have no validation classes.

    Raises:
        ValueError: the table cannot be read, is refused by `checked`, or names an image that is not there; names file
            and line.
    """
    table, place = _read(path)
    table = checked(table, needs_validation=False, where=str(path), place=place)
    if check_images:
        refuse_missing(path.parent, list(table["name"]), place)
        _refuse_same(path.parent, list(table["name"]), place)
    return table


def _refuse_same(folder: Path, names: list[str], place: Callable[[int], str]) -> None:
    """Refuse two names of one image, say by a relative and an absolute path: it could be on both sides of the split.

    Folders are resolved once each, as that takes long on a network disk.
    """
    split = [os.path.split(name) for name in names]
    folders = {parent: (folder / parent).resolve() for parent in {parent for parent, _ in split}}
    first: dict[Path, int] = {}
    for row, (parent, name) in enumerate(split):
        path = folders[parent] / name
        before = first.setdefault(path.resolve() if path.is_symlink() else path, row)
        if before != row:
            same = f"{names[row]!r} is the same file as {names[before]!r} ({place(before)})"
            raise ValueError(f"{place(row)}: {same}: drop one")


def survey_table(path: Path) -> Survey:
    """The images that a table names, if it can be read, whatever else is wrong with it."""
    found = Survey()
    try:
        table, place = _read(path)
    except ValueError as error:
        found.faults.append(str(error))
    else:
        names = enumerate(table["name"])
        found.images.extend((name, place(row)) for row, name in names if isinstance(name, str))
    return found


def _read(path: Path) -> tuple[pd.DataFrame, Callable[[int], str]]:
    """A table as it stands, but with `path` as `name`, and what its lines are called."""
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        why = (
            "is neither .csv nor .parquet: name it by what it is" if path.exists() else "does not exist: mind the path"
        )
        raise ValueError(f"{path} {why}")
    table, place = readers[path.suffix.lower()](path)
    missing = [column for column in NEEDED if column not in table]
    if missing:
        raise ValueError(f"{path} lacks the column {missing[0]!r}: it needs {','.join(NEEDED)}, separated by commas")
    names = table["path"].map(lambda name: str(PurePosixPath(name)) if isinstance(name, str) else name)
    return table.assign(name=names)[[column for column in (*COLUMNS, *ROLES) if column in ("name", *table)]], place


def _read_csv(path: Path) -> tuple[pd.DataFrame, Callable[[int], str]]:
    (_, header), *rows = _csv_rows(path)
    if len(set(header)) < len(header):
        raise ValueError(f"{path}, line 1: a column stands twice: the header must name each once")
    for number, row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}, line {number}: has {len(row)} columns, the header has {len(header)}: mend it")
    table = pd.DataFrame([[cell or None for cell in row] for _, row in rows], columns=header, dtype=object)
    for role in (role for role in ROLES if role in table):
        table[role] = [TRUTH.get(str(value or "").lower(), value) for value in table[role]]
    return table, lambda row: f"{path}, line {rows[row][0]}"


def _csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and fields of each line that is not blank; a byte order mark, as Excel writes it, is dropped."""
    first, *others = text_lines(path)
    reader = csv.reader([first.removeprefix("\ufeff"), *others], skipinitialspace=True, strict=True)
    try:
        rows = [(reader.line_num, [field.strip() for field in row]) for row in reader if row]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}: mend it") from None
    if not rows:
        raise ValueError(f"{path} has no line: it needs the header {','.join(NEEDED)}")
    return rows


def _read_parquet(path: Path) -> tuple[pd.DataFrame, Callable[[int], str]]:
    """Labels may be whole numbers; columns may be categories, as pandas keeps texts that come often."""
    try:
        with open_regular(path) as file:
            table = pd.read_parquet(file, engine="pyarrow")
    except ImportError:
        raise ValueError(f"to read {path} pyarrow is needed: pip install pyarrow") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({str(error).partition(chr(10))[0]}): write it again") from None
    for column in table.select_dtypes("category"):
        table[column] = table[column].astype(object).infer_objects()
    if "label" in table and pd.api.types.is_integer_dtype(table["label"]):
        table["label"] = table["label"].map(str, na_action="ignore")
    return table, lambda row: f"{path}, row {row + 1}"


def read_image_folder(folder: Path, seed: int = 0) -> pd.DataFrame:
    """Read a folder of images in class folders.

    Either `train/<class>/` and `test/<class>/` (and `validation/<class>/`, if wanted), or `<class>/` alone: then half
    of the classes (the larger half) are for training and the others for testing. For that the names are sorted as text
    and permuted by `numpy.random.default_rng(seed)`. Hidden files and files that are no images by their ending are left
    out.

    Args:
        folder: holds the folders.
        seed: of the split into halves.

    Returns:
        A checked table, sorted by split, class and name; it may have no validation classes.

    Raises:
        ValueError: the folder has another form, a class folder has no image, or `checked` refuses the table.
    """
    found = _folders(folder)
    if {"train", "test"} & set(found):
        rows = _split_rows(folder, found)
    else:
        halves = _halves(found, seed)
        rows = [row for name in found for row in _class_rows(folder, name, halves[name])]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return checked(table, needs_validation=False, where=str(folder), place=lambda row: str(folder / rows[row][0]))


def _split_rows(folder: Path, found: list[str]) -> Rows:
    odd = sorted(set(found) - {"train", "validation", "test"}) or sorted({"train", "test"} - set(found))
    if odd:
        raise ValueError(f"{folder} should hold train, test and perhaps validation, nothing else: mind {odd[0]!r}")
    splits = [(split, name) for split in found for name in _folders(folder / split)]
    return [row for split, name in splits for row in _class_rows(folder, f"{split}/{name}", split)]


def _halves(classes: list[str], seed: int) -> dict[str, str]:
    """Split of each class."""
    order = np.random.default_rng(seed).permutation(len(classes))
    train = {classes[at] for at in order[: (len(classes) + 1) // 2]}
    return {name: "train" if name in train else "test" for name in classes}


def _class_rows(folder: Path, class_folder: str, split: str) -> Rows:
    """Name, label and split of the images in a class folder."""
    entries = _visible(folder / class_folder)
    if any(entry.is_dir() for entry in entries):
        raise ValueError(f"{folder / class_folder} has folders inside: images must lie in the class folder itself")
    images = [entry for entry in entries if entry.name.lower().endswith(IMAGES)]
    odd = [entry.name for entry in images if not entry.is_file()]
    if odd:
        raise ValueError(
            f"{folder / class_folder / odd[0]} is no file, or a link that leads nowhere: mend or remove it"
        )
    if not images:
        raise ValueError(f"{folder / class_folder} holds no image ({' '.join(IMAGES)}): fill or remove it")
    return [(f"{class_folder}/{entry.name}", PurePosixPath(class_folder).name, split) for entry in images]


def _folders(folder: Path) -> list[str]:
    return [entry.name for entry in _visible(folder) if entry.is_dir()]


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name, without hidden files."""
    try:
        with os.scandir(folder) as entries:
            visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=attrgetter("name"))
    except OSError as error:
        raise ValueError(f"{folder} cannot be read ({error.strerror}): it should be a folder of images") from None
    odd = [entry.name for entry in visible if not entry.name.isprintable()]
    if odd:
        raise ValueError(f"{folder} holds {odd[0]!r}, a name with characters that cannot be printed: rename it")
    return visible
