"""Data sets by name: each as a checked table and a source of images."""

from functools import cache
from pathlib import Path

from relbench.data.data_set import DataSet, transform_of
from relbench.data.datasets.added import added_names, added_set, read_added
from relbench.data.datasets.photos import PhotoSet, photo_entry
from relbench.data.datasets.published import published
from relbench.data.datasets.rendered import RENDERED
from relbench.data.download.card import card_names, packaged_card
from relbench.data.table import Progress
from relbench.experiment import Data
from relbench.lookup import lookup
from relbench.transforms import PhotoTransform, SmallTransform, Transform

__all__ = [
    "DataSet",
    "Progress",
    "data_set_names",
    "data_title",
    "find_data_set",
    "find_photos",
    "find_rendered",
    "resolve_transform",
    "seen_by",
    "seen_in",
    "shown_at",
]


def data_set_names(root: Path) -> list[str]:
    """Those that need no files, those with a card, and those that were added to a folder."""
    return [*RENDERED, *_photo_names(root)]


def _photo_names(root: Path) -> list[str]:
    return [*card_names(), *added_names(root)]


def find_data_set(name: str, root: Path) -> DataSet:
    """A data set by its name.

    Raises:
        ValueError: there is none, or the record of an added data set is damaged.
    """
    lookup(name, data_set_names(root), "data set")
    return find_rendered(name) or photo_entry(find_photos(name, root))


def find_rendered(name: str) -> DataSet | None:
    """A data set that makes its images, by its name; None where images are read from files."""
    return RENDERED.get(name)


def find_photos(name: str, root: Path) -> PhotoSet:
    """A data set of images in files by its name, published or added.

    Raises:
        ValueError: there is none, or the record of an added data set is damaged.
    """
    if lookup(name, _photo_names(root), "data set") in card_names():
        return published(packaged_card(name))
    return added_set(read_added(name, root))


def data_title(name: str) -> str:
    """A data set as readers know it: by its published title, or by the name under which it was added."""
    rendered = find_rendered(name)
    return rendered.title if rendered else packaged_card(name).title if name in card_names() else name


def resolve_transform(data: Data) -> Transform:
    """The views that the settings ask for; the data set's usual views where they ask for none.

    Raises:
        ValueError: they ask for views that the data set does not make; one line.
    """
    rendered = find_rendered(data.name)
    return transform_of(data, rendered.transform() if rendered else _usual_views_of_files(data.name))


@cache  # asked for every row of a report; cards stay as they are
def _usual_views_of_files(name: str) -> PhotoTransform | SmallTransform:
    return published(packaged_card(name)).usual_views if name in card_names() else PhotoTransform()


@cache
def seen_by(name: str) -> tuple[str, ...]:
    """Pretrained weights whose training images have the classes of a data set's test, where these should be new."""
    return packaged_card(name).seen_by if name in card_names() else ()


@cache
def seen_in(name: str) -> tuple[str, ...]:
    """Published data sets whose training images have some classes of a data set's test, where these should be new."""
    return packaged_card(name).seen_in if name in card_names() else ()


def shown_at(data: Data) -> str:
    """The size of test images, and what they are cut from or how they are distorted."""
    return f"{data.size} px ({resolve_transform(data).in_words(data.size)})"
