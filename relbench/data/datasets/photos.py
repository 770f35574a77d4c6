"""Data sets of images in files, those published and those that users add: all read, split and fed alike.

Photos are files of any size; small images, such as CIFAR's, are files or records that are shown whole, and kept as one
array.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import pandas as pd

from relbench.cores import usable_cores
from relbench.data.data_set import DataSet, transform_of
from relbench.data.download.card import SplitKind
from relbench.data.images.decoded import DecodedImages, decoded_images, decoded_path, kept_sides
from relbench.data.images.decoded_folder import folder_to_fill
from relbench.data.images.decoding import Decoding
from relbench.data.images.photos import ImageFiles, Originals, Photos, Records
from relbench.data.images.small import SmallImages
from relbench.data.selection import few_images, label_space, selected_classes
from relbench.data.table import ImageSource, Progress, Sharing, indices_of, labels_of, table_hash
from relbench.experiment import Data
from relbench.transforms import PhotoTransform, SmallTransform

QUARTER = 90  # degrees


class Layouts(Protocol):
    """A data set whose pixels depend on the layout in which it lies."""

    def layout(self, folder: Path) -> str:
        """What the layout is called in hashes; ValueError where there is none, or more than one."""
        ...

    def notes(self, folder: Path) -> list[str]:
        """What whoever uses the folder should know, a line each."""
        ...


class SplitBy(NamedTuple):
    """What a data set lacks that can't be split in a way, and what that way is for."""

    lacking: str
    task: str


SPLIT_BY: dict[SplitKind, SplitBy] = {
    "classes": SplitBy("no classes that training never sees", "retrieval or few-shot"),
    "images": SplitBy("no split within its classes", "classification"),
}


