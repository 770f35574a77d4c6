"""Fast distances by a matrix product, with a bound on their errors.

With rows centred, |x - y|^2 = |x|^2 + |y|^2 - 2 <x, y> is a single matrix product for all pairs, but
it cancels in floating point: the error is relative to the norms, not to the distance. The bound
makes that harmless: items whose keys differ by more than twice the bound are in the order of their
true distances; the few closer items are compared by `points.squared_distances`.

The bound. u is the unit roundoff, d the dimension, m = |x| + max |y|; all products and sums in
whatever order and with or without fused multiply-add. A sum of d products errs by at most
gamma(d) sum |x_i y_i| <= gamma(d) |x| |y|, gamma(n) = n u / (1 - n u) (Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., section 3.1). faiss sums the two squared norms and twice
the product: gamma(d) (|x|^2 + |y|^2 + 2 |x| |y|) <= gamma(d) m^2, and three more roundings of
quantities up to m^2. torch multiplies (-2 x, 1) with (y, |y|^2), d + 1 products: gamma(d + 1) m^2.
Rounding the centred rows to the working precision moves a distance by at most 2 u m^2 + O(u^2).
Adding the bound to a key rounds once more.
Together below gamma(d + 16) m^2 in float32. The float64 part, centring and the canonical distance
itself, stays below the same expression with the float64 roundoff. Numbers below the
smallest normal number may be flushed to zero: 4 d times that number.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from relbench.evaluation.knn.points import Embeddings, Floats, Integers, Points

Backend = Literal["auto", "faiss", "torch"]
Keys = NDArray[np.floating[Any]]
Working = type[np.float32] | type[np.float64]
Multiply = Callable[[Integers, Keys], None]

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Centred:
    """Centred, scaled rows for matrix products.

    Subtracting the mean row changes no distance and reduces the norms, with which the error grows;
    dividing by a power of two keeps squares within float32.

    Attributes:
        points: The rows as given.
    """

    points: Points

    @cached_property
    def mean(self) -> Floats:
        """(dim,) mean of the scaled rows."""
        total = np.zeros(self.points.dim)
        for start in range(0, len(self.points.rows), _ROWS_AT_ONCE):
            total += self.points.scaled(slice(start, start + _ROWS_AT_ONCE)).sum(axis=0)
        return total / len(self.points.rows)

    def exact(self, rows: slice | Integers) -> Floats:
        """(rows, dim) centred rows in float64."""
        return self.points.scaled(rows) - self.mean

    @cached_property
    def single(self) -> NDArray[np.float32]:
        """(n, dim) all centred rows, rounded to float32."""
        out = np.empty(self.points.rows.shape, np.float32)
        for start in range(0, len(out), _ROWS_AT_ONCE):
            out[start : start + _ROWS_AT_ONCE] = self.exact(slice(start, start + _ROWS_AT_ONCE))
        return out

    @cached_property
    def norms(self) -> Floats:
        """(n,) lengths of the centred rows, in float64."""
        out = np.empty(len(self.points.rows))
        for start in range(0, len(out), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            out[part] = np.linalg.norm(self.exact(part), axis=1)
        return out

    @cached_property
    def longest(self) -> float:
        """Length of the longest centred gallery row."""
        return float(self.norms[self.points.gallery].max())

    def slack(self, queries: Integers | slice, working: type[np.floating[Any]]) -> Floats:
        """(queries,) twice the error bound: keys further apart than this are in true order."""
        spread = self.norms[self.points.query[queries]] + self.longest
        relative = _gamma(self.points.dim + 16, working) + _gamma(self.points.dim + 16, np.float64)
        flushed = 4.0 * self.points.dim * float(np.finfo(working).tiny)
        return np.asarray(2 * (relative * spread**2 + flushed))


def _gamma(count: int, working: type[np.floating[Any]]) -> float:
    share = count * float(np.finfo(working).eps) / 2
    return share / (1 - share) if share < 1 else math.inf


def choose_backend(backend: Backend, embeddings: Embeddings) -> tuple[str, torch.device]:
    """The backend that multiplies, and its device.

    Args:
        backend: "faiss" (CPU), "torch", or "auto": torch on a GPU, else faiss, else torch.
        embeddings: The input; a tensor is multiplied on its device, an array on a GPU if the machine has any.

    Raises:
        ValueError: An unknown backend, or faiss where it is not installed or can't be used.
    """
    device = _device(embeddings)
    if backend not in {"auto", "faiss", "torch"}:
        raise ValueError(f"backend {backend!r} is unknown: use 'auto', 'faiss' or 'torch'")
    if backend == "torch" or (backend == "auto" and device.type != "cpu"):
        return "torch", device
    fault = _faiss_fault()
    if backend == "faiss" and fault:
        raise ValueError(f"backend 'faiss' needs faiss ({fault}): install faiss-cpu, or use backend='torch'")
    return ("torch", device) if fault else ("faiss", torch.device("cpu"))


def _device(embeddings: Embeddings) -> torch.device:
    if isinstance(embeddings, torch.Tensor):
        return embeddings.device if embeddings.device.type == "cuda" else torch.device("cpu")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def key_blocks(
    multiply: Multiply, points: Points, queries: Integers, chunk: int, working: Working = np.float32
) -> Iterator[tuple[Integers, Keys]]:
    """Approximate distances of queries to the whole gallery, block by block.

    Args:
        multiply: From `multiplier`, for the same type.
        points: The rows.
        queries: (queries,) positions in `points.query`.
        chunk: Queries per block.
        working: Type of the keys.

    Yields:
        Positions in `points.query`, and their (queries, columns) keys: squared distances up to a
        number per query and an error of half `Centred.slack`, infinite for the query itself. The
        next block overwrites them.
    """
    buffer = np.empty((min(chunk, len(queries)), len(points.gallery)), working)
    for start in range(0, len(queries), chunk):
        part = queries[start : start + chunk]
        keys = buffer[: len(part)]
        multiply(part, keys)
        mask_own(keys, points.own_column[part])
        yield part, keys


def mask_own(keys: Keys, own_column: Integers) -> None:
    """Put each query infinitely far from itself, by index."""
    present = np.flatnonzero(own_column >= 0)
    keys[present, own_column[present]] = np.inf


def _gallery(centred: Centred) -> NDArray[np.float32]:
    whole = len(centred.points.gallery) == len(centred.points.rows)
    return centred.single if whole else centred.single[centred.points.gallery]


@cache
def _faiss_fault() -> str:
    """Why faiss can't be used here, or "": it may be installed, and yet not fit this numpy or processor."""
    try:
        faiss = _faiss()
        rows, keys = np.eye(2, 3, dtype=np.float32), np.zeros((2, 2), np.float32)
        sizes, pointer = (3, 2), faiss.swig_ptr
        faiss.pairwise_L2sqr(*sizes, pointer(rows), 2, pointer(rows), pointer(keys))
    except Exception as error:  # noqa: BLE001 - a broken library raises errors of any kind
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return "" if np.allclose(keys, [[0, 2], [2, 0]]) else "it computes wrong distances"


