"""The part of a table that settings ask for: some of its classes, and some of the training images of each."""

import hashlib
from collections.abc import Sequence
from difflib import get_close_matches

import pandas as pd

SEED_OF_FEW = 0  # of the images that `few_images` leaves: it is no setting, so that all runs agree


def selected_classes(classes: Sequence[str], selection: int | Sequence[str] | None, which: str) -> list[str]:
    """The classes of a split that are in use.

    Args:
        classes: of the split, in its order.
        selection: the number of the first ones, or their names; None for all.
        which: the split, as settings call it.

    Returns:
        The first classes in the order of the split, or the named ones in theirs.

    Raises:
        ValueError: there are fewer, or none of a name; or names are repeated or none is given.
    """
    key, known = f"data.{which}_classes", set(classes)
    if selection is None or isinstance(selection, int):
        if selection is not None and selection > len(classes):
            raise ValueError(f"{key} = {selection}, but there are {len(classes)}: ask for fewer")
        return list(classes[:selection])
    unknown = next((name for name in selection if name not in known), None)
    if unknown is not None:
        near = get_close_matches(unknown, classes, n=3) or classes[:3]
        raise ValueError(f"{key}: no class is named {unknown!r}: take names such as {', '.join(near)}")
    if not selection or len(set(selection)) != len(selection):
        raise ValueError(f"{key} = {', '.join(selection) or 'none'}: name at least one class, each once")
    return list(selection)


def label_space(
    classes: Sequence[str], train_classes: int | Sequence[str] | None, test_classes: int | Sequence[str] | None
) -> list[str]:
    """The classes in use where training and test have the same.

    Args:
        classes: all of them, in their order.
        train_classes: what is asked for in training, as in `selected_classes`.
        test_classes: likewise in the test.

    Raises:
        ValueError: as `selected_classes`; or the two ask for different classes.
    """
    trained = selected_classes(classes, train_classes, "train")
    if set(trained) != set(selected_classes(classes, test_classes, "test")):
        raise ValueError(
            "data.train_classes and data.test_classes choose different classes, but with data.split = images training "
            "and test have the same: set both alike"
        )
    return trained


def few_images(table: pd.DataFrame, count: int | None) -> pd.DataFrame:
    """The table with so many training images of each class; all other images stay, and lines keep their order.

    A class's images are taken in the order of the SHA-256 of "SEED NAME", as text: a random order that follows from
    the names alone. So a class's 5 images are among its 10, they are the same whichever classes are in use, and those
    of all networks, whatever the seed of a run.

    Args:
        table: with what is validated on held out already, or trained on.
        count: of the training images of each class; None for all.

    Raises:
        ValueError: a class has fewer; one line that names it.
    """
    if count is None:
        return table
    train = table[table["split"] == "train"]
    there = train.groupby("label", sort=True).size()
    if (there < count).any():
        raise ValueError(
            f"data.train_images_per_class = {count}, but class {there.index[there < count][0]!r} has "
            f"{there[there < count].iloc[0]} to train on: ask for {there.min()} or fewer"
        )
    order = train["name"].map(_random_order).sort_values().index
    kept = train.loc[order].groupby("label").head(count).index
    return table[(table["split"] != "train") | table.index.isin(kept)].reset_index(drop=True)


def _random_order(name: str) -> str:
    return hashlib.sha256(f"{SEED_OF_FEW} {name}".encode()).hexdigest()
