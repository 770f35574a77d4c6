"""Benchmark of the exact evaluation against the plain form, a matrix product and a sort, on data of many kinds.

Both take turns on one thread. Kinds that miss the target say why (`WHY`); the same codes as whole numbers, -1 and 1 or
0 and 1, have exact distances, and take about as long as other data.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import quartiles, timed
from relbench.evaluation import retrieval_metrics

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]

KS = (1, 2, 4, 8)
SLOWEST = "normalised binary codes, 2 classes"
"""The kind that misses the target by far."""

WHY = {
    SLOWEST: (
        "nearly every item is as far as hundreds of others, up to the rounding of the sum that defines the distance, "
        "so that every distance is computed by its definition"
    ),
    "binary codes, 2 classes": "exact keys are sorted as 64-bit numbers, twice the bytes of the plain form's",
    "each row twice, 2 classes": "all items are brought into order once more after the distinct rows are",
    "2 classes, many columns": (
        "all items are sorted, and float32 leaves the order of most of them open: float64 products take twice the time "
        "or more, which grows with the columns while that of sorting does not"
    ),
    "Cauchy-tailed": "float32 loses the digits of near rows among lengths without end, so that products are float64",
}
"""By kind: why it is slow, where it is."""

TIME_TARGET = 1.3
"""Largest ratio of the evaluation's processor time to the plain form's, on data of any kind."""

_QUERIES_AT_ONCE = 256
_WHOLE_ROW = 8  # where more than 1 item in 8 is wanted, sorting all is faster than selecting
_ROUNDS = 3
_FEWER = 4  # the slowest kind has a quarter of the rows
_MORE_COLUMNS = 16


@dataclass(frozen=True)
class KindSpeed:
    """Time on data of a kind.

    Attributes:
        kind: of data.
        plain_seconds: processor time of the plain form, on one thread, by round.
        ours_seconds: that of `retrieval_metrics`.
    """

    kind: str
    plain_seconds: tuple[float, ...]
    ours_seconds: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Ratio of the evaluation's time to the plain form's, by round."""
        return [ours / plain for ours, plain in zip(self.ours_seconds, self.plain_seconds, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return float(np.median(self.ratios))


def figures() -> Iterator[Figure]:
    """Times of all kinds beside the plain form's, the worst first."""
    for speed in measure(generator=np.random.default_rng(0)):
        yield Figure(
            name=f"evaluation, {speed.kind}: times a plain product and sort",
            value=speed.ratio,
            spread=quartiles(speed.ratios),
            target=TIME_TARGET,
            why=WHY.get(speed.kind, "") if speed.ratio > TIME_TARGET else "",
        )


def measure(count: int = 6000, dim: int = 128, *, generator: np.random.Generator) -> list[KindSpeed]:
    """Times of all kinds, the worst first; both forms are measured in turns, on one thread.

    Args:
        count: rows.
        dim: columns.
        generator: draws the data.
    """
    speeds = [_timed(kind, rows, labels) for kind, rows, labels in kinds(count, dim, generator)]
    return sorted(speeds, key=lambda speed: -speed.ratio)


def kinds(count: int, dim: int, generator: np.random.Generator) -> Iterator[tuple[str, Rows, Labels]]:
    """Names, embeddings and labels."""
    few, two = (generator.permutation(np.arange(count) % classes) for classes in (max(count // 10, 2), 2))
    rows = _clusters(few, dim, generator)
    yield "uniform", generator.random((count, dim), dtype=np.float32), few
    yield "clustered", rows, few
    yield "tight classes", *_clustered(few, dim, generator, noise=0.01)
    for classes in (20, 10):
        yield f"{classes} classes", *_clustered(generator.permutation(np.arange(count) % classes), dim, generator)
    yield "2 classes, apart", *_clustered(two, dim, generator)
    yield "2 classes, at random", rows, two
    half = two[: count // 2]
    yield "2 classes, many columns", *_clustered(half, _MORE_COLUMNS * dim, generator)
    yield "one giant class", rows, np.where(few < few.max() // 2, 0, few)
    yield "half zeros, 2 classes", np.maximum(rows, 0), two
    yield from _repeated(rows, few, two)
    yield "all rows equal", np.ones((count, dim), np.float32), few
    far = rows.copy()
    far[:5] *= 1e6
    yield "5 outliers", far, few
    yield "5 outliers, 2 classes", far, two
    yield "huge norms", rows * np.float32(1e30), few
    yield "whole numbers", generator.integers(0, 3, (count, dim)).astype(np.float32), few
    tails = rows * np.abs(generator.standard_cauchy((count, 1))).astype(np.float32)
    yield "Cauchy-tailed", tails, few
    yield from _codes(count, dim, generator, few, two)


def _repeated(rows: Rows, few: Labels, two: Labels) -> Iterator[tuple[str, Rows, Labels]]:
    twice, often = (np.arange(len(rows)) // times * times for times in (2, 10))
    yield "each row twice, 20 classes", rows[twice], few % 20
    yield "each row twice, 2 classes", rows[twice], two
    yield "each row 10 times", rows[often], few[often]
    yield "each row 10 times, 2 classes", rows[often], two


def _codes(
    count: int, dim: int, generator: np.random.Generator, few: Labels, two: Labels
) -> Iterator[tuple[str, Rows, Labels]]:
    """Rows with many items equally far away."""
    signs = np.sign(generator.standard_normal((count, dim), dtype=np.float32))
    yield "binary codes", signs, few
    yield "binary codes, 20 classes", signs, few % 20
    yield "binary codes, 2 classes", signs, two
    part = slice(count // _FEWER)
    yield SLOWEST, signs[part] / np.sqrt(dim, dtype=np.float32), two[part]


def _clustered(labels: Labels, dim: int, generator: np.random.Generator, noise: float = 2.0) -> tuple[Rows, Labels]:
    return _clusters(labels, dim, generator, noise), labels


def _clusters(labels: Labels, dim: int, generator: np.random.Generator, noise: float = 2.0) -> Rows:
    """Unit-length rows around their class's centre."""
    centres = generator.standard_normal((int(labels.max()) + 1, dim), dtype=np.float32)
    rows = centres[labels] + np.float32(noise) * generator.standard_normal((len(labels), dim), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _timed(kind: str, rows: Rows, labels: Labels) -> KindSpeed:
    forms = {"plain": partial(plain, rows, labels, KS), "ours": partial(retrieval_metrics, rows, labels, KS)}
    times = timed(forms, rounds=_ROUNDS, warm=0)
    return KindSpeed(kind, tuple(times["plain"]), tuple(times["ours"]))


def plain(rows: Rows, labels: Labels, ks: tuple[int, ...]) -> dict[str, float]:
    """The metrics in the plain form, without care for ties, cancellation or memory: squared distances, sorted.

    Args:
        rows: ``(count, dim)``; scaled where squares would overflow.
        labels: ``(count,)``, each occurring twice or more.
        ks: of Recall@K.
    """
    rows = rows / np.abs(rows).max()
    squares, wanted = np.square(rows).sum(axis=1), np.bincount(labels)[labels] - 1
    most, shares = max(*ks, int(wanted.max())), []
    for start in range(0, len(rows), _QUERIES_AT_ONCE):
        queries = np.arange(start, min(start + _QUERIES_AT_ONCE, len(rows)))
        distances = squares - 2 * (rows[queries] @ rows.T)
        distances[np.arange(len(queries)), queries] = np.inf
        hits = labels[_nearest(distances, most)] == labels[queries, None]
        shares.append(_shares(hits, wanted[queries, None], ks))
    names = [*(f"recall@{k}" for k in ks), "r_precision", "map@r"]
    return dict(zip(names, np.concatenate(shares, axis=1).mean(axis=1).tolist(), strict=True))


def _nearest(distances: Rows, most: int) -> Labels:
    if most * _WHOLE_ROW > distances.shape[1]:
        return np.asarray(np.argsort(distances, axis=1)[:, :most])
    return np.asarray(torch.from_numpy(distances).topk(most, largest=False).indices.numpy())


def _shares(hits: NDArray[np.bool_], wanted: Labels, ks: tuple[int, ...]) -> NDArray[np.float64]:
    """All metrics of each query, ``(metrics, queries)``."""
    places = np.arange(1, hits.shape[1] + 1)
    found = hits & (places <= wanted)
    precision = found * np.cumsum(found, axis=1) / places
    recalls = [hits[:, :k].any(axis=1) for k in ks]
    return np.stack([*recalls, found.sum(axis=1) / wanted[:, 0], precision.sum(axis=1) / wanted[:, 0]])
