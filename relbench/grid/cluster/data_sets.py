"""Data sets on nodes: each is made ready once, and must be the driver's to the last bit before a run sees it."""

import os
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from relbench.data import find_data_set, find_photos, find_rendered
from relbench.data.datasets.added import added_names
from relbench.data.datasets.photos import side_of
from relbench.data.download.card import card_names, packaged_card
from relbench.data.download.fetch import ManualStepsError, fetch, not_ready
from relbench.data.images.decoded import decoded_images
from relbench.data.images.decoded_folder import folder_to_fill
from relbench.experiment import Data
from relbench.grid.cluster.work_folder import folder_of_this_user
from relbench.locks import lock

VARIABLE = "RELBENCH_NODE_DATA"


@dataclass(frozen=True)
class Images:
    """The images of a run, by their hashes.

    Attributes:
        content: of the data set: which images, which classes, which split.
        data_hash: of those in use, as in a row.
        decoded: whether they need not be decoded in each run; no matter where images are compared.
    """

    content: str
    data_hash: str
    decoded: bool = field(default=True, compare=False)


def images_of(data: Data, root: Path) -> Images:
    """The images as they are on this machine.

    Args:
        data: the settings.
        root: the folder of all data sets.

    Raises:
        ValueError: the data set is not there, or damaged.
        OSError: it can't be read, or not be written where it is rendered.
    """
    data_set = find_data_set(data.name, root)
    source = data_set.load(data, root, iter)
    return Images(source.content, source.data_hash, not data_set.hint(data, root))


class ImagesHere:
    """The images of the driver, at which it looks once for all jobs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the first jobs come at once
        self._known: dict[Data, Images] = {}

    def of(self, data: Data, root: Path) -> Images:
        """As `images_of`."""
        with self._lock:
            if data not in self._known:
                self._known[data] = images_of(data, root)
            return self._known[data]


def folder_here(root: Path) -> Path:
    """The folder of all data sets on this node: the driver's path, if the node's variable names no other.

    Args:
        root: the driver's.
    """
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser().absolute() if named else root


@cache
def make_ready(data: Data, root: Path, wanted: Images) -> None:
    """Fetch or render what is not there, and compare it with the driver's; keep photos decoded where the driver does.

    Where several processes of this node come at once, one of them does it, and the others wait; where several nodes
    see the same folder, one fetches. A process looks at images once.

    Args:
        data: the settings.
        root: the folder of all data sets on this node.
        wanted: what the driver has.

    Raises:
        ValueError: it can't be had, or is not the same; one line.
        OSError: the disk is full, or can't be written.
    """
    folder = folder_of_this_user() / "data"
    folder.mkdir(exist_ok=True)
    with lock(folder, wait=True):
        _have(data, root)
        found = images_of(data, root)
        if found != wanted:
            raise ValueError(
                f"{data.name} in {root} has other images, classes or splits than that of the command: put a copy there"
            )
        if wanted.decoded and not found.decoded:
            _keep_decoded(data, root)


def _have(data: Data, root: Path) -> None:
    """Fetch what can be fetched; what can be rendered is when it is loaded."""
    if data.name in card_names():
        _fetch(data.name, root)
    elif not find_rendered(data.name) and data.name not in added_names(root):
        raise ValueError(
            f"{data.name} was added on the machine of the command, and is not in {root}: let --data be a folder that "
            "all nodes see, with the images in it"
        )


def _fetch(name: str, root: Path) -> None:
    card = packaged_card(name)
    try:
        fetch(card, root, lambda _what, _done, _total: None, wait=True)
    except ManualStepsError:
        raise ValueError(f"{not_ready(card, root)}, or let --data be a folder that all nodes see") from None


def _keep_decoded(data: Data, root: Path) -> None:
    photos = find_photos(data.name, root)
    names, folder = photos.all_images(root)["name"].tolist(), photos.cache_folder(root)
    decoded_images(photos.originals(root, side_of(data)), names, folder_to_fill(folder, None))
