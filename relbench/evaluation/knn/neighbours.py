"""Exact nearest neighbours in Euclidean distance, the same on every backend.

Method: all distances approximately, by a matrix product in float32 or bfloat16 (`approximate`); a
threshold that keeps the few items that can be among the nearest; float64 only where the error bound
leaves their order undecided (`order`).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from relbench.evaluation.knn.approximate import (
    Backend,
    Block,
    Centred,
    Multiply,
    Working,
    choose_backend,
    fast_factors,
    key_blocks,
    multiplier,
)
from relbench.evaluation.knn.distinct import Distinct
from relbench.evaluation.knn.order import exact_columns, fold, select
from relbench.evaluation.knn.points import Embeddings, Integers, Points, check_points

Result = TypeVar("Result")
Part = TypeVar("Part")

_CHUNK_NUMBERS = 1 << 24  # keys of a matrix product, 64 MB: enough queries for its full speed
_WIDE_CHUNK_NUMBERS = 1 << 23
_BLOCK_NUMBERS = 1 << 21  # keys processed at once: they stay in the processor's cache
_FEWEST_CROWDED = 1024


@dataclass(frozen=True)
class Search:
    """An exact search: queries, gallery, and the backend that multiplies.

    Attributes:
        points: The checked rows.
        backend: As `choose_backend` returns it.
        chunk: Queries per matrix product; None: as many as have 64 MB of keys.
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

    @property
    def types(self) -> tuple[Working, ...]:
        """Types that products may be computed in, the fastest and least precise first."""
        rounded = self.backend == ("torch", torch.device("cpu")) and fast_factors() == "bfloat16"
        return ("bfloat16", "float32", "float64") if rounded else ("float32", "float64")

    def map_blocks(
        self, function: Callable[[Block], Result], queries: Integers, working: Working = "float32"
    ) -> Iterator[Result]:
        """Call a function with blocks of queries and their keys.

        A block of keys fits the cache. Blocks of a matrix product are processed by as many threads as
        torch may use: array operations release the interpreter's lock.

        Args:
            function: To call for each block.
            queries: Positions in `points.query`.
            working: Type of the products' factors.
        """
        columns = len(self.points.gallery)
        numbers = _WIDE_CHUNK_NUMBERS if working == "float64" else _CHUNK_NUMBERS
        chunk, step = self.chunk or numbers // columns, max(1, _BLOCK_NUMBERS // columns)
        for whole in key_blocks(self._multiply(working), self.centred, queries, max(1, chunk), working):
            cuts = np.arange(step, len(whole.queries), step)
            parts = (np.split(array, cuts) for array in (whole.queries, whole.keys, whole.slack))
            yield from mapped(function, [Block(*part) for part in zip(*parts, strict=True)])

    def _multiply(self, working: Working) -> Multiply:
        """The product of a type; what it needs of the gallery is made once."""
        if working not in self._multipliers:
            self._multipliers[working] = multiplier(self.centred, self.backend, working)
        return self._multipliers[working]

    @cached_property
    def _multipliers(self) -> dict[Working, Multiply]:
        return {}

    def most(self, k: int) -> int:
        """Largest number of candidates for k neighbours that are compared one by one; beyond it, `distinct` is used."""
        return 4 * k + _FEWEST_CROWDED

    def nearest_columns(self, block: Block, k: int) -> Integers:
        """(rows, k) gallery columns of the k nearest, in exact order."""
        folded = fold(block.keys, k)
        found, crowded = select(block, folded, folded.limit(block.slack, k), most=self.most(k))
        out = np.empty((len(block.queries), k), np.int64)
        out[found.places] = exact_columns(self.points, found)[:, :k]
        out[crowded] = self.distinct.nearest_columns(block.queries[crowded], k)
        return out


def mapped(function: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[Result]:
    """Results for all parts, in order, by as many threads as torch may use."""
    threads = min(torch.get_num_threads(), len(parts))
    if threads < 2:  # a thread that waits for another would only cost time
        yield from map(function, parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, parts)


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
        backend: "faiss", "torch", or "auto": torch on a GPU or a processor with AVX-512, else faiss, else torch. A
            tensor stays on its device; an array goes to a GPU if the machine has any.
        chunk: Queries per matrix product, which takes `4 * chunk * gallery` bytes; None: 64 MB.

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
        advice = "choose a smaller K or a larger gallery" if k > 1 else "choose 1 or more, or a larger gallery"
        raise ValueError(
            f"{name} = {k} is outside 1..{most}: the gallery holds {len(points.gallery)} item(s), "
            f"of which a query can find {most}; {advice}"
        )


def check_whole(k: int, name: str) -> None:
    """Refuse anything but whole numbers of Python or numpy.

    Raises:
        ValueError: it is of another type.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise ValueError(f"{name} = {k!r} must be a whole number, not of type {type(k).__name__}: correct it")
