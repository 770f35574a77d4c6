"""Data sets of photos, those published and those that users add: all read, split and fed alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from relbench.cores import usable_cores
from relbench.data.data_set import DataSet, transform_of
from relbench.data.datasets import cars196, cub200, inshop, sop
from relbench.data.download.card import Card
from relbench.data.download.fetch import state
from relbench.data.images.decoded import DecodedImages, decoded_path, kept_sides
from relbench.data.images.decoding import Decoding
from relbench.data.images.photos import ImageFiles, Photos
from relbench.data.parsing.annotations import Scan, read_lists
from relbench.data.table import check_counts, hold_out, indices_of, labels_of, selected_classes, table_hash
from relbench.experiment import Data
from relbench.transforms import PhotoTransform


class Reader(Protocol):
    """The reader of the lists of a published data set."""

    def lists(self, folder: Path) -> list[Path]:
        """The files that list the images."""
        ...

    def scan(self, folder: Path) -> Scan:
        """The listed images, and what is wrong with the lists."""
        ...


READERS: dict[str, Reader] = {"cub200": cub200, "cars196": cars196, "sop": sop, "inshop": inshop}


@dataclass(frozen=True)
class PhotoSet:
    """Photos in a folder.

    Attributes:
        name: how an experiment calls it.
        title: its name for readers.
        summary: one line.
        ks: the Ks of Recall@K that are usual for it.
        counts: classes and images on the two sides, as published or when it was added.
        folder: where it lies, given the folder of all data sets; names in the table are relative to `images`.
        images: what names in the table are relative to.
        read: the reader of the checked table of all images, validation classes held out.
        licence: that of its images; "" for those that a user added.
        decoding: what is done with images that hold more than colours; None: as the authors of published data sets did.
    """

    name: str
    title: str
    summary: str
    ks: tuple[int, ...]
    counts: Mapping[str, int]
    folder: Callable[[Path], Path]
    images: Callable[[Path], Path]
    read: Callable[[Path], pd.DataFrame]
    licence: str = ""
    decoding: Decoding | None = None

    def content(self, root: Path) -> str:
        """Hash of which images, which classes, which split, and of how they are decoded where that had to be chosen."""
        return self._hash(self.read(root))

    def _hash(self, table: pd.DataFrame) -> str:
        return table_hash(table, self.decoding.parts if self.decoding else [])

    def load(self, data: Data, root: Path) -> Photos:
        """The source of images; decoded ones are used where they are kept.

        Raises:
            ValueError: the data set is not there or damaged, or a setting does not go with it.
        """
        check_photo_settings(data)
        mirror = transform_of(data, PhotoTransform).mirror
        table = self.read(root)
        files = self.files(root, side_of(data))
        pixels = self._kept(root, files, table["name"].tolist()) or files
        content = self._hash(table)
        return Photos(in_use(table, data), self.images(root), data.size, pixels, content, mirror=mirror)

    def table(self, data: Data, root: Path) -> pd.DataFrame:
        """The images in use.

        Raises:
            ValueError: as `load`.
        """
        check_photo_settings(data)
        return in_use(self.read(root), data)

    def hint(self, data: Data, root: Path) -> str:
        """Advice where training has to decode the files again and again; "" elsewhere."""
        side, names = side_of(data), self.read(root)["name"].tolist()
        if decoded_path(self.files(root, side), names, self.cache_folder(root)).exists():
            return ""
        return (
            f"no decoded images of {side} px are kept for {self.name} as it is now, so training decodes the files: "
            f"relbench data fetch {self.name} --side {side} --data {root}"
        )

    def files(self, root: Path, side: int) -> ImageFiles:
        """The image files, decoded on all cores that this process may use."""
        return ImageFiles(self.images(root), side, usable_cores(), self.decoding)

    def cache_folder(self, root: Path) -> Path:
        """The folder of decoded images, or a link to a folder elsewhere."""
        return self.folder(root) / "decoded"

    def check_kept(self, root: Path, names: list[str]) -> None:
        """Check the decoded images of all sizes that are kept of the images as they are now.

        Args:
            root: the folder of all data sets.
            names: those of the images, in the order of the table.

        Raises:
            ValueError: a file of them is damaged.
        """
        for side in kept_sides(self.cache_folder(root)):
            kept = self._kept(root, self.files(root, side), names)
            if kept:
                kept.check()

    def _kept(self, root: Path, files: ImageFiles, names: list[str]) -> DecodedImages | None:
        path = decoded_path(files, names, self.cache_folder(root))
        return DecodedImages(path, names, files.side, files.decoding) if path.exists() else None


def photo_entry(photos: PhotoSet) -> DataSet:
    """The entry of a data set of photos."""
    return DataSet(
        title=photos.title,
        summary=photos.summary,
        transform=PhotoTransform,
        channels=3,
        ks=photos.ks,
        content=photos.content,
        table=photos.table,
        load=lambda data, root, _: photos.load(data, root),
        counts=photos.counts,
        licence=photos.licence,
        hint=photos.hint,
    )


def side_of(data: Data) -> int:
    """Side of the square that photos are resized to before the crop: 256 for crops of 224, if nothing else is said."""
    return transform_of(data, PhotoTransform).side(data.size)


def check_photo_settings(data: Data) -> None:
    """Refuse settings that no data set of photos can have.

    Raises:
        ValueError: views of another kind, or crops larger than the images that they are taken from.
    """
    if data.size > side_of(data):
        raise ValueError(f"can't crop {data.size} px from images of {side_of(data)} px: set data.size to less")


def in_use(table: pd.DataFrame, data: Data) -> pd.DataFrame:
    """The part of a table that the settings ask for; its images keep their order.

    The first classes of a split are those of the first names.

    Raises:
        ValueError: classes are asked for that are not there.
    """
    if not data.hold_out:
        table = table.assign(split=table["split"].replace("validation", "train"))
    kept = table["split"] == "validation"
    for split, selection in (("train", data.train_classes), ("test", data.test_classes)):
        _, labels = labels_of(table, indices_of(table, split))
        kept |= (table["split"] == split) & table["label"].isin(selected_classes(labels, selection, split))
    return table[kept].reset_index(drop=True)


def published(card: Card) -> PhotoSet:
    """The data set that a card describes."""
    return PhotoSet(
        name=card.name,
        title=card.title,
        summary=card.summary,
        ks=card.ks,
        counts=card.expected.model_dump(exclude_none=True),
        licence=card.licence,
        folder=lambda root: root / card.name,
        images=lambda root: root / card.name,
        read=lambda root: _published_table(card, root),
    )


def _published_table(card: Card, root: Path) -> pd.DataFrame:
    folder = root / card.name
    if state(card, root) != "ready":
        raise ValueError(f"{card.name} is not ready in {folder}: relbench data fetch {card.name} --data {root}")
    return hold_out(counted_table(card, folder), card.validation.share, card.validation.seed)


def counted_table(card: Card, folder: Path) -> pd.DataFrame:
    """The table of a published data set, compared with the published counts.

    Raises:
        ValueError: the lists are damaged, incomplete, or name an image that is not there.
    """
    table = read_lists(READERS[card.name].scan, folder)
    check_published_counts(card, folder, table)
    return table


def check_published_counts(card: Card, folder: Path, table: pd.DataFrame) -> None:
    """Compare a table with what is published about its data set.

    Raises:
        ValueError: a count differs; one line.
    """
    lists = " and ".join(str(file.relative_to(folder)) for file in READERS[card.name].lists(folder))
    check_counts(table, card.expected.model_dump(exclude_none=True), f"{folder} (by {lists})")
