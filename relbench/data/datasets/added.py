"""Data sets that users add: a table or a folder of images, remembered by name."""

import os
import re
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import NonNegativeInt, PositiveInt, StringConstraints, ValidationError, field_validator

from relbench.data.datasets.photos import PhotoSet, promise
from relbench.data.datasets.rendered import RENDERED
from relbench.data.download.card import SplitKind, card_names
from relbench.data.images.decoding import Decoding
from relbench.data.parsing.class_folders import FIRST_ENDINGS, endings, left_out_files, read_image_folder
from relbench.data.parsing.findings import (
    Found,
    copy_notes,
    examples,
    find_kinds,
    image_notes,
    label_notes,
    needed,
)
from relbench.data.parsing.image_table import left_out_columns, read_table
from relbench.data.table import Progress, counts, hold_out, hold_out_images, indices_of, table_hash
from relbench.experiment import Fraction
from relbench.files import atomic_write, clear_unfinished, read_regular
from relbench.lookup import lookup
from relbench.settings import Settings, changed, reason

NOTE = "added.json"  # in the data set's folder
LONGEST = 80  # letters of a name: folders and files are named by it, and file systems end at 255
SHARE = 0.2  # held out for validation: see `Added`
KS = (1, 2, 4, 8, 16, 32)
USUAL = Decoding(background="#ffffff", exif="apply")


