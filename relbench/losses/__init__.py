"""What is minimised: losses between student and teacher, and losses from labels.

A loss is a function of ``(student, teacher)`` or of ``(embeddings, labels, generator)`` that gives a scalar, and one
entry in `LOSSES`. To add one, write the function (options are keyword-only parameters) and its entry.
"""

from collections.abc import Mapping
from typing import Any

from relbench.losses.entry import Loss, options_of, pure_loss
from relbench.losses.feature_map import FitNet, attention_transfer, fitnet, neuron_selectivity
from relbench.losses.logits import hinton_kd
from relbench.losses.metric_learning import PREFIX, MetricLearningLoss, pml_entry, pml_loss, pml_names
from relbench.losses.ranking import check_ranking, hard_darkrank
from relbench.losses.refilled import (
    REFILLED_PRESETS,
    RefilledPreset,
    class_centres,
    refilled_classifier,
    refilled_embedding,
)
from relbench.losses.relational import RKD_PRESETS, rkd_angle, rkd_distance
from relbench.losses.similarity import correlation_congruence, pkt, similarity_preserving
from relbench.losses.supervised import (
    DistanceWeightedTriplet,
    distance_weighted_probabilities,
    positive_pairs,
    triplet_margin,
)
from relbench.names import known

__all__ = [
    "LOSSES",
    "REFILLED_PRESETS",
    "RKD_PRESETS",
    "DistanceWeightedTriplet",
    "FitNet",
    "Loss",
    "MetricLearningLoss",
    "RefilledPreset",
    "attention_transfer",
    "class_centres",
    "correlation_congruence",
    "distance_weighted_probabilities",
    "find_loss",
    "fitnet",
    "hard_darkrank",
    "hinton_kd",
    "neuron_selectivity",
    "pkt",
    "pml_loss",
    "pml_names",
    "positive_pairs",
    "refilled_classifier",
    "refilled_embedding",
    "rkd_angle",
    "rkd_distance",
    "similarity_preserving",
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
    pure_loss(
        hard_darkrank,
        kind="relational",
        summary="Hard DarkRank: rank each image's nearest neighbours as the teacher does",
        source="arXiv:1707.01220; lenscloth/RKD@0a6c3c0",
        verify=lambda options: check_ranking(**options),
    ),
    pure_loss(
        pkt,
        kind="relational",
        summary="PKT: match the teacher's probabilities of being neighbours, from cosines",
        source="arXiv:1803.10837; HobbitLong/RepDistiller@b84f547",
    ),
    pure_loss(
        similarity_preserving,
        kind="relational",
        summary="SP: match the teacher's inner products, each row at unit length (here of embeddings)",
        source="arXiv:1907.09682; HobbitLong/RepDistiller@b84f547",
    ),
    pure_loss(
        correlation_congruence,
        kind="relational",
        summary="CC as RepDistiller has it: products of neighbouring rows' differences; needs the teacher's dimension",
        source="arXiv:1904.01802; HobbitLong/RepDistiller@b84f547",
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
