"""What is minimised: losses between student and teacher, and losses from labels.

A loss is a function of ``(student, teacher)`` or of ``(embeddings, labels, generator)`` that gives a scalar, and one
entry in `LOSSES`. To add one, write the function (options are keyword-only parameters) and its entry.
"""

from collections.abc import Mapping
from typing import Any

from relbench.losses.entry import Loss, options_of, pure_loss
from relbench.losses.metric_learning import PREFIX, MetricLearningLoss, pml_entry, pml_loss, pml_names
from relbench.losses.relational import rkd_angle, rkd_distance
from relbench.losses.supervised import (
    DistanceWeightedTriplet,
    distance_weighted_probabilities,
    positive_pairs,
    triplet_margin,
)
from relbench.names import known

__all__ = [
    "LOSSES",
    "DistanceWeightedTriplet",
    "Loss",
    "MetricLearningLoss",
    "distance_weighted_probabilities",
    "find_loss",
    "pml_loss",
    "pml_names",
    "positive_pairs",
    "rkd_angle",
    "rkd_distance",
    "triplet_margin",
    "validate_term",
]


def _entries(*losses: Loss) -> dict[str, Loss]:
    return {loss.name: loss for loss in losses}


LOSSES: dict[str, Loss] = _entries(
    Loss(
        name="triplet",
        summary="triplet margin loss, one negative per anchor and positive, drawn by distance",
        source="arXiv:1706.07567; lenscloth/RKD@0a6c3c0",
        kind="supervised",
        options=options_of(DistanceWeightedTriplet),
        make=DistanceWeightedTriplet,
        verify=lambda options: DistanceWeightedTriplet(**options),
    ),
    pure_loss(
        rkd_distance,
        kind="relational",
        summary="RKD-D: match the teacher's distances, relative to their mean",
        source="arXiv:1904.05068; lenscloth/RKD@0a6c3c0",
    ),
    pure_loss(
        rkd_angle,
        kind="relational",
        summary="RKD-A: match the teacher's angles of all triangles",
        source="arXiv:1904.05068; lenscloth/RKD@0a6c3c0",
    ),
)
"""All losses by name. Those of pytorch-metric-learning are found by `find_loss` as "pml:<class>"."""


def find_loss(name: str) -> Loss:
    """The entry of a loss.

    Args:
        name: a key of `LOSSES`, or "pml:" and the name of a loss of pytorch-metric-learning.

    Raises:
        ValueError: there is no such loss; names those that come close.
    """
    if name.startswith(PREFIX):
        return pml_entry(name.removeprefix(PREFIX))
    return LOSSES[known(name, [*LOSSES, f"{PREFIX}<name>"], "loss")]


def validate_term(name: str, options: Mapping[str, Any]) -> None:
    """Refuse a loss or options that cannot be right, before any work starts.

    Raises:
        ValueError: unknown loss; unknown, missing or wrong option.
    """
    find_loss(name).check(options)
