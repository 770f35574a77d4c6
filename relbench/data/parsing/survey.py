"""Lists and tables of images read to their ends, whatever is wrong with them: to name every fault."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relbench.data.parsing.annotations import Image, Scan, table_of
from relbench.data.table import Sharing


@dataclass(frozen=True)
class Survey:
    """What lists or a table say.

    Attributes:
        faults: one line for each.
        images: name and place of each image that is named.
        table: the checked table, where nothing is wrong; whether the images are there has not been looked at.
    """

    faults: list[str]
    images: list[tuple[str, str]]
    table: pd.DataFrame | None = None


def survey(folder: Path, scan: Scan, classes: Sharing = "disjoint", *, complete: bool = True) -> Survey:
    """All that is wrong with lists, and all images that they name.

    Args:
        folder: what the names are relative to.
        scan: of the lists.
        classes: what the splits promise.
        complete: all lists are there. Otherwise contradictions between them say nothing.
    """
    images: list[Image] = []
    faults: list[str] = []
    for found in scan:
        if isinstance(found, Image):
            images.append(found)
        elif found.of_line or (complete and not faults):
            faults.append(found.words)
    named = [(image.name, image.line.place) for image in images]
    if faults or not complete:
        return Survey(faults, named)
    return checked_survey(named, lambda: table_of(folder, images, classes)[0])


def checked_survey(images: list[tuple[str, str]], table: Callable[[], pd.DataFrame]) -> Survey:
    """The survey of images that were read without a fault, and whose table may still be refused."""
    try:
        return Survey([], images, table())
    except ValueError as error:
        return Survey([str(error)], images)
