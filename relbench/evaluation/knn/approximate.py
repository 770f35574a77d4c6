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
quantities up to m^2. torch multiplies (-2 x, 1, 1, 1) with (y, |y|^2), the latter in three parts, d + 3 products: at
most 1.01 gamma(d + 3) m^2, as the parts are together less than a hundredth larger than the whole.
Rounding the centred rows to the working precision moves a distance by at most 2 u m^2 + O(u^2).
Adding the bound to a key rounds once more.
Together below 1.01 gamma(d + 16) m^2 in float32. The float64 part, centring and the canonical distance
itself, stays below the same expression with the float64 roundoff. Numbers below the
smallest normal number may be flushed to zero: 4 d times that number.

Units for products of bfloat16 (AMX) multiply several times as fast. They round both factors to 8 binary digits, that is
by 2^-8 of their size at most, and multiply and sum in float32 as above. 2 <x, y> then moves by another
2 |x| |y| ((1 + 2^-8)^2 - 1) < 2 |x| max |y| (2^-7 + 2^-15), where what lies between 2^-16 and 2^-15 covers the rounding
to float32 before, and that of the sums of the moved products. The parts of |y|^2 have 8 digits each, so that it
loses nothing. Factors below the smallest normal number may be flushed, too: another 4 d times that number.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from threading import Lock
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from relbench.evaluation.knn.points import Embeddings, Floats, Integers, Points

Backend = Literal["auto", "faiss", "torch"]
Keys = NDArray[np.floating[Any]]
Working = Literal["bfloat16", "float32", "float64"]
"""Type of the factors of a product; sums and keys are float32 at least."""

Multiply = Callable[[Integers, Keys], None]

_ROWS_AT_ONCE = 4096
_BFLOAT16_ROUNDING = 2.0**-7 + 2.0**-15  # of a product of two rounded numbers, and what is rounded along with it
_BFLOAT16_PARTS = 3  # of 8 binary digits: those of a float32
_PRECISION = Lock()
_PROBED = 256  # rows and columns of the product that shows whether factors are rounded


