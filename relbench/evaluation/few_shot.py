"""Few-shot classification of embeddings: the accuracy in episodes of a few classes, and its interval.

Every image is embedded once, and all episodes are scored from the matrix of embeddings. Which images an episode has
follows from a seed and its number, so that all methods answer the same episodes, and can be compared in pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike

from relbench.episodes import ClassMembers
from relbench.evaluation.episode_scorers import CHUNK, SCORERS
from relbench.evaluation.knn.neighbours import check_whole
from relbench.evaluation.knn.points import Embeddings, Floats, Integers, as_array, check_points
from relbench.evaluation.retrieval import check_labels
from relbench.experiment import Scorer
from relbench.lookup import lookup
from relbench.seeding import step_generator

EpisodeStream = Literal["test episodes", "validation episodes"]


@dataclass(frozen=True)
class Episodes:
    """Episodes over the images of a matrix of embeddings.

    Attributes:
        support: rows of the support images, (episodes, way, shot).
        query: rows of the queries, (episodes, way, queries).

    Raises:
        ValueError: arrays of other shapes or of no row numbers, a single class, or a support image among the queries of
            its class, which are to be new.
    """

    support: Integers
    query: Integers

    def __post_init__(self) -> None:
        """Refuse what are no episodes."""
        for name, rows in (("support", self.support), ("query", self.query)):
            if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "iu":
                found = getattr(rows, "dtype", type(rows).__name__)
                raise ValueError(f"{name} must be an array of whole numbers, the rows of images, not {found}")
        shapes = self.support.shape, self.query.shape
        if any(len(shape) != 3 or 0 in shape for shape in shapes) or shapes[0][:2] != shapes[1][:2] or shapes[0][1] < 2:
            raise ValueError(
                f"support {shapes[0]} and query {shapes[1]} must be (episodes, way, images of a class), of the same "
                "episodes and classes, at least two"
            )
        if any((self.query == self.support[:, :, at, None]).any() for at in range(self.support.shape[2])):
            raise ValueError("an episode has a support image among the queries of its class: draw others")


def draw_episodes(
    labels: ArrayLike,
    way: int,
    shot: int,
    queries: int,
    episodes: int | range,
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
        episodes: how many, at least 1; or a range of their numbers, for a part of very many.
        seed: of the episodes.
        stream: that of the test, or that of validation.

    Raises:
        ValueError: a number is too small, or not whole; an unknown stream; there are fewer classes than `way`, or fewer
            images of some class than `shot` + `queries`; or labels are neither integers nor strings.

    Example:
        >>> drawn = draw_episodes(["a", "a", "b", "b", "c", "c"], way=2, shot=1, queries=1, episodes=1000)
        >>> drawn.support.shape, drawn.query.shape
        ((1000, 2, 1), (1000, 2, 1))
    """
    numbers = _numbers_of(episodes)
    for name, value, least in (("way", way, 2), ("shot", shot, 1), ("queries", queries, 1)):
        check_whole(value, name)
        if value < least:
            raise ValueError(f"{name} = {value}, but must be {least} or more")
    check_whole(seed, "seed")
    lookup(stream, get_args(EpisodeStream), "stream")
    classes = check_labels(labels, as_array(labels).size)
    _, codes = np.unique(classes, return_inverse=True)
    members = ClassMembers(torch.from_numpy(codes.reshape(-1).astype(np.int64)))
    members.refuse_too_few(way, shot + queries, stream.partition(" ")[0])
    drawn = torch.stack(
        [members.draw(way, shot + queries, step_generator(seed, stream, number)) for number in numbers]
    ).numpy()
    return Episodes(drawn[:, :, :shot], drawn[:, :, shot:])


