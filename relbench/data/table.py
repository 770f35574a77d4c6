"""The form that every data set takes: a checked table of images, and a source of their pixels."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from relbench.lookup import meant

SPLITS = ("train", "validation", "test")
COLUMNS = ("name", "label", "split")
OTHER_SPLITS = {"training": "train", "testing": "test"} | dict.fromkeys(("val", "valid", "dev"), "validation")
Progress = Callable[[Iterable[str]], Iterable[str]]  # wraps names of what is made ready, for a progress bar
CLASS_NAME = "class_name"  # optional column: what readers are shown in place of the label
ROLES = ("query", "gallery")  # optional columns; without them every test image is both
Sharing = Literal["disjoint", "shared", "overlapping"]
"""What splits promise of their classes: none in common, all in common, or neither of these."""


def checked(
    table: pd.DataFrame,
    *,
    needs_validation: bool = True,
    classes: Sharing = "disjoint",
    where: str = "the table of images",
    place: Callable[[int], str] = "line {} of the table".format,
) -> pd.DataFrame:
    """Return the table if it can be trained on and evaluated, else refuse it.

    Args:
        table: one row per image; columns `name` (unique text: a path or the like), `label` (text: the class) and
            `split` ("train", "validation" or "test"). Optional columns `query` and `gallery` (true or false) say which
            test images look for others, and among which; on other lines they are ignored, and come back false.
        needs_validation: refuse a table without validation images.
        classes: what its splits promise; a task says what it needs (`relbench.tasks`).
        where: what a message calls the table.
        place: what a message calls a line of it, given its number from 0.

    Raises:
        ValueError: a column is missing, a value is missing or of the wrong kind, a name occurs twice, a split is
            unknown or empty, no test image is a query (or none in the gallery), or the splits break their promise.
    """
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise ValueError(f"{where} lacks the column {missing[0]!r}: it needs {', '.join(COLUMNS)}")
    table = table.reset_index(drop=True)
    for column in COLUMNS:
        _refuse(table[column].isna(), table, place, f"has no {column}")
        _refuse(
            ~table[column].map(lambda value: isinstance(value, str)), table, place, f"has a {column} that is not text"
        )
    null = table["label"].str.contains("\0", regex=False)
    _refuse(null, table, place, "has a label with a null character")  # at a label's end numpy would drop it
    _refuse(table["name"].duplicated(), table, place, "occurs twice")
    unknown = ~table["split"].isin(SPLITS)
    _refuse(unknown, table, place, f"has a split that is none of {', '.join(SPLITS)}{_split_hint(table[unknown])}")
    needed = SPLITS if needs_validation else ("train", "test")
    _check_splits(table, needed, where)
    check_classes(table, classes, place)
    return table.assign(**{role: _role(table, role, where, place) for role in ROLES if role in table})


def _refuse(bad: "pd.Series[bool]", table: pd.DataFrame, place: Callable[[int], str], why: str) -> None:
    if bad.any():
        line = int(np.flatnonzero(bad)[0])
        raise ValueError(f"image {table['name'].iloc[line]!r} ({place(line)}) {why}: correct the table")


def _split_hint(unknown: pd.DataFrame) -> str:
    """What the first unknown split may mean."""
    first = unknown["split"].iloc[0] if len(unknown) else ""
    split = meant_split(first)
    return f" ({first!r}: did you mean {split!r}?)" if split else ""


def meant_split(word: str) -> str | None:
    """The split that somebody nearly wrote, or wrote in another word for it."""
    return meant(word, SPLITS, OTHER_SPLITS)


def _check_splits(table: pd.DataFrame, needed: Sequence[str], where: str) -> None:
    for split in needed:
        if not (table["split"] == split).any():
            raise ValueError(f"{where} has no image in the split {split!r}: every split needs some")


def check_classes(
    table: pd.DataFrame, classes: Sharing, place: Callable[[int], str] = "line {} of the table".format
) -> None:
    """Refuse a table whose splits do not have the classes that they promise, or that a task needs.

    Args:
        table: with known splits.
        classes: "disjoint" where no class may lie in two splits, as for tasks that are measured on classes which
            training never showed; "shared" where all splits must have the same classes, which then have the same
            numbers in each (see `labels_of`); "overlapping" where they may have any.
        place: what a message calls a line of it, given its number from 0.

    Raises:
        ValueError: a class lies in two splits, or is missing from one; one line that names it.
    """
    if classes == "disjoint":
        _refuse_shared_class(table, place)
    if classes == "shared":
        _refuse_missing_class(table, place)


def _refuse_shared_class(table: pd.DataFrame, place: Callable[[int], str]) -> None:
    first = table.groupby("label")["split"].transform("first")
    shared = np.flatnonzero(table["split"] != first)
    if len(shared):
        label, split = table.loc[shared[0], ["label", "split"]]
        raise ValueError(
            f"class {label!r} lies in {first[shared[0]]!r} and, by image {table.loc[shared[0], 'name']!r} "
            f"({place(int(shared[0]))}), in {split!r}: splits must share no class"
        )


def _refuse_missing_class(table: pd.DataFrame, place: Callable[[int], str]) -> None:
    splits = {label: set(found) for label, found in table.drop_duplicates(["label", "split"]).groupby("label")["split"]}
    every = [split for split in SPLITS if (table["split"] == split).any()]
    missing = table["label"].isin([label for label, found in splits.items() if len(found) < len(every)])
    if missing.any():
        line = int(np.flatnonzero(missing)[0])
        name, label, split = (str(table[column].iloc[line]) for column in COLUMNS)
        lacking = next(other for other in every if other not in splits[label])
        raise ValueError(
            f"class {label!r} lies in {split!r}, by image {name!r} ({place(line)}), but not in {lacking!r}: "
            "splits must have the same classes"
        )


def _role(table: pd.DataFrame, role: str, where: str, place: Callable[[int], str]) -> "pd.Series[bool]":
    """Which lines have the role, as plain booleans."""
    test = table["split"] == "test"
    plain = table[role].map(lambda value: isinstance(value, (bool, np.bool_)))
    _refuse(test & ~plain, table, place, f"has a {role} that is neither true nor false")
    values = pd.Series([bool(value) if seen else False for value, seen in zip(table[role], test, strict=True)])
    if not values.any():
        raise ValueError(f"{where} has no test image with {role} = true: some must be")
    return values


@dataclass(frozen=True)
class Shape:
    """The shape of a network's input: channels and the side in pixels."""

    channels: int
    size: int


