"""Classifiers of an episode's queries by its support images.

Each takes the embeddings of any number of episodes in float64, and answers with the class of each query. An answer is
a function of its query and of the support images of its episode alone: neither other queries nor other images of a data
set have a say in it, nor which episodes are answered at once. Of equally good classes it is the first: where all
embeddings are equal, the accuracy is 1 / way.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

CHUNK = 2**18
"""Numbers that are gathered at once: they stay in the cache."""

_ROUNDING = 16 * torch.finfo(torch.float64).eps


def by_prototypes(support: Tensor, query: Tensor) -> Tensor:
    """The class with the nearest prototype, the mean of its support embeddings.

    Distances are Euclidean here and in the others.

    Args:
        support: (episodes, way, shot, dim), float64.
        query: (episodes, way, queries, dim), classes in the same order.

    Returns:
        The class of each query, (episodes, way, queries): a place from 0 to way - 1.

    Source:
        J. Snell et al., Prototypical Networks for Few-shot Learning, NIPS 2017 (arXiv:1703.05175), algorithm 1.
    """
    return nearest_points(support.mean(dim=2), query)


def by_nearest(support: Tensor, query: Tensor) -> Tensor:
    """The class of the nearest support image; arguments and result as in `by_prototypes`."""
    return nearest_points(support.flatten(1, 2), query) // support.shape[2]


def by_centred(support: Tensor, query: Tensor) -> Tensor:
    """The class with the nearest prototype of embeddings that are centred and then brought to unit length.

    Prototypes are means of such embeddings, and are not brought to unit length again. The centre is the mean of the
    episode's support embeddings. The paper subtracts the mean of all embeddings of the training classes, which a file
    of test embeddings does not have. The mean of the test embeddings would be no substitute, as queries are among them.
    Arguments and result are as in `by_prototypes`.

    Source:
        Y. Wang et al., SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot Learning, 2019
        (arXiv:1911.04623), there called CL2N, but for the centre.
    """
    centre = support.mean(dim=(1, 2), keepdim=True)
    return by_prototypes(_unit_length(support - centre), _unit_length(query - centre))


def by_logistic(support: Tensor, query: Tensor) -> Tensor:
    """The likeliest class by logistic regression on the support embeddings at unit length.

    scikit-learn's `LogisticRegression`: the sum of the cross-entropies of the support images, plus half the sum of
    the squared weights (C = 1), intercepts apart; softmax over classes, of two classes the logistic function. L-BFGS
    starts from zero and ends at a gradient of 1e-8, so that the answer is that of the optimum, of which there is one.
    Classes whose logits are within 1e-6 of the highest count as equal. Arguments and result are as in `by_prototypes`.

    Source:
        Y. Tian et al., Rethinking Few-Shot Image Classification: a Good Embedding Is All You Need?, ECCV 2020
        (arXiv:2003.11539): the same settings, but for the tolerance.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - takes a second to load

    _, way, shot, _ = support.shape
    classes = np.repeat(np.arange(way), shot)
    regression = LogisticRegression(C=1.0, solver="lbfgs", tol=1e-8, max_iter=1000)
    given, asked = (_unit_length(rows).flatten(1, 2).numpy() for rows in (support, query))
    with threadpool_limits(limits=1, user_api="blas"):  # the products are small: threads would wait for each other
        logits = [
            regression.fit(known, classes).decision_function(rows) for known, rows in zip(given, asked, strict=True)
        ]
    return _first_highest(torch.from_numpy(np.stack(logits))).reshape(query.shape[:3])


def _first_highest(logits: Tensor) -> Tensor:
    """The class of the highest logit, (episodes, queries): logits (episodes, queries, way), or of the second of two."""
    if logits.ndim == 2:
        logits = torch.stack([torch.zeros_like(logits), logits], dim=2)
    return (logits >= logits.amax(dim=2, keepdim=True) - 1e-6).int().argmax(dim=2)


SCORERS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "prototypes": by_prototypes,
    "centred": by_centred,
    "nearest": by_nearest,
    "logistic": by_logistic,
}
"""By the names that settings and commands use, `relbench.experiment.Scorer`."""


def nearest_points(points: Tensor, query: Tensor) -> Tensor:
    """The place of the nearest point of each query; of equally near points, that of the first.

    Distances are compared by products, about the mean of an episode's points, where little cancels out, and without the
    query's own square, which all of them have. Where rounding may decide, squared differences are added up instead:
    equal pairs then tie exactly.

    Args:
        points: (episodes, points, dim), float64.
        query: (episodes, way, queries, dim), float64.

    Returns:
        (episodes, way, queries)
    """
    asked = query.flatten(1, 2)
    centre = points.mean(dim=1, keepdim=True)
    near, far = points - centre, asked - centre
    squares = near.square().sum(dim=2)
    closeness = torch.baddbmm(squares[:, None], far, near.mT, beta=-1, alpha=2)
    best, place = closeness.max(dim=2)
    doubt = _ROUNDING * (points.shape[2] + 4) * (far.square().sum(dim=2) + squares.amax(dim=1, keepdim=True))
    unsure = ((closeness >= (best - doubt)[:, :, None]).sum(dim=2) > 1).nonzero()
    for part in torch.split(unsure, max(1, CHUNK // points[0].numel())):
        episode, number = part.T
        differences = points[episode] - asked[episode, number][:, None]
        place[episode, number] = differences.square().sum(dim=2).argmin(dim=1)
    return place.reshape(query.shape[:3])


def _unit_length(rows: Tensor) -> Tensor:
    """Rows scaled to unit length, however small they are; zero stays zero."""
    largest = rows.abs().amax(dim=-1, keepdim=True)
    rows = rows / largest.where(largest > 0, 1)
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    unit: Tensor = rows / length.where(length > 0, 1)
    return unit
