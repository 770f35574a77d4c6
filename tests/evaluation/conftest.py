"""The evaluation's definitions written as plain loops, and the inputs that are hard for it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Matrix = NDArray[Any]
Mask = NDArray[np.bool_]


def rank_all(embeddings: Matrix, query: int, gallery: Mask) -> list[int]:
    """All other gallery items, the nearest first, equal distances by index."""
    others = [item for item in np.flatnonzero(gallery).tolist() if item != query]
    rows = embeddings.astype(np.float64)
    distances = {item: float(np.square(rows[query] - rows[item]).sum()) for item in others}
    return sorted(others, key=lambda item: (distances[item], item))


def measure_all(
    embeddings: Matrix, labels: Matrix, ks: Sequence[int], query: Mask, gallery: Mask, ignore: Matrix | None = None
) -> dict[str, float]:
    """Recall@K, R-precision and MAP@R by their definitions."""
    asking = np.flatnonzero(query).tolist()
    ignore = np.arange(len(labels)) if ignore is None else ignore
    hits = [
        [
            labels[other] == labels[item]
            for other in rank_all(embeddings, item, gallery)
            if not (labels[other] == labels[item] and ignore[other] == ignore[item])
        ]
        for item in asking
    ]
    with_partner = [row for row in hits if any(row)]
    out = {f"recall@{k}": sum(any(row[:k]) for row in hits) / len(hits) for k in ks}
    out["r_precision"] = sum(sum(row[: sum(row)]) / sum(row) for row in with_partner) / len(with_partner)
    out["map@r"] = sum(_average_precision(row) for row in with_partner) / len(with_partner)
    return out


def _average_precision(hits: list[bool]) -> float:
    wanted = sum(hits)
    return sum(sum(hits[: place + 1]) / (place + 1) for place in range(wanted) if hits[place]) / wanted


def _hard_inputs(count: int, generator: np.random.Generator) -> dict[str, Matrix]:
    """Embeddings with ties, duplicates, cancellation, overflow and underflow, by name."""
    normal = generator.standard_normal
    centres = normal((10, 8))[generator.integers(0, 10, count)]
    outlier = normal((count, 8))
    outlier[-1] = 1e9
    return {
        "random float64": normal((count, 16)),
        "random float32": normal((count, 33)).astype(np.float32),
        "random float16": normal((count, 8)).astype(np.float16),
        "one column": normal((count, 1)),
        "integer lattice": generator.integers(0, 3, (count, 4)).astype(np.float32),
        "signs": np.sign(normal((count, 12))),
        "duplicates": np.repeat(normal((count // 4 + 1, 8)), 4, axis=0)[:count],
        "signed zeros": np.where(normal((count, 3)) > 0, 0.0, -0.0),
        "collapsed": np.full((count, 8), 0.3),
        "zero": np.zeros((count, 2), np.float32),
        "offset float64": 1e4 + 1e-9 * normal((count, 8)),
        "offset float32": (1e4 + 1e-2 * normal((count, 8))).astype(np.float32),
        "tight clusters": centres + 1e-7 * normal((count, 8)),
        "outlier": outlier,
        "scale 1e-3": 1e-3 * normal((count, 8)),
        "scale 1e-20": 1e-20 * normal((count, 8)),
        "scale 1e-38 float32": (1e-38 * normal((count, 8))).astype(np.float32),
        "scale 1e20 float32": (1e20 * normal((count, 8))).astype(np.float32),
    }


HARD_INPUTS = _hard_inputs(150, np.random.default_rng(0))


@pytest.fixture(scope="session", params=list(HARD_INPUTS))
def embeddings(request: pytest.FixtureRequest) -> Matrix:
    """Each hard input in turn: (150, dim)."""
    return HARD_INPUTS[request.param]


@pytest.fixture(scope="session")
def ranking() -> Callable[..., list[int]]:
    """`rank_all`."""
    return rank_all


@pytest.fixture(scope="session")
def by_definition() -> Callable[..., dict[str, float]]:
    """`measure_all`."""
    return measure_all


@pytest.fixture
def labels() -> Matrix:
    """(150,) classes."""
    # a large class, small ones, and some of one member
    generator = np.random.default_rng(1)
    return np.concatenate([np.zeros(40, int), generator.integers(1, 25, 100), np.arange(25, 35)])[
        generator.permutation(150)
    ]
