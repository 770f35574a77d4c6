"""The number of images that a run sees: from the data set's table, or before it is there from the published counts."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relbench.data import find_data_set, find_photos
from relbench.data.download.card import Card, Split, card_names, packaged_card
from relbench.data.download.fetch import state
from relbench.data.table import indices_of, labels_of
from relbench.experiment import ClassSelection, Data

TEXT = 400  # bytes of an image's name and label, where they are not known yet: as many as for the published photos
CHARACTER = 4  # bytes, as numpy keeps text


@dataclass(frozen=True)
class ImageCounts:
    """What a run's settings take of a data set.

    Attributes:
        classes: of the training images.
        train: images.
        validation: images; 0 where training takes them, too.
        test: images.
        test_classes: of the test images.
        channels: of each image.
        text: bytes that the name and the label of a test image take beside its embedding.
    """

    classes: int
    train: int
    validation: int
    test: int
    test_classes: int
    channels: int
    text: int


def image_counts(data: Data, folder: Path) -> ImageCounts:
    """Count the images; of a published data set that is not there yet, as its card says.

    Where only the card is known and a run takes the first classes alone, these are taken to be of the usual size.

    Args:
        data: the settings.
        folder: where data sets live.

    Raises:
        ValueError: there is no such data set, it is damaged, or it is not there and can't have the settings.
    """
    data_set = find_data_set(data.name, folder)
    if not is_there(data, folder):
        find_photos(data.name, folder).check(data)
        return _of_card(packaged_card(data.name), data, data_set.channels)
    return _of_table(data_set.table(data, folder), data_set.channels)


def is_there(data: Data, folder: Path) -> bool:
    """Whether a data set has its table; a published data set can be planned with before it is fetched."""
    return data.name not in card_names() or state(packaged_card(data.name), folder) == "ready"


def _of_card(card: Card, data: Data, channels: int) -> ImageCounts:
    there = card.splits[data.split].expected
    classes, train, validation = (_by_classes if data.split == "classes" else _by_images)(card, data)
    test = _first(data.test_classes, there.test_classes)
    return ImageCounts(
        classes=classes,
        train=train,
        validation=validation,
        test=round(there.test_images * test / there.test_classes),
        test_classes=test,
        channels=channels,
        text=TEXT,
    )


def _by_classes(card: Card, data: Data) -> tuple[int, int, int]:
    """Training classes, their images, and those of the classes that are held out."""
    there, held_out = card.splits["classes"].expected, _held_out(card.splits["classes"]) if data.hold_out else 0
    classes, of_class = (
        _first(data.train_classes, there.train_classes - held_out),
        there.train_images / there.train_classes,
    )
    return classes, _few(data, classes, round(of_class * classes)), round(of_class * held_out)


def _held_out(split: Split) -> int:
    """Validation classes: those of the data set's lists, or a share of the training classes."""
    there, validation = split.expected, split.validation
    return max(1, round(validation.share * there.train_classes)) if validation else there.validation_classes or 0


def _by_images(card: Card, data: Data) -> tuple[int, int, int]:
    """Training classes, the images of theirs that are trained on, and those that are held out."""
    there, validation = card.splits["images"].expected, card.splits["images"].validation
    classes = _first(data.train_classes, there.train_classes)
    images = round(there.train_images * classes / there.train_classes)
    share = validation.share if validation else (there.validation_images or 0) / there.train_images
    held_out = round(share * images) if data.hold_out else 0
    return classes, _few(data, classes, images - held_out), held_out


def _few(data: Data, classes: int, images: int) -> int:
    """The training images that are left of so many where few of each class are trained on."""
    asked = data.train_images_per_class
    return images if asked is None else min(asked * classes, images)


def _of_table(table: pd.DataFrame, channels: int) -> ImageCounts:
    train, validation, test = (indices_of(table, split) for split in ("train", "validation", "test"))
    return ImageCounts(
        classes=len(labels_of(table, train)[1]),
        train=len(train),
        validation=len(validation),
        test=len(test),
        test_classes=len(labels_of(table, test)[1]),
        channels=channels,
        text=CHARACTER * int(sum(table[column].iloc[test].str.len().max() for column in ("name", "label"))),
    )


def _first(asked: ClassSelection | None, there: int) -> int:
    if asked is None:
        return there
    return min(asked if isinstance(asked, int) else len(asked), there)
