"""Data sets: one file each, all as a checked table and a source of images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relbench.data.added import added_names, added_set, read_added
from relbench.data.download.card import card_names, packaged_card
from relbench.data.glyphs.glyphs import NAMES, Glyphs, character, content_hash, glyph_table
from relbench.data.glyphs.textured import TexturedGlyphs, textured_content
from relbench.data.photo_sets import PhotoSet, published, side_of
from relbench.data.table import ImageSource
from relbench.experiment import Data
from relbench.lookup import lookup

Progress = Callable[[Iterable[str]], Iterable[str]]


@dataclass(frozen=True)
class DataSet:
    """What an experiment needs of a data set; paths are those of the folder of all data sets."""

    summary: str
    content: Callable[[Path], str]  # hash of which images, which classes, which split
    table: Callable[[Data, Path], pd.DataFrame]  # of the images in use, without a look at their pixels
    load: Callable[[Data, Path, Progress], ImageSource]
    hint: Callable[[Data, Path], str]  # what would make it faster; "" if nothing would
    channels: int  # of its images
    ks: tuple[int, ...]  # the Ks of Recall@K that are usual for it
    class_name: Callable[[str], str] = str  # a label as readers know it


def photo_entry(photos: PhotoSet) -> DataSet:
    """The entry of a data set of photos."""
    return DataSet(
        summary=photos.summary,
        content=photos.content,
        table=photos.table,
        load=lambda data, root, _: photos.load(data, root),
        hint=photos.hint,
        channels=3,
        ks=photos.ks,
    )


def _glyphs_entry(summary: str, content: Callable[[], str], source: type[Glyphs]) -> DataSet:
    """The entry of a data set made of rendered glyphs; all keep them in one folder, as some can share them."""

    def load(data: Data, root: Path, progress: Progress) -> ImageSource:
        _refuse_settings_of_photos(data)
        classes = data.train_classes, data.test_classes
        return source(data.size, *classes, data.distortion, root / "glyphs", progress, hold_out=data.hold_out)

    def table(data: Data, _: Path) -> pd.DataFrame:
        _refuse_settings_of_photos(data)
        return glyph_table(data.train_classes, data.test_classes, data.hold_out)

    return DataSet(
        summary=summary,
        content=lambda _: content(),
        table=table,
        load=load,
        hint=lambda _data, _root: "",
        channels=source.views.channels,
        ks=(1, 2, 4, 8, 16, 32),
        class_name=character,
    )


def _refuse_settings_of_photos(data: Data) -> None:
    if data.resize is not None:
        raise ValueError(f"data.resize = {data.resize} is for photos: {data.name} has no such thing")
    if not data.mirror:
        raise ValueError(f"data.mirror = false is for photos: {data.name} is never mirrored")


GLYPHS = _glyphs_entry(
    "letters and signs in the twelve DejaVu faces; rendered on first use, no download", content_hash, Glyphs
)
TEXTURED = _glyphs_entry(
    "glyphs filled with coloured textures, on others; for large networks, no download",
    textured_content,
    TexturedGlyphs,
)
RENDERED: dict[str, type[Glyphs]] = dict(zip(NAMES, (Glyphs, TexturedGlyphs), strict=True))
"""Data sets that make their images, by name."""


def data_title(name: str) -> str:
    """A data set as readers know it: by its published title, or by the name under which it was added."""
    titles = dict(zip(NAMES, ("Glyphs", "textured Glyphs"), strict=True))
    return packaged_card(name).title if name in card_names() else titles.get(name, name)


def shown_at(data: Data) -> str:
    """The size of test images, and what they are cut from or how they are distorted."""
    if data.name not in NAMES:
        mirrored = "" if data.mirror else "; never mirrored in training"
        return f"{data.size} px (centre crop of {side_of(data)} px{mirrored})"
    return f"{data.size} px ({f'distortion {data.distortion:g}' if data.distortion else 'not distorted'})"


def data_set_names(root: Path) -> list[str]:
    """Those that need no files, those with a card, and those that were added to a folder."""
    return [*NAMES, *_photo_names(root)]


def _photo_names(root: Path) -> list[str]:
    return [*card_names(), *added_names(root)]


def find_data_set(name: str, root: Path) -> DataSet:
    """A data set by its name.

    Raises:
        ValueError: there is none, or what is remembered of an added one is damaged.
    """
    if lookup(name, data_set_names(root), "data set") in NAMES:
        return dict(zip(NAMES, (GLYPHS, TEXTURED), strict=True))[name]
    return photo_entry(find_photos(name, root))


def find_photos(name: str, root: Path) -> PhotoSet:
    """A data set of photos by its name, published or added.

    Raises:
        ValueError: there is none, or what is remembered of an added one is damaged.
    """
    if lookup(name, _photo_names(root), "data set") in card_names():
        return published(packaged_card(name))
    return added_set(read_added(name, root))