@dataclass(frozen=True)
class PhotoSet:
    """Images in a folder: photos, or small images.

    Attributes:
        name: how an experiment calls it.
        title: its name for readers.
        summary: one line.
        ks: the Ks of Recall@K that are usual for it.
        counts: classes and images on the two sides, as published or when it was added.
        folder: where it lies, given the folder of all data sets; names in the table are relative to `images`.
        images: what names in the table are relative to.
        read: the reader of the checked table of all images, split as settings ask, what is validated on held out.
        splits: what it can be split by, the usual way first.
        partitions: the number of ways in which its images are split.
        licence: that of its images; "" for those that a user added.
        decoding: what is done with images that hold more than colours; None: as the authors of published data sets did.
        side: of small images in pixels; None for photos.
        channels: of the images.
        views: the usual ones of small images.
        oriented: whether turned or mirrored images would be of other classes; views are then neither.
        records: the reader of images that are no files of their own, in the data set's folder; None for files.
        layouts: what tells the layout in the data set's folder, where pixels depend on it.
    """

    name: str
    title: str
    summary: str
    ks: tuple[int, ...]
    counts: Mapping[str, int]
    folder: Callable[[Path], Path]
    images: Callable[[Path], Path]
    read: Callable[[Path, Data], pd.DataFrame]
    splits: tuple[SplitKind, ...] = ("classes",)
    partitions: int = 1
    licence: str = ""
    decoding: Decoding | None = None
    side: int | None = None
    channels: int = 3
    views: SmallTransform = field(default_factory=SmallTransform)
    oriented: bool = False
    records: Callable[[Path], Records | None] = lambda _: None
    layouts: Layouts | None = None

    @property
    def usual_views(self) -> PhotoTransform | SmallTransform:
        """The views that it makes if nothing else is asked for."""
        return PhotoTransform() if self.side is None else self.views

    @property
    def ways(self) -> list[Data]:
        """Settings for each way in which the images are split, the usual one first."""
        partitions = range(1, self.partitions + 1)
        return [Data(name=self.name, split=split, partition=number) for split in self.splits for number in partitions]

    def all_images(self, root: Path) -> pd.DataFrame:
        """The checked table of all images, split in the usual way."""
        return self.read(root, self.ways[0])

    def content(self, root: Path) -> str:
        """Hash of which images, which classes, which split, and of how they are decoded where that had to be chosen.

        Where pixels depend on the layout in the folder, that is part of it, too.

        The split is the usual one: others are settings, and part of the hash of a run's data.
        """
        return table_hash(self.all_images(root), self._choices(root))

    def _content_beside(self, table: pd.DataFrame, data: Data, root: Path) -> str:
        """The same, where a table was read already: it is the one that is wanted if it is split in the usual way."""
        usual = (data.split, data.partition) == (self.splits[0], 1)
        return table_hash(table, self._choices(root)) if usual else self.content(root)

    def _choices(self, root: Path) -> list[bytes]:
        layout = [f"layout {self.layouts.layout(self.folder(root))}".encode()] if self.layouts else []
        return [*(self.decoding.parts if self.decoding else []), *layout]

    def notes(self, root: Path) -> list[str]:
        """What whoever uses the images should know, a line each."""
        return self.layouts.notes(self.folder(root)) if self.layouts else []

    def load(self, data: Data, root: Path, progress: Progress = iter) -> ImageSource:
        """The source of images. Decoded photos are used where they are kept; the array of small images is kept first.

        Raises:
            ValueError: the data set is not there or damaged, or a setting does not go with it.
        """
        self.check(data)
        table = self.read(root, data)
        return self._small(table, data, root, progress) if self.side else self._photos(table, data, root)

    def _photos(self, table: pd.DataFrame, data: Data, root: Path) -> Photos:
        views = transform_of(data, PhotoTransform())
        originals = self.originals(root, side_of(data))
        pixels = self._kept(root, originals, table["name"].tolist()) or originals
        return Photos(
            in_use(table, data),
            self.images(root),
            data.size,
            pixels,
            self._content_beside(table, data, root),
            mirror=views.mirror,
            resized_crop=views.resized_crop,
        )

    def _small(self, table: pd.DataFrame, data: Data, root: Path, progress: Progress) -> SmallImages:
        originals, names, folder = self.originals(root, data.size), table["name"].tolist(), self.cache_folder(root)
        if not decoded_path(originals, names, folder).exists():
            folder = folder_to_fill(folder, None)
        pixels = decoded_images(originals, names, folder, progress)
        transform, content = transform_of(data, self.views), self._content_beside(table, data, root)
        return SmallImages(in_use(table, data), pixels, data.size, transform, content, self._choices(root))

    def table(self, data: Data, root: Path) -> pd.DataFrame:
        """The images in use.

        Raises:
            ValueError: as `load`.
        """
        self.check(data)
        return in_use(self.read(root, data), data)

    def check(self, data: Data) -> None:
        """Refuse settings that the data set can't have; it need not be there.

        Raises:
            ValueError: views of another kind or that its images can't have, crops larger than the images that they are
                taken from, another size than that of small images, or a split that it does not have.
        """
        self._check_views(transform_of(data, self.usual_views))
        if self.side is None and data.size > side_of(data):
            raise ValueError(f"can't crop {data.size} px from images of {side_of(data)} px: set data.size to less")
        if self.side not in (None, data.size):
            raise ValueError(
                f"data.size = {data.size}, but the images of {self.name} have {self.side} px and are shown as they "
                f"are: set data.size={self.side}"
            )
        if data.split not in self.splits:
            what, it = SPLIT_BY[data.split], SPLIT_BY[self.splits[0]]
            raise ValueError(
                f"data.split = {data.split}, but {self.name} has {what.lacking}: for {it.task} set "
                f"data.split={self.splits[0]}, for {what.task} take another data set"
            )
        if data.partition > self.partitions:
            partitions = f"1 to {self.partitions}" if self.partitions > 1 else "1 alone"
            raise ValueError(
                f"data.partition = {data.partition}, but {self.name} has {partitions}: choose one of these"
            )

    def _check_views(self, views: PhotoTransform | SmallTransform) -> None:
        if not isinstance(views, SmallTransform):
            return
        if views.jitter and self.channels == 1:
            raise ValueError(
                f"data.jitter = {views.jitter:g}, but the images of {self.name} have no colours: set it to 0"
            )
        if views.flip and self.oriented:
            raise ValueError(
                f"data.flip = true, but mirrored images of {self.name} would be of other classes: set data.flip=false"
            )
        if views.rotation >= QUARTER / 2 and self.oriented:
            raise ValueError(
                f"data.rotation = {views.rotation:g}, but images of {self.name} that are turned by a quarter are of "
                f"other classes: set it to less than {QUARTER / 2:g}"
            )

    def hint(self, data: Data, root: Path) -> str:
        """Advice where training has to decode the files again and again; "" elsewhere."""
        if self.side:
            return ""
        side, names = side_of(data), self.all_images(root)["name"].tolist()
        if decoded_path(self.originals(root, side), names, self.cache_folder(root)).exists():
            return ""
        return (
            f"no decoded images of {side} px are kept for {self.name} as it is now, so training decodes the files: "
            f"relbench data fetch {self.name} --side {side} --data {root}"
        )

    def originals(self, root: Path, side: int) -> Originals:
        """The images as they were published: files decoded on all cores that this process may use, or records."""
        records = self.records(self.folder(root))
        return records or ImageFiles(self.images(root), self.side or side, usable_cores(), self.decoding)

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
            kept = self._kept(root, self.originals(root, side), names)
            if kept:
                kept.check()

    def _kept(self, root: Path, originals: Originals, names: list[str]) -> DecodedImages | None:
        path = decoded_path(originals, names, self.cache_folder(root))
        return (
            DecodedImages(path, names, originals.side, originals.decoding, originals.channels)
            if path.exists()
            else None
        )


