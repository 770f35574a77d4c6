"""The loss of prototypical networks: queries of an episode are classified by the means of the support embeddings.

J. Snell, K. Swersky, R. Zemel, "Prototypical Networks for Few-shot Learning", NIPS 2017, arXiv:1703.05175.
"""

import torch
from torch import Tensor
from torch.nn import functional

from relbench.geometry import working_dtype
from relbench.losses.check_inputs import as_floats


def prototypical(support: Tensor, query: Tensor, *, squared: bool = True) -> Tensor:
    """Cross-entropy of queries that are classified by their distances to class prototypes, the mean over queries.

    The prototype of a class is the mean of its support embeddings, c_k = mean_s support[k, s]. A query q of class k has
    the logits -|q - c_j|^2, without scale, temperature or unit length, and the loss

        -log( exp(-|q - c_k|^2) / sum_j exp(-|q - c_j|^2) ).

    Args:
        support: ``(way, shot, dim)``, floating. Get the gradient.
        query: ``(way, queries, dim)``, floating, classes in the same order. Get the gradient.
        squared: whether distances are squared, as in the paper. Without, classes are decided alike and the loss is
            another: easyfsl 1.5.0 has it so.

    Returns:
        Scalar, never below 0 by more than rounding, in nats; float64 if either input is, else float32 (half precision
        is widened first). Distances, and the gradient through them, are computed in float64, under autocast too.

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: wrong shapes, other classes or dimensions of queries than of support images, or a single class.

    Source:
        arXiv:1703.05175, equations 1 and 2; jakesnell/prototypical-networks@c9bb4d2 `Protonet.loss`.
    """
    support, query = _checked("support", support), _checked("query", query)
    if len(support) != len(query) or support.shape[2] != query.shape[2] or len(support) < 2:
        raise ValueError(
            f"support {tuple(support.shape)} and query {tuple(query.shape)} must have the same classes, at least two, "
            "and the same dimension"
        )
    prototypes, queries = support.double().mean(dim=1), query.double().flatten(0, 1)
    distances = _squared_distances(queries, prototypes) if squared else _distances(queries, prototypes)
    classes = torch.arange(len(query), device=query.device).repeat_interleave(query.shape[1])
    return functional.cross_entropy(-distances, classes).to(working_dtype(support, query))


def _checked(name: str, given: Tensor) -> Tensor:
    if not isinstance(given, Tensor):
        raise TypeError(f"{name} must be a torch tensor, but is a {type(given).__name__}")
    given = as_floats(name, given)
    if given.ndim != 3 or 0 in given.shape or not given.is_floating_point():
        shape = tuple(given.shape)
        raise ValueError(
            f"{name} must be floating, (way, images of a class, dim), none of them 0, but is {given.dtype} of {shape}"
        )
    return given


def _squared_distances(rows: Tensor, others: Tensor) -> Tensor:
    """Of all rows to all others, by |a|^2 - 2ab + |b|^2 about the others' mean, where little cancels out.

    The mean is a constant to the gradient: distances are the same about any point. Differences of rows, which cancel
    nothing, would take ``rows x others x dim`` numbers.
    """
    centre = others.detach().mean(dim=0)
    rows, others = rows - centre, others - centre
    return rows.square().sum(dim=1, keepdim=True) - 2 * rows @ others.T + others.square().sum(dim=1)


def _distances(rows: Tensor, others: Tensor) -> Tensor:
    """Of all rows to all others; the gradient of a distance of zero is zero."""
    return torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist")