def _numbers_of(episodes: int | range) -> range:
    if not isinstance(episodes, range):
        check_whole(episodes, "episodes")
    numbers = episodes if isinstance(episodes, range) else range(episodes)
    if not numbers or min(numbers[0], numbers[-1]) < 0:
        raise ValueError(f"episodes = {episodes}, but must be 1 or more, with numbers from 0")
    return numbers


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
        ValueError: no real numbers, or some that are not finite; wrong shapes, other classes or dimensions of queries
            than of support images, or a single class.

    Source:
        arXiv:1703.05175, algorithm 1. jakesnell/prototypical-networks@c9bb4d2 returns 1 / way for one query a class,
        whatever they are, as it squeezes that axis away: that is a fault of its accuracy, not of its loss.

    Example:
        >>> few_shot_accuracy([[[0.0]], [[1.0]]], [[[0.1], [0.7]], [[0.8], [0.9]]])
        0.75
    """
    first, second = _numbers("support", support), _numbers("query", query)
    _check(first, second)
    rows = np.concatenate([given.reshape(-1, given.shape[2]) for given in (first, second)])
    places = np.split(np.arange(len(rows)), [first.shape[0] * first.shape[1]])
    episode = Episodes(places[0].reshape(1, *first.shape[:2]), places[1].reshape(1, *second.shape[:2]))
    return float(right_queries(rows, episode)[0] / len(places[1]))


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
    numbers = as_array(accuracies).astype(np.float64)
    if numbers.ndim != 1 or len(numbers) < 2 or not np.isfinite(numbers).all():
        raise ValueError(f"accuracies of shape {numbers.shape} must be a list of two finite numbers or more")
    return float(numbers.mean()), float(1.96 * numbers.std(ddof=1) / np.sqrt(len(numbers)))


def right_queries(
    embeddings: Embeddings,
    episodes: Episodes,
    scorer: Scorer = "prototypes",
    progress: Callable[[int], None] | None = None,
) -> Integers:
    """The number of queries that are classified rightly in each episode, (episodes,).

    Scorers, in `relbench.evaluation.episode_scorers` with their formulas and sources:

    - "prototypes": the class with the nearest mean of its support embeddings;
    - "centred": likewise, after the mean of the episode's support embeddings was subtracted and rows were brought to
      unit length;
    - "nearest": the class of the nearest support image;
    - "logistic": logistic regression on the support embeddings at unit length; milliseconds for each episode.

    All compute in float64. Of equally good classes the first counts, in the order in which an episode has them. All are
    indifferent to the scale of embeddings, "logistic" up to its tolerance; only "logistic" minds a shift.

    Args:
        embeddings: (images, dim) array or tensor, finite.
        episodes: over these images.
        scorer: classifies the queries.
        progress: is called with the number of episodes done since the last call.

    Raises:
        ValueError: embeddings of the wrong shape, or not finite; episodes of other images; an unknown scorer.
        TypeError: embeddings that are no numbers.

    Example:
        >>> episode = Episodes(support=np.array([[[0], [1]]]), query=np.array([[[2, 3], [4, 5]]]))
        >>> right_queries(np.array([[0.0], [1.0], [0.1], [0.7], [0.8], [0.9]]), episode).tolist()
        [3]
    """
    answer = SCORERS[lookup(scorer, SCORERS, "scorer")]
    points = check_points(embeddings, None, None)
    _check_places(episodes, len(points.rows))
    step = max(1, CHUNK // (points.dim * (episodes.support[0].size + episodes.query[0].size)))
    right = np.empty(len(episodes.support), dtype=np.int64)
    for start in range(0, len(right), step):
        part = slice(start, start + step)
        given, asked = (torch.from_numpy(points.scaled(places[part])) for places in (episodes.support, episodes.query))
        classes = torch.arange(given.shape[1])[:, None]
        right[part] = (answer(given, asked) == classes).sum(dim=(1, 2)).numpy()
        if progress is not None:
            progress(len(right[part]))
    return right


def _check_places(episodes: Episodes, images: int) -> None:
    support, query = episodes.support, episodes.query
    first, last = min(support.min(), query.min()), max(support.max(), query.max())
    if first < 0 or last >= images:
        raise ValueError(
            f"episodes have images from row {first} to row {last}, but there are {images} embeddings: draw episodes "
            "from the labels of these"
        )


def _numbers(name: str, given: Embeddings) -> Floats:
    array = as_array(given)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold numbers, (way, images of a class, dim), not {array.dtype}")
    return array.astype(np.float64)


def _check(support: Floats, query: Floats) -> None:
    shapes = f"support {support.shape} and query {query.shape}"
    if support.ndim != 3 or query.ndim != 3 or 0 in support.shape or 0 in query.shape:
        raise ValueError(f"{shapes} must be (way, images of a class, dim), none of them 0")
    if len(support) != len(query) or support.shape[2] != query.shape[2] or len(support) < 2:
        raise ValueError(f"{shapes} must have the same classes, at least two, and the same dimension")
    if not (np.isfinite(support).all() and np.isfinite(query).all()):
        raise ValueError(f"{shapes} hold numbers that are not finite")
