"""Embeddings of the images of a split, as a run keeps them: a new metric needs no new training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relbench.data.table import ImageSource, indices_of, roles_of
from relbench.files import atomic_write

Arrays = Mapping[str, NDArray[Any]]


def kept_arrays(source: ImageSource, split: str, embeddings: NDArray[np.float32]) -> Arrays:
    """The arrays of a file of embeddings: these, labels and names, and masks where not all images are both.

    Args:
        source: of the images.
        split: its name.
        embeddings: (images, dim), in the order of the split's images.
    """
    indices = indices_of(source.table, split)
    arrays: dict[str, NDArray[Any]] = {"embeddings": embeddings}
    arrays |= {f"{column}s": source.table[column].to_numpy(dtype=str)[indices] for column in ("label", "name")}
    query, gallery = roles_of(source.table, indices)
    if not (query.all() and gallery.all()):
        arrays |= {"query": query, "gallery": gallery}
    return arrays


def write_arrays(arrays: Arrays, path: Path) -> None:
    """Write arrays into an .npz file, which is whole or not there."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
