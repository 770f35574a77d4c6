"""What belongs to embeddings image by image; that of queries and a gallery in files of their own is joined."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from relbench.evaluation.array_files import Array
from relbench.evaluation.gallery.sources import Source
from relbench.evaluation.retrieval import check_labels


@dataclass(frozen=True)
class Beside:
    """What belongs to embeddings, image by image.

    Attributes:
        labels: (n,)
        masks: `query` and `gallery`, each (n,), where the file has them.
        names: (n,) of the images, where the file has them.
        ignore: (n,) by which queries pass over gallery items, where that is asked for.
    """

    labels: Array
    masks: Mapping[str, Array]
    names: Array | None = None
    ignore: Array | None = None


def followed(queries: Beside, gallery: Beside, asking: int, found: int) -> Beside:
    """What belongs to images that are queries alone, followed by images that are the gallery alone.

    Args:
        queries: of the queries.
        gallery: of the gallery.
        asking: number of queries.
        found: number of gallery items.

    Raises:
        ValueError: labels that can't be used or are of two kinds, or a file that separates queries itself.
    """
    if queries.masks or gallery.masks:
        raise ValueError("one of them says itself which images are queries or gallery: leave out the gallery's file")
    is_query = np.arange(asking + found) < asking
    names = None if queries.names is None or gallery.names is None else (queries.names, gallery.names)
    return Beside(
        _one_kind(queries.labels, gallery.labels, asking, found, "labels"),
        {"query": is_query, "gallery": ~is_query},
        None if names is None else np.concatenate(names),
        _ignored_of_both(queries, gallery, asking, found),
    )


def _ignored_of_both(queries: Beside, gallery: Beside, asking: int, found: int) -> Array | None:
    if queries.ignore is None or gallery.ignore is None:
        return None
    return _one_kind(queries.ignore, gallery.ignore, asking, found, "values to ignore")


def _one_kind(queries: Array, gallery: Array, asking: int, found: int, name: str) -> Array:
    """Labels of both; ValueError where they are numbers here and texts there, of which none would be equal."""
    both = check_labels(queries, asking, name), check_labels(gallery, found, name)
    kinds = ["texts" if array.dtype.kind in "SU" else "whole numbers" for array in both]
    if kinds[0] != kinds[1]:
        raise ValueError(f"{name} of the queries are {kinds[0]}, but those of the gallery {kinds[1]}: write them alike")
    return np.concatenate([array.astype(str) if array.dtype.kind == "S" else array for array in both])


def refuse_other_rows(queries: Array | Source, gallery: Array | Source) -> None:
    """Refuse embeddings of queries and a gallery that do not fit together.

    Raises:
        ValueError: they have other numbers of dimensions, or numbers of other types.
    """
    widths = [array.shape[1:] for array in (queries, gallery)]
    if widths[0] != widths[1] or len(widths[0]) != 1:
        shapes = " and ".join(str(tuple(array.shape)) for array in (queries, gallery))
        raise ValueError(f"embeddings of queries and gallery have the shapes {shapes}: give both as (rows, dim)")
    if queries.dtype != gallery.dtype:
        raise ValueError(
            f"embeddings of queries are {queries.dtype}, but those of the gallery {gallery.dtype}: save both alike"
        )