def photo_entry(photos: PhotoSet) -> DataSet:
    """The entry of a data set of images in files."""
    return DataSet(
        title=photos.title,
        summary=photos.summary,
        transform=type(photos.usual_views),
        channels=photos.channels,
        ks=photos.ks,
        content=photos.content,
        table=photos.table,
        load=photos.load,
        counts=photos.counts,
        licence=photos.licence,
        hint=photos.hint,
    )


def side_of(data: Data) -> int:
    """Side of the square that photos are resized to before the crop: 256 for crops of 224, if nothing else is said."""
    return transform_of(data, PhotoTransform()).side(data.size)


def in_use(table: pd.DataFrame, data: Data) -> pd.DataFrame:
    """The part of a table that the settings ask for; its images keep their order.

    The first classes of a split are those of the first names. Validation images are of other classes than training
    images, all of which stay, or, where the data are split by images, of the same. Where few images of each class are
    asked for, they are taken of those that are left for training.

    Raises:
        ValueError: classes are asked for that are not there, or other classes on one side than on the other where the
            data are split by images; or more images of each class than some class has.
    """
    if not data.hold_out:
        table = table.assign(split=table["split"].replace("validation", "train"))
    train, test = (labels_of(table, indices_of(table, split))[1] for split in ("train", "test"))
    if data.split == "images":
        kept = table["label"].isin(label_space(train, data.train_classes, data.test_classes))
    else:
        chosen = {"train": selected_classes(train, data.train_classes, "train")}
        chosen["test"] = selected_classes(test, data.test_classes, "test")
        kept = table["split"] == "validation"
        for split, classes in chosen.items():
            kept |= (table["split"] == split) & table["label"].isin(classes)
    return few_images(table[kept].reset_index(drop=True), data.train_images_per_class)


def promise(split: SplitKind) -> Sharing:
    """What the splits of a table promise of their classes."""
    return "disjoint" if split == "classes" else "shared"