@dataclass(frozen=True)
class Block:
    """Approximate distances of some queries to the whole gallery.

    Attributes:
        queries: (rows,) positions in `points.query`.
        keys: (rows, columns) squared distances up to a number per query and an error of half the slack, infinite for
            the query itself and what it passes over.
        slack: (rows,) keys further apart than this are in true order.
    """

    queries: Integers
    keys: Keys
    slack: Floats


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

    @property
    def single(self) -> NDArray[np.float32]:
        """(n, dim) all centred rows, rounded to float32."""
        return self.widened[:, : self.points.dim]

    @property
    def widened(self) -> NDArray[np.float32]:
        """(n, dim + 3) the same, and three bfloat16 numbers that add up to the squared length."""
        return self._rounded[0]

    @property
    def norms(self) -> Floats:
        """(n,) lengths of the centred rows, in float64."""
        return self._rounded[1]

    @cached_property
    def _rounded(self) -> tuple[NDArray[np.float32], Floats]:
        """All widened rows in float32, and their lengths in float64."""
        count, dim = self.points.rows.shape
        widened, norms = np.empty((count, dim + _BFLOAT16_PARTS), np.float32), np.empty(count)
        for start in range(0, count, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            widened[part, :dim] = exact = self.exact(part)
            squares = np.einsum("ij,ij->i", exact, exact)
            widened[part, dim:], norms[part] = _split(squares.astype(np.float32)), np.sqrt(squares)
        return widened, norms

    @cached_property
    def longest(self) -> float:
        """Length of the longest centred gallery row."""
        return float(self.norms[self.points.gallery].max())

    def slack(self, queries: Integers | slice, working: Working) -> Floats:
        """(queries,) twice the error bound: keys further apart than this are in true order."""
        lengths, dim = self.norms[self.points.query[queries]], self.points.dim
        sums = np.float64 if working == "float64" else np.float32
        relative = 1.01 * (_gamma(dim + 16, sums) + _gamma(dim + 16, np.float64))
        error = relative * (lengths + self.longest) ** 2 + 4.0 * dim * float(np.finfo(sums).tiny)
        if working == "bfloat16":
            error += 2 * _BFLOAT16_ROUNDING * lengths * self.longest + 4.0 * dim * float(np.finfo(sums).tiny)
        return np.asarray(2 * error)


def _gamma(count: int, sums: type[np.floating[Any]]) -> float:
    share = count * float(np.finfo(sums).eps) / 2
    return share / (1 - share) if share < 1 else math.inf


def choose_backend(backend: Backend, embeddings: Embeddings) -> tuple[str, torch.device]:
    """The backend that multiplies, and its device.

    Args:
        backend: "faiss" (CPU), "torch", or "auto": torch on a GPU or a processor with AVX-512, else faiss, else torch.
        embeddings: The input; a tensor is multiplied on its device, an array on a GPU if the machine has any.

    Raises:
        ValueError: An unknown backend, or faiss where it is not installed or can't be used.
    """
    device = _device(embeddings)
    if backend not in {"auto", "faiss", "torch"}:
        raise ValueError(f"backend {backend!r} is unknown: use 'auto', 'faiss' or 'torch'")
    if backend == "torch" or (backend == "auto" and (device.type != "cpu" or fast_factors())):
        return "torch", device
    fault = _faiss_fault()
    if backend == "faiss" and fault:
        raise ValueError(f"backend 'faiss' needs faiss ({fault}): install faiss-cpu, or use backend='torch'")
    return ("torch", device) if fault else ("faiss", torch.device("cpu"))


def _device(embeddings: Embeddings) -> torch.device:
    if isinstance(embeddings, torch.Tensor):
        return embeddings.device if embeddings.device.type == "cuda" else torch.device("cpu")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def fast_factors() -> Working | None:
    """Type of the factors of torch's fast products on this processor; None where it has none.

    Where a processor has AVX-512, torch hands float32 products that may be less precise ("medium") to oneDNN. With
    units for bfloat16 (AMX) that rounds their factors; without, the product is that of float32, and on processors by
    AMD still 1.8 to 3 times as fast as by the libraries below numpy, faiss and torch's own full precision.
    """
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (has_onednn and torch.backends.cpu.get_cpu_capability().startswith("AVX512")):
        return None
    # torch's own and private: where it is gone, units may be there, and a bound that is too wide harms nothing
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    return "bfloat16" if has_tiles() or _rounds_factors() else "float32"


def _rounds_factors() -> bool:
    """Whether a fast product loses the digits of factors that no bfloat16 holds."""
    factor = 1 + 2.0**-12
    keys = np.empty((_PROBED, _PROBED), np.float32)
    _product(torch.full(keys.shape, factor), torch.eye(_PROBED), keys, "medium")
    return bool((keys != np.float32(factor)).any())


def key_blocks(
    multiply: Multiply, centred: Centred, queries: Integers, chunk: int, working: Working
) -> Iterator[Block]:
    """Approximate distances of queries to the whole gallery, block by block.

    Args:
        multiply: From `multiplier`, for the same type.
        centred: The rows.
        queries: (queries,) positions in `points.query`.
        chunk: Queries per block.
        working: Type of the factors.

    Yields:
        Blocks; the next overwrites the keys of the last.
    """
    points = centred.points
    dtype = np.float64 if working == "float64" else np.float32
    buffer = np.empty((min(chunk, len(queries)), len(points.gallery)), dtype)
    for start in range(0, len(queries), chunk):
        part = queries[start : start + chunk]
        keys = buffer[: len(part)]
        multiply(part, keys)
        mask(keys, points, part)
        yield Block(part, keys, centred.slack(part, working))


def mask(keys: Keys, points: Points, queries: Integers) -> None:
    """Put each query infinitely far from itself, by index, and from what it passes over as itself."""
    keys[points.masked(queries)] = np.inf


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
        backend: From `choose_backend`; all but float32 is multiplied by torch, on its device.
        working: Type of the factors.
    """
    name, device = backend
    if working == "float64":
        return _wide_multiply(centred, device)
    if name == "faiss":
        return _faiss_multiply(centred)
    return _torch_multiply(centred, device, working)


def _faiss_multiply(centred: Centred) -> Multiply:
    faiss = _faiss()
    gallery = centred.single[centred.points.gallery]
    pointer = faiss.swig_ptr

    def multiply(queries: Integers, keys: Keys) -> None:
        rows = centred.single[centred.points.query[queries]]
        shape = (centred.points.dim, len(rows))
        faiss.pairwise_L2sqr(*shape, pointer(rows), len(gallery), pointer(gallery), pointer(keys))

    return multiply


def _torch_multiply(centred: Centred, device: torch.device, working: Working) -> Multiply:
    fast = device.type == "cpu" and working == fast_factors()
    transposed = torch.from_numpy(_of_gallery(centred.widened, centred.points)).to(device).T

    def multiply(queries: Integers, keys: Keys) -> None:
        left = np.ones((len(queries), transposed.shape[0]), np.float32)
        np.multiply(centred.single[centred.points.query[queries]], -2, out=left[:, : centred.points.dim])
        _product(torch.from_numpy(left).to(device), transposed, keys, "medium" if fast else "highest")

    return multiply


def _of_gallery(rows: NDArray[np.float32], points: Points) -> NDArray[np.float32]:
    """Those of the gallery; no copy where they are the first rows, or all."""
    first = int(points.gallery[-1]) + 1 == len(points.gallery)
    return rows[: len(points.gallery)] if first else rows[points.gallery]


def lacking(centred: Centred, backend: tuple[str, torch.device], queries: Integers, working: Working) -> Floats:
    """(queries,) what keys lack of squared distances of scaled rows: torch leaves out the query's squared length."""
    if backend[0] == "faiss" and working == "float32":
        return np.zeros(len(queries))
    return np.square(centred.norms[centred.points.query[queries]])


def _split(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """(numbers, parts) bfloat16 numbers, as float32, that add up to the numbers exactly."""
    left, parts = torch.from_numpy(numbers), []
    for _ in range(_BFLOAT16_PARTS):
        parts.append(left.bfloat16().float())
        left = left - parts[-1]
    return torch.stack(parts, dim=1).numpy()


def _wide_multiply(centred: Centred, device: torch.device) -> Multiply:
    points = centred.points
    gallery = np.column_stack([centred.exact(points.gallery), np.square(centred.norms[points.gallery])])
    transposed = torch.from_numpy(gallery).to(device).T

    def multiply(queries: Integers, keys: Keys) -> None:
        left = np.column_stack([-2 * centred.exact(points.query[queries]), np.ones(len(queries))])
        _product(torch.from_numpy(left).to(device), transposed, keys, "highest")

    return multiply


def _product(left: torch.Tensor, right: torch.Tensor, keys: Keys, precision: str) -> None:
    on_cpu = left.device.type == "cpu"
    with _at_precision(precision, left.device):
        product = torch.mm(left, right, out=torch.from_numpy(keys) if on_cpu else None)
    if not on_cpu:  # a GPU has only been told what to do so far: others are told meanwhile
        torch.from_numpy(keys).copy_(product)


@contextmanager
def _at_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Multiply in a known precision, and keep autocast out: other products would break the error bound.

    The precision is torch's for all threads, so that those of several devices enter one after another.

    Args:
        precision: Of float32 products, in torch's words: "highest" keeps TensorFloat-32 out, too; "medium" allows
            bfloat16 factors. `torch.mm` of bfloat16 tensors would round its results as well.
        device: Where the product is computed.
    """
    with _PRECISION:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        try:
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                yield
        finally:
            torch.set_float32_matmul_precision(before)
