"""The objective's terms: losses between student and teacher, and losses of embeddings and labels.

A loss is a function that returns a scalar, and its entry in `LOSSES`. To add a loss, write both. The names of its
positional parameters select its inputs (`INPUTS`); its keyword-only parameters are its options.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from relbench.lookup import lookup
from relbench.losses.classification import cross_entropy, probe
from relbench.losses.entry import Loss, inputs_of, options_of, pure_loss
from relbench.losses.feature_map import FitNet, FitNetRegressor, attention_transfer, fitnet, neuron_selectivity
from relbench.losses.inputs import INPUTS, NEEDS, Batch, Shapes, made_up_batch
from relbench.losses.logits import hinton_kd
from relbench.losses.pml import PREFIX, MetricLearningLoss, pml_entry, pml_loss, pml_names
from relbench.losses.prototypical import prototypical
from relbench.losses.ranking import check_ranking, hard_darkrank
from relbench.losses.refilled import (
    REFILLED_PRESETS,
    class_centres,
    refilled_classifier,
    refilled_embedding,
)
from relbench.losses.relational import RKD_PRESETS, rkd_angle, rkd_distance
from relbench.losses.similarity import CorrelationCongruence, correlation_congruence, pkt, similarity_preserving
from relbench.losses.smoke_test import try_loss
from relbench.losses.triplet import (
    DistanceWeightedTriplet,
    distance_weighted_probabilities,
    positive_pairs,
    triplet_margin,
)
from relbench.losses.user import guarded, own_loss, user_loss
from relbench.losses.user_file import read_own

__all__ = [
    "INPUTS",
    "LOSSES",
    "NEEDS",
    "REFILLED_PRESETS",
    "RKD_PRESETS",
    "Batch",
    "CorrelationCongruence",
    "DistanceWeightedTriplet",
    "FitNet",
    "FitNetRegressor",
    "Loss",
    "MetricLearningLoss",
    "Shapes",
    "attention_transfer",
    "class_centres",
    "correlation_congruence",
    "cross_entropy",
    "distance_weighted_probabilities",
    "find_loss",
    "fitnet",
    "guarded",
    "hard_darkrank",
    "hinton_kd",
    "made_up_batch",
    "neuron_selectivity",
    "own_loss",
    "pkt",
    "pml_loss",
    "pml_names",
    "positive_pairs",
    "probe",
    "prototypical",
    "read_own",
    "refilled_classifier",
    "refilled_embedding",
    "rkd_angle",
    "rkd_distance",
    "similarity_preserving",
    "triplet_margin",
    "try_loss",
    "validate_term",
]


def _entries(*losses: Loss) -> dict[str, Loss]:
    return {loss.name: loss for loss in losses}


LOSSES: dict[str, Loss] = _entries(
    Loss(
        name="triplet",
        summary="triplet margin loss, one negative per anchor and positive, drawn by distance",
        source="arXiv:1706.07567; lenscloth/RKD@0a6c3c0",
        takes=inputs_of(DistanceWeightedTriplet.__call__),
        options=options_of(DistanceWeightedTriplet),
        make=DistanceWeightedTriplet,
        verify=lambda options: DistanceWeightedTriplet(**options),
        labels_on_the_host=True,
    ),
    pure_loss(
        cross_entropy,
        summary="cross-entropy of a linear classifier on the embeddings, trained along",
        source="arXiv:1512.00567 for label smoothing",
    ),
    pure_loss(
        probe,
        summary="cross-entropy of the classifier alone: gives a teacher logits and leaves its network unchanged",
        source="arXiv:1610.01644",
    ),
    pure_loss(
        prototypical,
        summary="prototypical networks: classify the queries of an episode by the means of its support images",
        source="arXiv:1703.05175; jakesnell/prototypical-networks@c9bb4d2",
    ),
    pure_loss(
        rkd_distance,
        summary="RKD-D: match the teacher's distances, relative to their mean",
        source="arXiv:1904.05068; lenscloth/RKD@0a6c3c0",
    ),
    pure_loss(
        rkd_angle,
        summary="RKD-A: match the teacher's angles of all triangles",
        source="arXiv:1904.05068; lenscloth/RKD@0a6c3c0",
    ),
    replace(
        pure_loss(
            hard_darkrank,
            summary="Hard DarkRank: rank each image's nearest neighbours as the teacher does",
            source="arXiv:1707.01220; lenscloth/RKD@0a6c3c0",
            verify=lambda options: check_ranking(**options),
        ),
        free_length_revision=2,  # at 1 the float32 gradient erred by 0.01 % at length 10, and wholly at length 300
    ),
    pure_loss(
        pkt,
        summary="PKT: match the teacher's probabilities of being neighbours, from cosines",
        source="arXiv:1803.10837; HobbitLong/RepDistiller@b84f547",
    ),
    pure_loss(
        similarity_preserving,
        summary="SP: match the teacher's inner products, each row at unit length",
        source="arXiv:1907.09682; HobbitLong/RepDistiller@b84f547",
        layers=("stage4",),
    ),
    Loss(
        name="correlation_congruence",
        summary="CC as in RepDistiller: products of neighbouring rows' differences, after a projection",
        source="arXiv:1904.01802; HobbitLong/RepDistiller@b84f547",
        takes=inputs_of(CorrelationCongruence.forward),
        options=options_of(CorrelationCongruence),
        make=CorrelationCongruence,
    ),
    Loss(
        name="fitnet",
        summary="FitNet: match maps and embeddings, after a 1x1 projection",
        source="arXiv:1412.6550; lenscloth/RKD@0a6c3c0",
        takes=inputs_of(FitNet.forward),
        options=options_of(FitNet),
        make=FitNet,
        layers=("stage2", "stage3", "stage4", "embedding"),
    ),
    Loss(
        name="fitnet_regressor",
        summary="FitNet as in RepDistiller: match a map after a convolution, batch normalisation and ReLU",
        source="arXiv:1412.6550; HobbitLong/RepDistiller@b84f547",
        takes=inputs_of(FitNetRegressor.forward),
        options=options_of(FitNetRegressor),
        make=FitNetRegressor,
        layers=("stage2",),
    ),
    replace(
        pure_loss(
            attention_transfer,
            summary="AT: match where in the image the features are strong",
            source="arXiv:1612.03928; lenscloth/RKD@0a6c3c0",
            layers=("stage2", "stage3", "stage4"),
        ),
        of_places=True,
    ),
    replace(
        pure_loss(
            neuron_selectivity,
            summary="NST: match the distribution of the channels' patterns over the image",
            source="arXiv:1707.01219; HobbitLong/RepDistiller@b84f547",
            layers=("stage2", "stage3", "stage4"),
        ),
        of_places=True,
    ),
    pure_loss(
        hinton_kd,
        summary="KD: match the teacher's softened class probabilities; needs its classifier, of the same classes",
        source="arXiv:1503.02531; HobbitLong/RepDistiller@b84f547",
    ),
    replace(
        pure_loss(
            refilled_embedding,
            summary="REFILLED, first stage: match how the teacher relates a positive to hard negatives",
            source="arXiv:2205.01915; njulus/GKD@a37fc79",
        ),
        waits="the student's distances decide how many tuples there are, but for negatives = nearest",
    ),
    pure_loss(
        refilled_classifier,
        summary="REFILLED, second stage: cross-entropy, and soft labels from the teacher's nearest class means",
        source="arXiv:2205.01915; njulus/GKD@a37fc79",
    ),
)
"""relbench's losses by name; `find_loss` finds those of pytorch-metric-learning as "pml:<class>"."""


def find_loss(name: str, source: str = "") -> Loss:
    """The entry of a loss.

    Args:
        name: a key of `LOSSES`, or "pml:" and the name of a loss of pytorch-metric-learning.
        source: Python source of a user's loss; see `own_loss`. A worker process executes it.

    Raises:
        ValueError: there is no such loss; the message suggests close names.
    """
    if source:
        return user_loss(name, source)
    if name.startswith(PREFIX):
        return pml_entry(name.removeprefix(PREFIX))
    return LOSSES[lookup(name, [*LOSSES, f"{PREFIX}<name>"], "loss")]


def validate_term(name: str, options: Mapping[str, Any], source: str = "") -> None:
    """Refuse an unknown loss or impossible options before any work starts.

    Raises:
        ValueError: unknown loss; unknown, missing or wrong option.
    """
    find_loss(name, source).check(options)
