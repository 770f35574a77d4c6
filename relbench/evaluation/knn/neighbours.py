"""Exact nearest neighbours in Euclidean distance, the same on every backend.

Method: all distances approximately, by a float32 matrix product (`approximate`); a threshold that
keeps the few items that can be among the nearest; float64 only where the error bound leaves their
order undecided (`order`).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from relbench.evaluation.knn.approximate import (
    Backend,
    Centred,
    Keys,
    Multiply,
    Working,
    choose_backend,
    key_blocks,
    multiplier,
)
from relbench.evaluation.knn.distinct import Distinct
from relbench.evaluation.knn.order import exact_columns, key_limit, select
from relbench.evaluation.knn.points import Embeddings, Floats, Integers, Points, check_points

Result = TypeVar("Result")

_CHUNK_NUMBERS = 1 << 27  # keys of a matrix product, 512 MB: enough queries for its full speed
_WIDE_CHUNK_NUMBERS = 1 << 23
_BLOCK_NUMBERS = 1 << 21  # keys processed at once: they stay in the processor's cache
_FEWEST_CROWDED = 1024


@dataclass(frozen=True)
class Search:
    """An exact search: queries, gallery, and the backend that multiplies.

    Attributes:
        points: The checked rows.
        backend: As `choose_backend` returns it.
        chunk: Queries per matrix product; None: as many as have 512 MB of keys.
    """

    points: Points
    backend: tuple[str, torch.device]
    chunk: int | None = None

    @cached_property
    def centred(self) -> Centred:
        """The rows, prepared for matrix products."""
        return Centred(self.points)

    @cached_property
    def distinct(self) -> Distinct:
        """The gallery without repeated rows."""
        return Distinct(self.centred)

    def slack(self, queries: Integers, keys: Keys) -> Floats:
        """(queries,) keys further apart than this are in true order."""
        return self.centred.slack(queries, keys.dtype.type)

    def map_blocks(
        self, function: Callable[[Integers, Keys], Result], queries: Integers, working: Working = np.float32
    ) -> Iterator[Result]:
        """Call a function with query positions and their (rows, columns) keys, block by block.

        A block of keys fits the cache. Blocks of a matrix product are processed by as many threads as
        torch may use: array operations release the interpreter's lock.

        Args:
            function: To call for each block.
            queries: Positions in `points.query`.
            working: Type of the keys.
        """
        columns = len(self.points.gallery)
        numbers = _CHUNK_NUMBERS if working is np.float32 else _WIDE_CHUNK_NUMBERS
        chunk, step = self.chunk or numbers // columns, max(1, _BLOCK_NUMBERS // columns)
        multiply = self._wide if working is np.float64 else self._single
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for part, keys in key_blocks(multiply, self.points, queries, max(1, chunk), working):
                cuts = np.arange(step, len(keys), step)
                yield from pool.map(function, np.split(part, cuts), np.split(keys, cuts))

    @cached_property
    def _single(self) -> Multiply:
        return multiplier(self.centred, self.backend, np.float32)

    @cached_property
    def _wide(self) -> Multiply:
        return multiplier(self.centred, self.backend, np.float64)

    def most(self, k: int) -> int:
        """Largest number of candidates for k neighbours that are compared one by one; beyond it, `distinct` is used."""
        return 4 * k + _FEWEST_CROWDED

    def nearest_columns(self, queries: Integers, keys: Keys, k: int) -> Integers:
        """(rows, k) gallery columns of the k nearest, in exact order."""
        slack = self.slack(queries, keys)
        found, crowded = select(queries, keys, slack, key_limit(keys, slack, k), self.most(k))
        out = np.empty((len(queries), k), np.int64)
        out[found.places] = exact_columns(self.points, found)[:, :k]
        out[crowded] = self.distinct.nearest_columns(queries[crowded], k)
        return out


def nearest(
    embeddings: Embeddings,
    k: int,
    *,
    query: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
    backend: Backend = "auto",
    chunk: int | None = None,
) -> Integers:
    """The k nearest other items of each query, exactly.

    Ordered by squared Euclidean distance in float64 (`points.squared_distances`), equal distances
    by row index. A query that is in the gallery is excluded from its own neighbours by its index,
    so duplicates of it stay. Every backend returns the same result, bit for bit.

    Args:
        embeddings: (n, dim) float16, float32 or float64 array or tensor; no gradient flows.
        k: Neighbours per query, from 1 to the gallery's size (minus one if a query is in it).
        query: (n,) boolean mask of the queries; None: all rows.
        gallery: (n,) boolean mask of the gallery; None: all rows.
        backend: "faiss", "torch", or "auto": torch on a GPU, else faiss, else torch. A tensor stays on its device; an
            array goes to a GPU if the machine has any.
        chunk: Queries per matrix product, which takes `4 * chunk * gallery` bytes; None: 512 MB.

    Returns:
        (queries, k) row indices of `embeddings`, in the order of the queries' rows.

    Raises:
        ValueError: Input that `points.check_points` refuses, k out of range, an unknown or
            missing backend.
        TypeError: Embeddings that are not floating-point.

    Example:
        >>> nearest(np.array([[0.0], [1.0], [3.0]]), 2).tolist()
        [[1, 2], [0, 2], [1, 0]]
    """
    points = check_points(embeddings, query, gallery)
    check_depth(points, k, "k")
    search = Search(points, choose_backend(backend, embeddings), chunk)
    columns = list(search.map_blocks(partial(search.nearest_columns, k=k), np.arange(len(points.query))))
    return points.gallery[np.concatenate(columns)]


def check_depth(points: Points, k: int, name: str) -> None:
    """Refuse a number of neighbours beyond what every query has.

    Raises:
        ValueError: k below 1, above the number of other gallery items, or not a whole number.
    """
    check_whole(k, name)
    most = int(points.others.min())
    if not 1 <= k <= most:
        raise ValueError(
            f"{name} = {k} is outside 1..{most}: the gallery holds {len(points.gallery)} item(s), "
            f"of which a query can find {most}; choose a smaller K or a larger gallery"
        )


def check_whole(k: int, name: str) -> None:
    """Refuse anything but whole numbers of Python or numpy.

    Raises:
        ValueError: it is of another type.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise ValueError(f"{name} = {k!r} must be a whole number, not of type {type(k).__name__}: correct it")
