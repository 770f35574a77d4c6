"""The interface of a data set: what experiments, estimates and lists need of it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from relbench.data.glyphs.views import Views
from relbench.data.table import ImageSource, Progress
from relbench.experiment import Data
from relbench.transforms import TRANSFORM_OF, Transform

TransformType = TypeVar("TransformType", bound=Transform)


@dataclass(frozen=True)
class DataSet:
    """A data set as the rest of relbench sees it; paths are those of the folder of all data sets.

    Attributes:
        title: its name for readers.
        summary: one line.
        transform: the kind of views that it makes.
        channels: of its images.
        ks: the Ks of Recall@K that are usual for it.
        content: the hash of its images, classes and split.
        table: the images in use, without a look at their pixels.
        load: the source of the images.
        hint: what would make it faster; "" if nothing would.
        class_name: a label as readers know it.
        views: the maker of views, where images are rendered rather than read; it takes grey pictures.
        oversize: the side of these pictures, as a multiple of the views'.
        counts: classes and images on the two sides; validation counts as training. Keys as in `table.counts`.
        licence: that of its images; "" for those that a user added.
    """

    title: str
    summary: str
    transform: type[Transform]
    channels: int
    ks: tuple[int, ...]
    content: Callable[[Path], str]
    table: Callable[[Data, Path], pd.DataFrame]
    load: Callable[[Data, Path, Progress], ImageSource]
    counts: Mapping[str, int]
    licence: str = ""
    hint: Callable[[Data, Path], str] = lambda _data, _root: ""
    class_name: Callable[[str], str] = str
    views: Callable[[Data], Views] | None = None
    oversize: int = 1


def transform_of(data: Data, usual: TransformType) -> TransformType:
    """The views that the settings ask for; the usual ones where they ask for none.

    Args:
        data: the settings.
        usual: the data set's usual views, of the kind that it makes.

    Raises:
        ValueError: the settings ask for views of another kind; one line.
    """
    asked = usual if data.transform is None else data.transform
    if not isinstance(asked, type(usual)):
        other = type(asked)
        names = [name for name, its in TRANSFORM_OF.items() if its is other]
        name = next((name for name in names if getattr(asked, name) != getattr(other(), name)), names[0])
        value = json.dumps(getattr(asked, name))
        raise ValueError(f"data.{name} = {value} is for {asked.kind}: {data.name} has no such setting")
    return asked
