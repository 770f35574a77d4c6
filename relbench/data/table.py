"""The one form every data set takes: a checked table of images, and a source of their pixels."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
COLUMNS = ("name", "label", "split")


def checked(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table if it can be trained on and evaluated, else refuse it.

    Args:
        table: one line an image; columns `name` (unique text: a path or the like), `label` (text: the class) and
            `split` ("train", "validation" or "test").

    Raises:
        ValueError: a column is missing, a value is missing or not text, a name stands twice, a split is unknown or
            empty, or a class lies in two splits (the protocol is zero-shot: test classes are never seen in training).
    """
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise ValueError(f"the table of images lacks the column {missing[0]!r}: it needs {', '.join(COLUMNS)}")
    for column in COLUMNS:
        _refuse(table[column].isna(), table, f"has no {column}")
        _refuse(~table[column].map(lambda value: isinstance(value, str)), table, f"has a {column} that is not text")
    _refuse(table["name"].duplicated(), table, "stands twice")
    _refuse(~table["split"].isin(SPLITS), table, f"has a split that is none of {', '.join(SPLITS)}")
    _check_splits(table)
    return table.reset_index(drop=True)


def _refuse(bad: "pd.Series[bool]", table: pd.DataFrame, why: str) -> None:
    if bad.any():
        line = int(np.flatnonzero(bad)[0])
        raise ValueError(f"image {table['name'].iloc[line]!r} (line {line} of the table) {why}: mend the table")


def _check_splits(table: pd.DataFrame) -> None:
    for split in SPLITS:
        if not (table["split"] == split).any():
            raise ValueError(f"no image is in the split {split!r}: every split needs some")
    splits = table.groupby("label")["split"].nunique()
    if (splits > 1).any():
        raise ValueError(f"class {splits.idxmax()!r} lies in more than one split: splits must share no class")


@dataclass(frozen=True)
class Shape:
    """What a network is fed: channels and the side in pixels."""

    channels: int
    size: int


class ImageSource(Protocol):
    """Images by their line in the table; all a task needs to know of a data set."""

    table: pd.DataFrame
    shape: Shape
    content: str  # hash of the manifest: which images, which split
    data_hash: str  # hash of pixels, labels and split as they are on this machine

    def train_batch(self, lines: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Randomly distorted views, float32 in [0, 1], shape (len(lines), channels, size, size)."""
        ...

    def test_batch(self, lines: torch.Tensor) -> torch.Tensor:
        """The views for evaluation: always the same for the same line; shape and range as in training."""
        ...


def lines_of(table: pd.DataFrame, split: str) -> NDArray[np.int64]:
    """Lines of the table that belong to a split."""
    return np.flatnonzero(table["split"] == split)


def labels_of(table: pd.DataFrame, lines: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
    """Class numbers 0..C-1 of the lines, and the classes' names in that order (sorted)."""
    names, numbers = np.unique(table["label"].to_numpy(dtype=str)[lines], return_inverse=True)
    return numbers.astype(np.int64), [str(name) for name in names]


def table_hash(table: pd.DataFrame, *parts: bytes) -> str:
    """Hash of names, labels, splits and whatever else makes up the data (say, pixels)."""
    digest = hashlib.sha256(table[list(COLUMNS)].to_csv(index=False, lineterminator="\n").encode())
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def first_classes(classes: Sequence[str], count: int | None, which: str) -> list[str]:
    """The first `count` classes of a split, or all.

    Raises:
        ValueError: there are fewer.
    """
    if count is not None and count > len(classes):
        raise ValueError(f"data.{which}_classes = {count}, but there are {len(classes)}: ask for fewer")
    return list(classes[:count])
