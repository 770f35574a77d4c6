"""Two sets of embeddings of the same images: checked to be so, and brought into one order."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench.evaluation.knn.points import Integers
from relbench.evaluation.retrieval import check_labels
from relbench.evaluation.stored import Stored

Array = NDArray[Any]


def aligned(stored: Stored, other: Stored, called: Sequence[str]) -> Stored:
    """Embeddings in the order of others, of the same images.

    Where both have names of images, rows are brought into the order of the other's names; else they must be in the same
    order already, which their labels must not contradict.

    Args:
        stored: Embeddings, and what belongs to them.
        other: Of the same images, by another network; of its arrays, all but the embeddings are used.
        called: What a message names the first and the second.

    Returns:
        The first, each row of the same image as the other's.

    Raises:
        ValueError: Another number of images, other images by their names, or images of another class, or with other
            masks; one line that names the first difference.
    """
    _refuse_other_number(len(stored.embeddings), len(other.labels), called)
    for each, name in zip((stored, other), called, strict=True):
        _check_lengths(each, len(other.labels), name)
    in_order = _in_order_of(stored, other, called)
    ours, theirs = (check_labels(each.labels, len(other.labels)) for each in (in_order, other))
    _refuse_different("labels", ours, theirs, called)
    for name in sorted({*in_order.masks, *other.masks}):
        everything = np.ones(len(theirs), dtype=bool)
        _refuse_different(name, in_order.masks.get(name, everything), other.masks.get(name, everything), called)
    return in_order


def _refuse_other_number(ours: int, theirs: int, called: Sequence[str]) -> None:
    if ours != theirs:
        raise ValueError(
            f"{called[0]} holds {ours:,} images, {called[1]} {theirs:,}: only embeddings of the same images can be "
            "compared"
        )


def _check_lengths(stored: Stored, rows: int, called: str) -> None:
    beside = {"labels": stored.labels, "names": stored.names, "values to ignore": stored.ignore}
    for name, array in {**beside, **stored.masks}.items():
        if array is not None and array.shape != (rows,):
            raise ValueError(f"{called}: {name} have the shape {array.shape}, but there are {rows} embeddings")


def _in_order_of(stored: Stored, other: Stored, called: Sequence[str]) -> Stored:
    """The first with its rows in the order of the other's names, where both have names."""
    if stored.names is None or other.names is None or np.array_equal(stored.names, other.names):
        return stored
    order = _places(stored.names.astype(str), other.names.astype(str), called)
    masks = {name: mask[order] for name, mask in stored.masks.items()}
    return replace(
        stored,
        embeddings=stored.embeddings[order],
        labels=stored.labels[order],
        masks=masks,
        names=stored.names[order],
        ignore=None if stored.ignore is None else stored.ignore[order],
    )


def _places(names: Array, wanted: Array, called: Sequence[str]) -> Integers:
    """(n,) where each wanted name stands among the names."""
    order = np.argsort(names, kind="stable")
    ascending = names[order]
    repeated = np.flatnonzero(ascending[1:] == ascending[:-1])
    if len(repeated):
        raise ValueError(
            f"{called[0]} names {str(ascending[repeated[0]])!r} twice, in another order than {called[1]}: give every "
            "image a name of its own"
        )
    place = np.minimum(np.searchsorted(ascending, wanted), len(names) - 1)
    missing = np.flatnonzero(ascending[place] != wanted)
    if len(missing):
        raise ValueError(
            f"{called[0]} and {called[1]} hold other images: {len(missing):,} of the second are not in the first, such "
            f"as {str(wanted[missing[0]])!r}"
        )
    return order[place]


def _refuse_different(what: str, ours: Array, theirs: Array, called: Sequence[str]) -> None:
    """Refuse two arrays by row of which one differs; whole numbers are the same as texts of them."""
    same = ours == theirs if ours.dtype.kind == theirs.dtype.kind else ours.astype(str) == theirs.astype(str)
    if not np.all(same):
        row = int(np.argmin(same))
        raise ValueError(
            f"not the same images in the same order: {what} of row {row} is {str(ours[row])!r} in {called[0]}, "
            f"but {str(theirs[row])!r} in {called[1]}; bring the rows into one order, or store names of images in both"
        )
