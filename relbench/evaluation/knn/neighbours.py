"""Exact nearest neighbours in Euclidean distance, the same on every backend.

The way: all distances approximately, by one float32 matrix product (`approximate`); the few items
that can be among the nearest, by a threshold; float64 only where the error bound leaves two of
them undecided (`order`).
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
from relbench.evaluation.knn.order import Distinct, exact_columns, key_limit, select
from relbench.evaluation.knn.points import Embeddings, Floats, Integers, Points, check_points

Result = TypeVar("Result")

_CHUNK_NUMBERS = 1 << 27  # keys of one matrix product, 512 MB: enough queries for its full speed
_WIDE_CHUNK_NUMBERS = 1 << 23
_BLOCK_NUMBERS = 1 << 21  # keys looked through at once: they stay in the processor's cache
_FEWEST_CROWDED = 1024


@dataclass(frozen=True)
class Search:
    """One exact search: queries, gallery, and what multiplies.

    Attributes:
        points: The checked rows.
        backend: As `choose_backend` returns it.
        chunk: Queries per matrix product; None: as many as fill 512 MB with keys.
    """

    points: Points
    backend: tuple[str, torch.device]
    chunk: int | None = None

    @cached_property
    def centred(self) -> Centred:
        """The rows as the matrix products take them."""
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

        A block is a cacheful of keys. Blocks of one matrix product are looked through by as many
        threads as torch may use: the array operations let go of the interpreter's lock.

        Args:
            function: What is called.
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
        """How many candidates for k neighbours are compared one by one before `distinct` is used."""
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
    by row index. A query that is in the gallery is left out of its own neighbours by its index,
    so duplicates of it stay. Every backend gives the same answer, bit for bit.

    Args:
        embeddings: (n, dim) float16, float32 or float64 array or tensor; no gradient flows.
        k: Neighbours per query, from 1 to the gallery's size (less one if a query is in it).
        query: (n,) boolean mask of the rows that ask; None: all.
        gallery: (n,) boolean mask of the rows that may be found; None: all.
        backend: "faiss", "torch", or "auto": torch on a GPU, else faiss, else torch. A tensor stays on its device; an
            array goes to a GPU if there is one.
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
    """Refuse a number of neighbours that some query does not have.

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
    """Refuse anything but whole numbers; numpy's are as good as Python's.

    Raises:
        ValueError: another kind of number, or no number.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise ValueError(f"{name} = {k!r} must be a whole number, not of type {type(k).__name__}: correct it")