class ImageSource(Protocol):
    """Images by their row in the table; all a task needs to know of a data set."""

    table: pd.DataFrame
    shape: Shape
    content: str  # hash of the manifest: which images, which split
    data_hash: str  # hash of names, labels and split, and of the pixels (photos: of the files' sizes), on this machine

    def train_batch(
        self, indices: torch.Tensor, generator: torch.Generator, only: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Random views, shape (len(indices), channels, size, size): float32 in [0, 1], or uint8 to be scaled later.

        Args:
            indices: of the batch's images.
            generator: the source of all random numbers, which are drawn for the whole batch.
            only: places in the batch of the images whose views are made, at the cost of these alone; None for all. They
                are equal to those of the whole batch at these places, to the last bit.
        """
        ...

    def test_batch(self, indices: torch.Tensor) -> torch.Tensor:
        """The views for evaluation: always the same for the same line; shape and range as in training."""
        ...


def class_names(table: pd.DataFrame) -> dict[str, str]:
    """The names that readers are shown in place of labels; two classes of the same `class_name` keep both."""
    if CLASS_NAME not in table:
        return {}
    named = table.loc[table[CLASS_NAME].notna(), ["label", CLASS_NAME]].drop_duplicates("label")
    twice = named[CLASS_NAME].duplicated(keep=False)
    shown = named[CLASS_NAME].mask(twice, named[CLASS_NAME] + " (" + named["label"] + ")")
    return dict(zip(named["label"], shown, strict=True))


def indices_of(table: pd.DataFrame, split: str) -> NDArray[np.int64]:
    """Rows of the table that belong to a split."""
    return np.flatnonzero(table["split"] == split)


def labels_of(table: pd.DataFrame, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
    """Class numbers 0..C-1 of the indices, and the classes' names in that order (sorted)."""
    names, numbers = np.unique(table["label"].to_numpy(dtype=str)[indices], return_inverse=True)
    return numbers.astype(np.int64), [str(name) for name in names]


def table_hash(table: pd.DataFrame, parts: Iterable[bytes] = ()) -> str:
    """Hash of names, labels, splits, roles (if any) and whatever else makes up the data (say, pixels)."""
    columns = [*COLUMNS, *(role for role in ROLES if role in table)]
    digest = hashlib.sha256(table[columns].to_csv(index=False, lineterminator="\n").encode())
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def hold_out(table: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Move a random share of the training classes, with all their images, to validation.

    The class names are sorted as text and permuted by `numpy.random.default_rng(seed)`; the first
    `round(share * classes)` of them are held out, at least one. The indices keep their order.

    Args:
        table: a checked table without validation classes.
        share: of the training classes, between 0 and 1.
        seed: of the permutation.

    Raises:
        ValueError: the share is not between 0 and 1, there are validation classes already, or no training class would
            be left.
    """
    _check_hold_out(table, share, "classes")
    _, classes = labels_of(table, indices_of(table, "train"))
    count = max(1, round(share * len(classes)))
    if count >= len(classes):
        raise ValueError(
            f"{count} of {len(classes)} training classes for validation leave none to train on: hold out fewer"
        )
    order = np.random.default_rng(seed).permutation(len(classes))
    held = table["label"].isin([classes[at] for at in order[:count]])
    return table.assign(split=table["split"].mask(held, "validation"))


def hold_out_images(table: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Move a random share of each training class's images to validation, so that both have the same classes.

    `numpy.random.default_rng(seed)` permutes the images of one class after the other, in the order of the sorted class
    names, each class's images in the order of their sorted names; the first `round(share * images)` of a class are held
    out, at least one, and at least one stays. The indices keep their order.

    Args:
        table: a checked table without validation images.
        share: of each class's training images, between 0 and 1.
        seed: of the permutations.

    Raises:
        ValueError: the share is not between 0 and 1, there are validation images already, or a class has a single
            training image.
    """
    _check_hold_out(table, share, "images")
    generator, split = np.random.default_rng(seed), table["split"].copy()
    for label, images in table[split == "train"].sort_values("name").groupby("label", sort=True).groups.items():
        if len(images) < 2:
            raise ValueError(
                f"class {label!r} has 1 training image, so none can be held out for validation: add images of it"
            )
        held = min(max(1, round(share * len(images))), len(images) - 1)
        split[generator.permutation(images)[:held]] = "validation"
    return table.assign(split=split)


def _check_hold_out(table: pd.DataFrame, share: float, what: str) -> None:
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} of the training {what} cannot be held out: choose one between 0 and 1")
    if len(indices_of(table, "validation")):
        raise ValueError(f"the table has validation {what} already: hold out none")


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Classes and images on the two sides of a checked table; validation counts as training.

    Returns:
        "train_classes", "train_images", "test_classes", "test_images", "queries" and "gallery".
    """
    test = table[table["split"] == "test"]
    train = table[table["split"] != "test"]
    return {
        "train_classes": train["label"].nunique(),
        "train_images": len(train),
        "test_classes": test["label"].nunique(),
        "test_images": len(test),
        "queries": int(test["query"].sum()) if "query" in test else len(test),
        "gallery": int(test["gallery"].sum()) if "gallery" in test else len(test),
    }


def check_counts(table: pd.DataFrame, expected: Mapping[str, int], where: str) -> None:
    """Compare a checked table with the published counts.

    Args:
        table: a checked table.
        expected: some or all of the keys of `counts`, of "validation_images" and "validation_classes".
        where: what the message calls the table.

    Raises:
        ValueError: counts differ (all of them are named), or a count is unknown.
    """
    validation = table[table["split"] == "validation"]
    found = counts(table) | {
        "validation_images": len(validation),
        "validation_classes": validation["label"].nunique(),
    }
    unknown = sorted(set(expected) - set(found))
    if unknown:
        raise ValueError(f"{where}: there is no count {unknown[0]!r}: take {', '.join(found)}")
    wrong = [f"{key} is {found[key]}, not {count}" for key, count in expected.items() if found[key] != count]
    if wrong:
        raise ValueError(f"{where} is not the published data: {'; '.join(wrong)}: get the data again")


def roles_of(table: pd.DataFrame, indices: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which images are queries, and which are in the gallery: all, where the table or this split doesn't tell."""
    masks = [table[role].to_numpy(dtype=bool)[indices] if role in table else None for role in ROLES]
    query, gallery = (np.ones(len(indices), bool) if mask is None or not mask.any() else mask for mask in masks)
    return query, gallery
