"""The triplet loss with distance-weighted sampling of negatives.

Sampling: C.-Y. Wu, R. Manmatha, A. J. Smola, P. Krahenbuhl, "Sampling Matters in Deep Embedding Learning",
ICCV 2017, arXiv:1706.07567. As used, and compared with, in lenscloth/RKD@0a6c3c0.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, triplet_margin_loss

from relbench.geometry import pairwise_distances, working_dtype
from relbench.losses.check_inputs import as_floats, class_numbers
from relbench.losses.placement import beside

NEAREST = 0.5
"""Negatives nearer than this (on the unit sphere) are weighted as at this distance."""

FARTHEST = 1.4
"""Negatives at this distance or farther are not drawn: with a margin of 0.2 they rarely give a gradient."""


def triplet_margin(embeddings: Tensor, triplets: Tensor, *, margin: float = 0.2) -> Tensor:
    """Triplet loss: the mean of ``max(0, |anchor - positive| - |anchor - negative| + margin)``.

    Args:
        embeddings: ``(batch, dim)``, floating, not brought to unit length here. Get the gradient.
        triplets: ``(count, 3)``, int64: row numbers of anchor, positive, negative; at least one triplet.
        margin: by how much a negative should be farther than a positive, above 0, in units of distance.

    Returns:
        Scalar, the mean over all triplets, satisfied ones included; float64 if `embeddings` are, else float32.

    Raises:
        ValueError: wrong shapes, no triplets, or a margin that is not above 0.

    Source:
        lenscloth/RKD@0a6c3c0 `L2Triplet`. Euclidean distances, not squared; as in the code, 1e-6 is added to each
        coordinate of a difference, which gives equal rows a finite gradient. Finite in float32 for distances up to
        1e18, whose squares lie within the type.
    """
    embeddings = as_floats("embeddings", embeddings)
    _check_matrix(embeddings)
    _check_margin(margin)
    if triplets.ndim != 2 or triplets.shape[1] != 3 or not len(triplets):
        raise ValueError(f"triplets must have the shape (count, 3) with a count above 0, not {tuple(triplets.shape)}")
    rows = embeddings.to(working_dtype(embeddings))
    anchors, positives, negatives = (rows.index_select(0, column) for column in triplets.T)
    return triplet_margin_loss(anchors, positives, negatives, margin=margin)


def positive_pairs(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Anchors and positives of all ordered pairs of two different rows of one class, in row-major order."""
    same = labels[:, None] == labels
    different_row = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    anchors, positives = (same & different_row).nonzero(as_tuple=True)
    return anchors, positives


