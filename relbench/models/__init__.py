"""Embedding networks and their trunks."""

from relbench.models.classifier import Classifier, build_classifier
from relbench.models.embedder import Embedder, build_embedder, build_features, embed, evaluating
from relbench.models.observed import Observed, layers_of
from relbench.models.trunks import TRUNKS, check_weights, weights_of

__all__ = [
    "TRUNKS",
    "Classifier",
    "Embedder",
    "Observed",
    "build_classifier",
    "build_embedder",
    "build_features",
    "check_weights",
    "embed",
    "evaluating",
    "layers_of",
    "weights_of",
]
