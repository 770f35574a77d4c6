"""Few-shot classification of embeddings: the accuracy in episodes of a few classes, and its interval.

Every image is embedded once, and all episodes are scored from the matrix of embeddings. Which images an episode has
follows from a seed and its number, so that all methods answer the same episodes, and can be compared in pairs.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from relbench.episodes import ClassMembers
from relbench.evaluation.knn.points import Embeddings, Integers, as_array
from relbench.seeding import step_generator

EpisodeStream = Literal["test episodes", "validation episodes"]
CHUNK = 2**24  # numbers of gathered embeddings at once


@dataclass(frozen=True)
class Episodes:
    """Episodes over the images of a matrix of embeddings.

    Attributes:
        support: rows of the support images, (episodes, way, shot).
        query: rows of the queries, (episodes, way, queries).
    """

    support: Integers
    query: Integers


def draw_episodes(
    labels: ArrayLike,
    way: int,
    shot: int,
    queries: int,
    episodes: int,
    seed: int = 0,
    stream: EpisodeStream = "test episodes",
) -> Episodes:
    """Draw episodes; the n-th follows from the seed, the stream and n alone, whatever the number of them.

    Classes are drawn without replacement, and so are the images of each: no support image is a query.

    Args:
        labels: (images,) class of each image: integers or strings.
        way: classes of an episode, at least 2.
        shot: support images of each class, at least 1.
        queries: of each class, at least 1.
        episodes: how many, at least 1.
        seed: of the episodes.
        stream: that of the test, or that of validation.

    Raises:
        ValueError: a number is too small; there are fewer classes than `way`, or fewer images of some class than
            `shot` + `queries`.
    """
    for name, value, least in (("way", way, 2), ("shot", shot, 1), ("queries", queries, 1), ("episodes", episodes, 1)):
        if value < least:
            raise ValueError(f"{name} = {value}, but must be {least} or more")
    _, numbers = np.unique(np.asarray(labels), return_inverse=True)
    members = ClassMembers(torch.from_numpy(numbers.reshape(-1).astype(np.int64)))
    members.refuse_too_few(way, shot + queries, stream.partition(" ")[0])
    drawn = torch.stack(
        [members.draw(way, shot + queries, step_generator(seed, stream, number)) for number in range(episodes)]
    ).numpy()
    return Episodes(drawn[:, :, :shot], drawn[:, :, shot:])


def few_shot_accuracy(support: Embeddings, query: Embeddings) -> float:
    """Accuracy in an episode: each query is taken for one of the class with the nearest prototype.

    The prototype of a class is the mean of its support embeddings; distances are Euclidean. Of equally near prototypes
    that of the lower class counts: where all embeddings are equal, the accuracy is 1 / way.

    Args:
        support: (way, shot, dim) array or tensor, finite; no gradient flows.
        query: (way, queries, dim), classes in the same order.

    Returns:
        The share of queries that are classified rightly, in [0, 1]; computed in float64.

    Raises:
        ValueError: wrong shapes, other classes or dimensions of queries than of support images, a single class, or
            numbers that are not finite.

    Source:
        arXiv:1703.05175, algorithm 1. jakesnell/prototypical-networks@c9bb4d2 returns 1 / way for one query a class,
        whatever they are, as it squeezes that axis away: that is a fault of its accuracy, not of its loss.

    Example:
        >>> few_shot_accuracy([[[0.0]], [[1.0]]], [[[0.1], [0.7]], [[0.8], [0.9]]])
        0.75
    """
    first, second = (torch.from_numpy(as_array(given).astype(np.float64)) for given in (support, query))
    _check(first, second)
    return _nearest_prototypes(first[None], second[None]).double().mean().item()


def few_shot_interval(accuracies: ArrayLike) -> tuple[float, float]:
    """Mean over episodes, and half of its 95 % interval as papers print it: 1.96 s / sqrt(n).

    s is the standard deviation that has n - 1 in its denominator. It covers other episodes of the same test images, for
    the network at hand: neither other classes nor other training runs.

    Args:
        accuracies: (episodes,), at least 2.

    Raises:
        ValueError: fewer than two numbers, not one-dimensional, or not finite.

    Source:
        jakesnell/prototypical-networks@c9bb4d2 scripts/predict/few_shot/eval.py.
    """
    numbers = np.asarray(accuracies, dtype=np.float64)
    if numbers.ndim != 1 or len(numbers) < 2 or not np.isfinite(numbers).all():
        raise ValueError(f"accuracies of shape {numbers.shape} must be a list of two finite numbers or more")
    return float(numbers.mean()), float(1.96 * numbers.std(ddof=1) / np.sqrt(len(numbers)))


def right_queries(embeddings: Embeddings, episodes: Episodes) -> Integers:
    """The number of queries that are classified rightly in each episode, (episodes,).

    Args:
        embeddings: (images, dim), finite.
        episodes: over these images.
    """
    rows = torch.from_numpy(np.ascontiguousarray(as_array(embeddings)))
    images = episodes.support[0].size + episodes.query[0].size
    step = max(1, CHUNK // (images * rows.shape[1]))
    parts = [
        _right(rows, episodes.support[start : start + step], episodes.query[start : start + step])
        for start in range(0, len(episodes.support), step)
    ]
    return np.concatenate(parts)


def _right(rows: Tensor, support: Integers, query: Integers) -> NDArray[np.int64]:
    first, second = (rows[torch.from_numpy(places)].double() for places in (support, query))
    return _nearest_prototypes(first, second).sum(dim=(1, 2)).numpy()


def _nearest_prototypes(support: Tensor, query: Tensor) -> Tensor:
    """Whether the nearest prototype of each query is that of its class, (episodes, way, queries).

    Squared distances are compared about the mean of an episode's prototypes, where little cancels out, and without the
    query's own square, which all of them have.
    """
    prototypes = support.mean(dim=2)
    centre = prototypes.mean(dim=1, keepdim=True)
    prototypes, query = prototypes - centre, query - centre[:, :, None]
    products = torch.einsum("ewqd,evd->ewqv", query, prototypes)
    nearest = (2 * products - prototypes.square().sum(dim=2)[:, None, None, :]).argmax(dim=3)
    return nearest == torch.arange(query.shape[1])[:, None]


def _check(support: Tensor, query: Tensor) -> None:
    shapes = f"support {tuple(support.shape)} and query {tuple(query.shape)}"
    if support.ndim != 3 or query.ndim != 3 or 0 in support.shape or 0 in query.shape:
        raise ValueError(f"{shapes} must be (way, images of a class, dim), none of them 0")
    if len(support) != len(query) or support.shape[2] != query.shape[2] or len(support) < 2:
        raise ValueError(f"{shapes} must have the same classes, at least two, and the same dimension")
    if not (support.isfinite().all() and query.isfinite().all()):
        raise ValueError(f"{shapes} hold numbers that are not finite")