def _faiss() -> Any:
    """faiss, imported so that its products are fast.

    Its wheels bring an old OpenBLAS, which treats processors that it does not know like those of 2004, 3 to 6 times
    slower. While it is loaded, it is told which processor numpy's newer OpenBLAS has detected.
    """
    known = [info["architecture"] for info in threadpool_info() if info["internal_api"] == "openblas"]
    name = "OPENBLAS_CORETYPE"
    if not known or name in os.environ:
        return import_module("faiss")
    os.environ[name] = known[0]
    try:
        return import_module("faiss")
    finally:
        del os.environ[name]


def multiplier(centred: Centred, backend: tuple[str, torch.device], working: Working) -> Multiply:
    """Function that fills in keys of queries, each query's own included.

    Args:
        centred: The rows.
        backend: From `choose_backend`; in float64 torch multiplies, on its device.
        working: Type of the keys.
    """
    name, device = backend
    if working is np.float64:
        return _wide_multiply(centred, device)
    return _faiss_multiply(centred) if name == "faiss" else _torch_multiply(centred, device)


def _faiss_multiply(centred: Centred) -> Multiply:
    faiss = _faiss()
    gallery = _gallery(centred)
    pointer = faiss.swig_ptr

    def multiply(queries: Integers, keys: Keys) -> None:
        rows = centred.single[centred.points.query[queries]]
        shape = (centred.points.dim, len(rows))
        faiss.pairwise_L2sqr(*shape, pointer(rows), len(gallery), pointer(gallery), pointer(keys))

    return multiply


def _torch_multiply(centred: Centred, device: torch.device) -> Multiply:
    squares = np.square(centred.norms[centred.points.gallery]).astype(np.float32)
    gallery = np.concatenate([_gallery(centred), squares[:, None]], axis=1)
    transposed = torch.from_numpy(gallery).to(device).T

    def multiply(queries: Integers, keys: Keys) -> None:
        ones = np.ones((len(queries), 1), np.float32)
        rows = centred.single[centred.points.query[queries]]
        left = torch.from_numpy(np.concatenate([-2 * rows, ones], axis=1)).to(device)
        _product(left, transposed, keys)

    return multiply


def _wide_multiply(centred: Centred, device: torch.device) -> Multiply:
    points = centred.points
    gallery = np.column_stack([centred.exact(points.gallery), np.square(centred.norms[points.gallery])])
    transposed = torch.from_numpy(gallery).to(device).T

    def multiply(queries: Integers, keys: Keys) -> None:
        left = np.column_stack([-2 * centred.exact(points.query[queries]), np.ones(len(queries))])
        _product(torch.from_numpy(left).to(device), transposed, keys)

    return multiply


def _product(left: torch.Tensor, right: torch.Tensor, keys: Keys) -> None:
    with _full_precision(left.device):
        if left.device.type == "cpu":
            torch.mm(left, right, out=torch.from_numpy(keys))
        else:
            torch.from_numpy(keys).copy_(torch.mm(left, right))


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Keep autocast and TensorFloat-32 out: their products would break the error bound."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
