"""Published data sets: a card each, a reader of its lists, and what is published about its counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pandas as pd

from relbench.data.datasets import cars196, cifar, cinic10, cub200, dtd, inshop, omniglot, sop, tiny_imagenet
from relbench.data.datasets.mini_imagenet import reader as mini_imagenet
from relbench.data.datasets.photos import Layouts, PhotoSet, promise
from relbench.data.download.card import Card
from relbench.data.download.fetch import not_ready, state
from relbench.data.images.photos import Records
from relbench.data.parsing.annotations import Scan, read_lists
from relbench.data.table import check_counts, hold_out, hold_out_images
from relbench.experiment import Data
from relbench.plain_text import listed


class Reader(Protocol):
    """The reader of the lists of a published data set."""

    def lists(self, folder: Path) -> list[Path]:
        """The files that list the images."""
        ...

    def scan(self, folder: Path) -> Scan:
        """The listed images, and what is wrong with the lists."""
        ...


def always(reader: Reader) -> Callable[[Data], Reader]:
    """The reader of a data set that is split in a single way."""
    return lambda _: reader


READERS: dict[str, Callable[[Data], Reader]] = {
    "cub200": lambda data: cub200.ByImages() if data.split == "images" else cub200,
    "cars196": always(cars196),
    "sop": always(sop),
    "inshop": always(inshop),
    "cifar10": always(cifar.CIFAR10),
    "cifar100": always(cifar.CIFAR100),
    "tiny-imagenet": always(tiny_imagenet),
    "cinic10": always(cinic10),
    "omniglot": always(omniglot),
    "dtd": lambda data: dtd.Partition(data.partition),
    "mini-imagenet": always(mini_imagenet),
}
"""By data set: what reads its lists, as the settings want them split."""

RECORDS: dict[str, Callable[[Path], Records | None]] = {
    "cifar10": cifar.CIFAR10.records,
    "cifar100": cifar.CIFAR100.records,
    "omniglot": omniglot.Drawings,
    "mini-imagenet": mini_imagenet.records,
}
"""By data set whose images are not the files that its table names: what reads them in a folder; None where they are,
in the layout that it has."""

LAYOUTS: dict[str, Layouts] = {"mini-imagenet": mini_imagenet}
"""Data sets whose pixels depend on their layout, which is part of what a run is named by."""


def published(card: Card) -> PhotoSet:
    """The data set that a card describes."""
    return PhotoSet(
        name=card.name,
        title=card.title,
        summary=card.summary,
        ks=card.ks,
        counts=card.usual.expected.both_sides,
        licence=card.licence,
        folder=lambda root: root / card.name,
        images=lambda root: root / card.name,
        read=lambda root, data: _published_table(card, root, data),
        splits=tuple(card.splits),
        partitions=card.partitions,
        side=card.side,
        channels=card.channels,
        views=card.views,
        oriented=card.oriented,
        records=RECORDS.get(card.name, lambda _: None),
        layouts=LAYOUTS.get(card.name),
    )


def _published_table(card: Card, root: Path, data: Data) -> pd.DataFrame:
    folder = root / card.name
    if state(card, root) != "ready":
        raise ValueError(not_ready(card, root))
    table, validation = counted_table(card, folder, data), card.splits[data.split].validation
    if validation is None:
        return table
    held_out = hold_out if data.split == "classes" else hold_out_images
    return held_out(table, validation.share, validation.seed)


def counted_table(card: Card, folder: Path, data: Data) -> pd.DataFrame:
    """The table of a published data set, compared with the published counts.

    Raises:
        ValueError: the lists are damaged, incomplete, or name an image that is not there.
    """
    reader = READERS[card.name](data)
    of_records = RECORDS[card.name](folder) if card.name in RECORDS else None
    table = read_lists(reader.scan, folder, promise(data.split), of_files=of_records is None)
    check_published_counts(card, folder, table, data)
    return table


def check_published_counts(card: Card, folder: Path, table: pd.DataFrame, data: Data) -> None:
    """Compare a table with what is published about its data set.

    Raises:
        ValueError: a count differs; one line.
    """
    lists = listed([str(file.relative_to(folder)) for file in READERS[card.name](data).lists(folder)])
    expected = card.splits[data.split].expected.model_dump(exclude_none=True)
    check_counts(table, expected, f"{folder} (by {lists})")