def distance_weighted_probabilities(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Probability that a row is drawn as the negative of a pair of anchor and positive.

    On the unit sphere in `dim` dimensions most pairs are about sqrt(2) apart; a negative at distance D is
    weighted by the reciprocal of the density of such distances,

        log weight = (2 - dim) log D  -  (dim - 3) / 2  log(1 - D^2 / 4),

    so that all distances are about equally likely. D is raised to 0.5 at least; from 1.4 on the weight is 0. An anchor
    whose negatives all have weight 0 draws from all of them uniformly.

    Args:
        embeddings: ``(batch, dim)``, floating; brought to unit length here. Get no gradient.
        labels: ``(batch,)``, class numbers.

    Returns:
        ``(pairs, batch)``: a row of sum 1 for each pair, in the order of `positive_pairs`.

    Raises:
        ValueError: wrong shapes, no two rows of one class, or all rows of one class.

    Source:
        arXiv:1706.07567, section 4; lenscloth/RKD@0a6c3c0 `DistanceWeighted`. Departure: the code scales a row's
        weights by the largest before it discards those of positives and of distances above 1.4, so that in float32 and
        high dimension the others can all vanish, and the draw becomes uniform; here the largest that remains is 1.
    """
    embeddings, labels = as_floats("embeddings", embeddings), class_numbers(labels)
    _check_labels(embeddings, labels)
    anchors, _ = positive_pairs(labels)
    probabilities = _negative_probabilities(embeddings, labels)
    return probabilities[beside(anchors, probabilities)]


@torch.no_grad()
def _negative_probabilities(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Probabilities of each anchor, whatever its positive: ``(batch, batch)``."""
    negative = beside(labels[:, None] != labels, embeddings)
    distances = pairwise_distances(normalize(embeddings.to(working_dtype(embeddings))))
    dim = embeddings.shape[1]
    clamped = distances.clamp_min(NEAREST)
    log_weights = (2 - dim) * clamped.log() - (dim - 3) / 2 * torch.log1p(-clamped.square() / 4)
    eligible = negative & (clamped < FARTHEST)
    none_eligible = ~eligible.any(dim=1, keepdim=True)
    log_weights = log_weights.masked_fill(none_eligible, 0.0)
    return log_weights.masked_fill(~(eligible | (none_eligible & negative)), -torch.inf).softmax(dim=1)


def _draw(probabilities: Tensor, anchors: Tensor, generator: torch.Generator) -> Tensor:
    """An independent draw for each entry of `anchors` (sorted) from that row of `probabilities`.

    Each row is drawn from as often as the most frequent anchor needs, and surplus draws are dropped: several times
    faster than a row of probabilities for each pair.
    """
    counts = torch.bincount(anchors, minlength=len(probabilities))
    most = int(counts.max())
    wanted = (torch.arange(most, device=counts.device) < counts[:, None]).flatten().nonzero().squeeze(1)
    if probabilities.device == generator.device:
        drawn = torch.multinomial(probabilities, most, replacement=True, generator=generator)
    else:
        drawn = draw_elsewhere(probabilities, most, generator)
    return drawn.flatten()[beside(wanted, drawn)]


def draw_elsewhere(probabilities: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """As `torch.multinomial` with replacement draws, but on another device than the generator's, and without waiting.

    The same numbers are taken from the generator, and come to the same draws but where they are within rounding of the
    border between two. They are uniform in [0, 1), and found among the sums of the probabilities so far; a single draw
    is the row with the largest quotient of its probability and an exponential number.

    Args:
        probabilities: ``(rows, columns)``, not negative, rows not all 0; not checked.
        count: draws from each row.
        generator: on the CPU.

    Returns:
        Columns, ``(rows, count)``.
    """
    if count == 1:
        exponential = torch.empty(probabilities.shape, dtype=probabilities.dtype).exponential_(generator=generator)
        return (probabilities / beside(exponential, probabilities)).argmax(dim=1, keepdim=True)
    uniform = torch.rand(len(probabilities), count, dtype=torch.float64, generator=generator)
    sums = probabilities.double().cumsum(dim=1)
    reached = sums / sums[:, -1:]
    reached[:, -1] = 1.0  # whatever the rounding
    return torch.searchsorted(reached, beside(uniform, probabilities))


@dataclass(frozen=True, kw_only=True)
class DistanceWeightedTriplet:
    """Triplet loss over all ordered pairs of anchor and positive, each with one negative drawn by distance.

    Negatives are drawn with `distance_weighted_probabilities`.

    Attributes:
        margin: see `triplet_margin`.
    """

    margin: float = 0.2

    def __post_init__(self) -> None:
        _check_margin(self.margin)

    def __call__(self, embeddings: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of a batch.

        Args:
            embeddings: ``(batch, dim)``, floating. Get the gradient. Distances are those of the rows as given; only the
                draw takes them to the unit sphere.
            labels: ``(batch,)``, class numbers; best on the host, as pairs are found there.
            generator: draws the negatives: the same, to rounding, on the CPU and on a GPU.

        Returns:
            Scalar.

        Raises:
            ValueError: wrong shapes, no two rows of one class, or all rows of one class.
        """
        embeddings, labels = as_floats("embeddings", embeddings), class_numbers(labels)
        _check_labels(embeddings, labels)
        anchors, positives = positive_pairs(labels)
        pairs = beside(torch.stack([anchors, positives]), embeddings)
        negatives = _draw(_negative_probabilities(embeddings, labels), anchors, generator)
        return triplet_margin(embeddings, torch.stack([*pairs, negatives], dim=1), margin=self.margin)


def _check_margin(margin: float) -> None:
    if not 0 < margin < float("inf"):
        raise ValueError(f"margin must be a finite number above 0, not {margin}")


def _check_matrix(embeddings: Tensor) -> None:
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        shape = tuple(embeddings.shape)
        raise ValueError(f"embeddings must be a floating matrix (batch, dim), not {embeddings.dtype} of shape {shape}")


def _check_labels(embeddings: Tensor, labels: Tensor) -> None:
    """Refuse a batch with rows without a label, or without positives or negatives."""
    _check_matrix(embeddings)
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(f"labels must have the shape ({len(embeddings)},), one per row, not {tuple(labels.shape)}")
    positives = (labels[:, None] == labels).sum()  # each row with itself included
    if positives == len(labels) ** 2:
        raise ValueError("a triplet needs a negative, but all rows of the batch are of one class")
    if positives == len(labels):
        raise ValueError("a triplet needs a positive, but no two rows of the batch are of one class")
