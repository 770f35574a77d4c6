"""Few-shot episodes scored from a matrix of embeddings, beside a network that embeds the images of each episode.

The latter is how public code tests a network (jakesnell/prototypical-networks, yinboc/prototypical-network-pytorch,
learn2learn). What an episode needs of an image does not depend on the episode, so that each image need be embedded only
once, by all that follows here. Sizes are those of Omniglot's test. All on one thread, by processor time.
"""

from collections.abc import Iterator
from functools import partial
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import Form, Times, quartiles, ratio, timed
from relbench.data.cached_views import EVALUATION_BATCH
from relbench.evaluation import Episodes, draw_episodes, right_queries
from relbench.experiment import Net
from relbench.models import Embedder, build_embedder, embedding_size

Labels = NDArray[np.int64]

WAY, SHOT, QUERIES = 5, 1, 15
IMAGES = 20  # of each class
SIDE = 28
TARGET = 50
"""Smallest ratio of the time of embedding and scoring an episode to that of scoring it from the matrix."""

RUNS = (1_000, 10_000)
"""Episodes of whole evaluations, with all that is done once."""


def figures(
    classes: int = 1692, episodes: int = 1000, few: int = 2, rounds: int = 9, width: int = 64
) -> Iterator[Figure]:
    """Episodes of 5 classes and 1 support image of each, by the matrix and without it.

    Args:
        classes: of test images.
        episodes: scored from the matrix in each timing.
        few: embedded in each timing; a plain loop over episodes of the matrix has fifty times as many.
        rounds: timings of each form.
        width: of the network.
    """
    net = Net(trunk="conv4-maxpool", width=width, dim=None, unit_length=False)
    times = _times(net, np.repeat(np.arange(classes), IMAGES), episodes, few, rounds)
    images, name = classes * IMAGES, f"{WAY}-way {SHOT}-shot"
    yield ratio(
        f"{name}: an episode by the network, to its score from the matrix",
        times["network"],
        times["matrix"],
        target=TARGET,
        bound="at least",
        why=f"{QUERIES} queries of a class; without the time of making the matrix of {images:,} images, which follows",
    )
    for count in RUNS:
        once = [images * image + count * drawn for image, drawn in zip(times["image"], times["drawn"], strict=True)]
        whole = f"{name}: {count:,} episodes by the network, to those from the matrix and its making"
        yield ratio(whole, [count * seconds for seconds in times["network"]], once)
    a_second = [1 / seconds for seconds in times["drawn"]]
    yield Figure(name=f"{name}: drawn and scored", value=median(a_second), unit="per s", spread=quartiles(a_second))
    yield ratio(f"{name}: drawn and scored in a plain loop, to all at once", times["plain"], times["drawn"])


def _times(net: Net, labels: Labels, episodes: int, few: int, rounds: int) -> Times:
    """Seconds of an episode, or of embedding an image, by round."""
    network, random = build_embedder(net, 1, 0, SIDE).eval(), torch.Generator().manual_seed(0)
    pictures = torch.rand((len(labels), 1, SIDE, SIDE), generator=random)  # of what is no matter
    rows = torch.randn((len(labels), embedding_size(net, SIDE)), generator=random)
    drawn = draw_episodes(labels, WAY, SHOT, QUERIES, episodes)
    first, batch = Episodes(drawn.support[:few], drawn.query[:few]), pictures[:EVALUATION_BATCH]
    forms: dict[str, tuple[Form, int]] = {  # with how many episodes or images they are done with
        "network": (partial(by_network, network, pictures, first), few),
        "image": (partial(embedded, network, batch), len(batch)),
        "matrix": (partial(right_queries, rows, drawn), episodes),
        "drawn": (partial(drawn_and_scored, rows, labels, episodes), episodes),
        "plain": (partial(one_after_the_other, rows, labels, 50 * few), 50 * few),
    }
    times = timed({name: form for name, (form, _) in forms.items()}, rounds)
    return {name: [seconds / forms[name][1] for seconds in found] for name, found in times.items()}


def by_network(network: Embedder, pictures: torch.Tensor, episodes: Episodes) -> list[int]:
    """Queries that are right in each episode, whose images the network embeds in a batch."""
    return [
        _right(embedded(network, pictures[np.concatenate([support.ravel(), query.ravel()])]))
        for support, query in zip(episodes.support, episodes.query, strict=True)
    ]


def embedded(network: Embedder, images: torch.Tensor) -> torch.Tensor:
    """Their embeddings, in a batch, without a gradient."""
    with torch.inference_mode():
        found: torch.Tensor = network(images)
        return found


def drawn_and_scored(rows: torch.Tensor, labels: Labels, episodes: int) -> list[int]:
    """Queries that are right in each episode, as a run finds them."""
    found: list[int] = right_queries(rows, draw_episodes(labels, WAY, SHOT, QUERIES, episodes)).tolist()
    return found


def one_after_the_other(rows: torch.Tensor, labels: Labels, episodes: int) -> list[int]:
    """Queries that are right in each episode: drawn class by class, and scored, as a loop would plainly do it."""
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    random, right = np.random.default_rng(0), []
    for _ in range(episodes):
        classes = random.choice(len(members), WAY, replace=False)
        images = np.stack([random.choice(members[label], SHOT + QUERIES, replace=False) for label in classes])
        right.append(_right(rows[np.concatenate([images[:, :SHOT].ravel(), images[:, SHOT:].ravel()])]))
    return right


def _right(rows: torch.Tensor) -> int:
    """Queries that are right in an episode, of whose rows those of its support images come first."""
    prototypes = rows[: WAY * SHOT].reshape(WAY, SHOT, -1).mean(dim=1)
    answers = torch.cdist(rows[WAY * SHOT :], prototypes).argmin(dim=1)
    return int((answers == torch.arange(WAY).repeat_interleave(QUERIES)).sum())
