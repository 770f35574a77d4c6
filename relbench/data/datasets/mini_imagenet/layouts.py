"""The layout in which miniImageNet lies in a folder. Pixels differ between layouts, so each number belongs to one."""

from pathlib import Path

from relbench.data.datasets.mini_imagenet.classes import Known, known_classes
from relbench.data.download.card import packaged_card
from relbench.data.parsing.annotations import Line, shortened


def layouts_in(folder: Path) -> list[str]:
    """Names of the layouts of which everything is there, as the card has them: a letter, a colon, and what it is."""
    card = packaged_card("mini-imagenet")
    return [layout.name for layout in card.layouts if all((folder / path).exists() for path in layout.paths)]


def layout_in(folder: Path) -> str:
    """The name of the only layout in a folder.

    Raises:
        ValueError: there are several, or none.
    """
    found = layouts_in(folder)
    if len(found) != 1:
        what = " and in ".join(f"layout {name}" for name in found) or "no layout that is known"
        raise ValueError(f"{folder} holds mini-imagenet in {what}: leave one there, whole, and move the others away")
    return found[0]


def letter_of(layout: str) -> str:
    """The letter that messages call a layout by."""
    return layout.partition(":")[0]


def known_class(line: Line, label: str, split: str, letter: str) -> Known:
    """The class that a line of a split names.

    Raises:
        ValueError: Ravi's split has no such class, or has it elsewhere.
    """
    if why := misplaced(label, split):
        raise line.refused(f"layout {letter}: {why}")
    return known_classes()[label]


def misplaced(label: str, split: str) -> str:
    """Why a split can't have a class; "" where it is one of its own."""
    known = known_classes().get(label)
    if known is None:
        return f"{shortened(label)} is no class of Ravi's split"
    if known.split != split:
        return f"the class {label} is for {known.split} in Ravi's split, not for {split}"
    return ""


def check_whole(folder: Path, letter: str, known: Known, count: int) -> None:
    """Refuse a number of images of a class that is not the published one."""
    there = len(known.images)
    if count != there:
        what = f"has {count} images instead of {there}" if count else "is missing"
        raise ValueError(
            f"layout {letter} in {folder}: the class {known.label} ({known.name}, for {known.split}) {what}: take all "
            "its images, and no others"
        )
