"""The reader of miniImageNet: its layout is found out, and is part of the hash of its content.

Pickles (B, C) hold images of 84 px. Files (A, D, E, F) may be of any size: they are resized whole to 84 x 84 px,
whatever their aspect, by PIL's bilinear filter, which averages where it shrinks (`images/photos.py`). The pixels of B
were made by OpenCV's bilinear filter, which does not average, those of public tools for D by its INTER_AREA.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from relbench.data.datasets.mini_imagenet import listed, pickles
from relbench.data.datasets.mini_imagenet.classes import known_classes
from relbench.data.datasets.mini_imagenet.folders import scan_class_folders, scan_ilsvrc
from relbench.data.datasets.mini_imagenet.layouts import check_whole, layout_in, layouts_in, letter_of
from relbench.data.download.card import packaged_card
from relbench.data.images.photos import Records
from relbench.data.parsing.annotations import Image, Scan, try_list

BGR = (
    "the images are more blue than red: they seem to be stored as BGR, and are read as RGB; compare them by eye (show)"
)
PICKLED = {form.letter: form for form in (pickles.B, pickles.C)}
SCANS: dict[str, Callable[[Path], Scan]] = {
    "A": listed.A.scan,
    "B": pickles.B.scan,
    "C": pickles.C.scan,
    "D": scan_ilsvrc,
    "E": listed.E.scan,
    "F": scan_class_folders,
}


def lists(folder: Path) -> list[Path]:
    """What lists the images, or holds them."""
    paths = {layout.name: layout.paths for layout in packaged_card("mini-imagenet").layouts}
    return [folder / path for path in paths[layout_in(folder)]]


def scan(folder: Path) -> Scan:
    """The images of the layout in a folder, and what is wrong with them.

    Labels are WordNet ids ("n01532829"), and readers are shown the first of a class's words ("house finch").

    Args:
        folder: holds what a layout of the card names.
    """
    name = yield from try_list(layout_in, folder)
    if name:
        letter, counts = letter_of(name), Counter[str | None]()
        for found in SCANS[letter](folder):
            counts.update([found.label] if isinstance(found, Image) else [])
            yield found
        for known in known_classes().values():
            yield from try_list(check_whole, folder, letter, known, counts[known.label])


def records(folder: Path) -> Records | None:
    """The pixels of a folder's pickles; None where images are files, or the layout is not clear."""
    found = layouts_in(folder)
    form = PICKLED.get(letter_of(found[0])) if len(found) == 1 else None
    return form.records(folder) if form else None


def layout(folder: Path) -> str:
    """The letter of the layout; ValueError where there is none, or more than one."""
    return letter_of(layout_in(folder))


def notes(folder: Path) -> list[str]:
    """What whoever uses the folder should know: its layout, what is left out, whether colours seem to be reversed."""
    name = layout_in(folder)
    form = PICKLED.get(letter_of(name))
    there = [name for name in (form.left_out if form else ()) if (folder / name).exists()]
    left_out = [f"left out, as they hold other images of the training classes: {', '.join(there)}"] if there else []
    bgr = [BGR] if form and form.seems_bgr(folder) else []
    return [f"layout {name}; other layouts have other pixels, and their numbers are not the same", *left_out, *bgr]
