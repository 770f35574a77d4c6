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
    """An entry of `DATASETS`; paths are those of the folder of all data sets."""

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


DATASETS = {
    "glyphs": DataSet(
        summary="letters and signs in the twelve DejaVu faces; rendered on first use, no download",
        content=lambda _: content_hash(),
        load=_load_glyphs,
        ks=(1, 2, 4, 8, 16, 32),
    ),
    **{name: photo_entry(published(packaged_card(name))) for name in card_names()},
}


def find_data_set(name: str, root: Path) -> DataSet:
    """A data set by its name, one that was added to the folder included.

    Raises:
        ValueError: there is none.
    """
    added = added_names(root)
    if known(name, [*DATASETS, *added], "data set") in DATASETS:
        return DATASETS[name]
    return photo_entry(added_set(read_added(name, root)))
