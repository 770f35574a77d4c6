"""Data sets: one file each, all as a checked table and a source of images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from relbench.data.added import added_names, added_set, read_added
from relbench.data.card import card_names, packaged_card
from relbench.data.glyphs import Glyphs, content_hash
from relbench.data.photo_sets import PhotoSet, published
from relbench.data.table import ImageSource
from relbench.experiment import Data
from relbench.names import known

Progress = Callable[[Iterable[str]], Iterable[str]]


@dataclass(frozen=True)
class DataSet:
    """What an experiment needs of a data set; paths are those of the folder of all data sets."""

    summary: str
    content: Callable[[Path], str]  # hash of which images, which classes, which split
    load: Callable[[Data, Path, Progress], ImageSource]
    ks: tuple[int, ...]  # the Ks of Recall@K that are usual for it


def photo_entry(photos: PhotoSet) -> DataSet:
    """The entry of a data set of photos."""
    return DataSet(photos.summary, photos.content, lambda data, root, _: photos.load(data, root), photos.ks)


def _load_glyphs(data: Data, root: Path, progress: Progress) -> ImageSource:
    if data.resize is not None or not data.hold_out:
        raise ValueError("data.resize and data.hold_out are for photos: glyphs have no such choice")
    return Glyphs(data.size, data.train_classes, data.test_classes, data.distortion, root / "glyphs", progress)


GLYPHS = DataSet(
    summary="letters and signs in the twelve DejaVu faces; rendered on first use, no download",
    content=lambda _: content_hash(),
    load=_load_glyphs,
    ks=(1, 2, 4, 8, 16, 32),
)


def data_sets(root: Path) -> dict[str, DataSet]:
    """All data sets by name: the one that needs no files, those with a card, and those that were added to a folder.

    Raises:
        ValueError: what is remembered of an added one is damaged.
    """
    published_ones = {name: photo_entry(published(packaged_card(name))) for name in card_names()}
    added_ones = {name: photo_entry(added_set(read_added(name, root))) for name in added_names(root)}
    return {"glyphs": GLYPHS} | published_ones | added_ones


def find_data_set(name: str, root: Path) -> DataSet:
    """A data set by its name.

    Raises:
        ValueError: there is none.
    """
    every = data_sets(root)
    return every[known(name, every, "data set")]
