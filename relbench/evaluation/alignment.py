"""Embeddings of the same images as others: checked to be so, and brought into their order."""

from collections.abc import Sequence

import numpy as np

from relbench.evaluation.array_files import Array
from relbench.evaluation.beside import Beside
from relbench.evaluation.knn.points import Integers
from relbench.evaluation.retrieval import check_labels
from relbench.evaluation.stored import Stored


def aligned(stored: Stored, first: Beside, called: Sequence[str]) -> Stored:
    """Embeddings in the order of the first ones, of the same images, with what belongs to these.

    Where both have names of images, rows are brought into the order of the first's names; else they must be in the same
    order already, which their labels must not contradict.

    Args:
        stored: Embeddings, and what belongs to them.
        first: What belongs to the first embeddings.
        called: What a message names the embeddings and the first ones.

    Returns:
        The embeddings, with labels, masks, names and what is ignored as the first have them.

    Raises:
        ValueError: Another number of images, other images by their names, or images of another class, or with other
            masks; one line that names the first difference.
    """
    _check_number(stored, len(first.labels), called)
    order = _order(stored.names, first.names, called)
    labels, wanted = (check_labels(each, len(first.labels)) for each in (stored.labels, first.labels))
    _refuse_different("the label", labels[order], wanted, called)
    for name, mask in stored.masks.items():
        _refuse_different(f"{name!r}", mask[order], first.masks.get(name, np.ones(len(wanted), dtype=bool)), called)
    rows = stored.embeddings if isinstance(order, slice) else stored.embeddings[order]
    return of_the_same(rows, first)


def of_the_same(rows: Array, first: Beside) -> Stored:
    """Embeddings without anything beside them, taken to be of the same images as the first, in the same order."""
    return Stored(rows, first.labels, first.masks, first.names, first.ignore)


def _check_number(stored: Stored, images: int, called: Sequence[str]) -> None:
    rows = len(stored.embeddings)
    if rows != images:
        raise ValueError(
            f"{called[0]} holds {rows:,} images, {called[1]} {images:,}: only embeddings of the same images can be "
            "compared"
        )
    for name, array in {"labels": stored.labels, "names": stored.names, **stored.masks}.items():
        if array is not None and array.shape != (rows,):
            raise ValueError(f"{called[0]}: {name} have the shape {array.shape}, but there are {rows} embeddings")


def _order(names: Array | None, wanted: Array | None, called: Sequence[str]) -> Integers | slice:
    """The rows in the order of the wanted names, where both are there; else all as they are."""
    if names is None or wanted is None or np.array_equal(names, wanted):
        return slice(None)
    return _places(names.astype(str), wanted.astype(str), called)


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


def _refuse_different(what: str, ours: Array, first: Array, called: Sequence[str]) -> None:
    """Refuse two arrays by row of which one differs; whole numbers are the same as texts of them."""
    same = ours == first if ours.dtype.kind == first.dtype.kind else ours.astype(str) == first.astype(str)
    if not np.all(same):
        row = int(np.argmin(same))
        raise ValueError(
            f"{called[0]} holds other images than {called[1]}, or the same in another order: {what} of row {row} is "
            f"{str(ours[row])!r}, but {str(first[row])!r} there; bring rows into one order, or store names of images"
        )