class Added(Settings):
    """The note of a data set that was added."""

    name: str
    source: Annotated[str, StringConstraints(pattern=r"^/[^\x00]+$")]  # absolute path of the table or folder of images
    seed: NonNegativeInt  # of the halves, where the folder names no splits, and of the validation classes
    share: Fraction  # held out for validation, where the source names none: of the classes, or of each class's images
    ks: tuple[PositiveInt, ...]
    counts: dict[str, int]
    content: str  # hash of the table: a source that changes is another data set
    split: SplitKind = "classes"  # what the test has of its own
    decoding: Decoding = Decoding()  # what its images needed when it was added

    @field_validator("counts")
    @classmethod
    def _complete(cls, found: dict[str, int]) -> dict[str, int]:
        lacking = [key for key in ("train_classes", "train_images", "test_classes", "test_images") if key not in found]
        if lacking:
            raise ValueError(f"{lacking[0]} is missing")
        return found

    @property
    def folder(self) -> Path:
        """The folder that names in the table are relative to."""
        source = Path(self.source)
        return source if source.is_dir() else source.parent

    def table(self) -> pd.DataFrame:
        """The checked table of all images, validation classes held out.

        Raises:
            ValueError: the source is gone or damaged, or has changed since it was added.
        """
        return self.unchanged(read_source(Path(self.source), self.seed, self.split))

    def unchanged(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table as the source has it now, with validation classes held out.

        Args:
            table: the checked table of the source.

        Raises:
            ValueError: it has changed since it was added.
        """
        table = _with_validation(table, self.seed, self.share, self.split)
        if table_hash(table) != self.content:
            raise ValueError(self._changed(table))
        return table

    def _changed(self, table: pd.DataFrame) -> str:
        known_before = table["name"].str.lower().str.endswith(FIRST_ENDINGS)
        if table_hash(table[known_before]) == self.content:
            more = examples(list(table["name"][~known_before]))
            return (
                f"{self.name} was added without images that are included now ({more}): add it again under another name"
            )
        return (
            f"{self.source} has other images, classes or splits than when {self.name} was added: put back what "
            "was there, or add it under another name"
        )


def add(
    name: str,
    source: Path,
    root: Path,
    *,
    seed: int = 0,
    split: SplitKind = "classes",
    decoding: Decoding = USUAL,
    progress: Progress = iter,
) -> tuple[Added, list[str]]:
    """Remember a data set, after a look at all of its table and images.

    Args:
        name: how experiments will call it: up to 80 letters, digits, `-` and `_`.
        source: a table (`own.read_table`) or a folder of images (`own.read_image_folder`).
        root: the folder of all data sets.
        seed: see `Added`.
        split: what the test has of its own: classes, as for retrieval and few-shot, or images of the same classes.
        decoding: what may be done with images that hold more than colours; what is None is refused.
        progress: wraps the images, for a progress bar.

    Returns:
        What is remembered, and a sentence for each kind of thing that was found in the source and is not simply taken.

    Raises:
        ValueError: the name is impossible or taken, or the table or an image is refused.
    """
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{LONGEST - 1}}}", name):
        raise ValueError(f"the name {name!r} is impossible: take up to {LONGEST} letters a to z, digits, - and _")
    if name in (*RENDERED, *card_names()):
        raise ValueError(f"the name {name!r} is taken: choose another")
    folder = root / name
    if os.path.lexists(folder) and not _is_left_over(folder):
        raise ValueError(f"{folder} is there already: choose another name, or delete it")
    source = source.resolve()
    _refuse_inside(folder, source)
    added = _noted(name, source, seed, split)
    table = added.table()
    found = find_kinds(added.folder, table["name"].tolist(), progress)
    added = changed(added, {"decoding": needed(found, decoding)})
    try:
        with atomic_write(folder / NOTE) as temporary:
            temporary.write_text(added.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError:
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
        raise
    return added, _notes(added, table, found)


def asked_split(word: str) -> SplitKind:
    """What a user wants the test to have of its own.

    Raises:
        ValueError: there is no such word.
    """
    return "images" if lookup(word, ("classes", "images"), "--split") == "images" else "classes"


def _refuse_inside(folder: Path, source: Path) -> None:
    """The folder that is to be made would be taken for a class, and the data set refused from then on."""
    if source.is_dir() and folder.resolve().is_relative_to(source):
        raise ValueError(
            f"{folder} would lie in {source}, whose folders are classes: keep data sets elsewhere (--data FOLDER)"
        )


def notes(added: Added, progress: Progress = iter) -> list[str]:
    """Notes of `add` on the source, as it is now.

    Raises:
        ValueError: the source or an image is refused.
    """
    table = added.table()
    return _notes(added, table, find_kinds(added.folder, table["name"].tolist(), progress))


def _notes(added: Added, table: pd.DataFrame, found: Found) -> list[str]:
    source = Path(added.source)
    return [
        *image_notes(found, len(table), added.decoding),
        *copy_notes(added.folder, table),
        *label_notes(table["label"]),
        *(_left_out(source) if source.is_dir() else left_out_columns(source)),
    ]


def _left_out(folder: Path) -> list[str]:
    found = left_out_files(folder).items()
    return [f"left out: {what} ({endings(paths)}): {examples(paths)}" for what, paths in found]


def _is_left_over(folder: Path) -> bool:
    """Nothing but a half-written note is in it: whoever began to add the data set was killed."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    clear_unfinished(folder)
    return not any(folder.iterdir())


def _noted(name: str, source: Path, seed: int, split: SplitKind) -> Added:
    table = _with_validation(read_source(source, seed, split), seed, SHARE, split)
    found = counts(table)
    ks = tuple(k for k in KS if k < found["gallery"])
    if not ks:
        raise ValueError(f"{source} has one test image to be found or classified: two or more are needed")
    content = table_hash(table)
    return Added(
        name=name, source=str(source), seed=seed, share=SHARE, ks=ks, counts=found, content=content, split=split
    )


def read_source(source: Path, seed: int, split: SplitKind) -> pd.DataFrame:
    """The checked table of an image folder or of a table of images.

    Raises:
        ValueError: it is refused; one line.
    """
    classes = promise(split)
    return read_image_folder(source, seed, classes) if source.is_dir() else read_table(source, classes)


def _with_validation(table: pd.DataFrame, seed: int, share: float, split: SplitKind) -> pd.DataFrame:
    if len(indices_of(table, "validation")):
        return table
    return hold_out(table, share, seed) if split == "classes" else hold_out_images(table, share, seed)


def added_names(root: Path) -> list[str]:
    """Names of the data sets that were added to a folder."""
    return sorted(path.parent.name for path in root.glob(f"*/{NOTE}"))


def read_added(name: str, root: Path) -> Added:
    """The record of an added data set.

    Raises:
        ValueError: the note is damaged.
    """
    path = root / name / NOTE
    try:
        added = Added.model_validate_json(read_regular(path))
        why = "" if added.name == name else f"it is that of {added.name!r}"
    except (ValidationError, OSError) as error:
        why = reason(error)
    if why:
        raise ValueError(f"{path} is damaged ({why}): delete it, and add the data set again")
    return added


def added_set(added: Added) -> PhotoSet:
    """The data set as every other data set of photos."""
    return PhotoSet(
        name=added.name,
        title=added.name,
        summary=f"added from {added.source}",
        ks=added.ks,
        counts=added.counts,
        folder=lambda root: root / added.name,
        images=lambda _: added.folder,
        read=lambda _root, _data: added.table(),
        splits=(added.split,),
        decoding=added.decoding,
    )
