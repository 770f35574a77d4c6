"""Embedding networks and their trunks."""

from relbench.models.embedder import (
    Embedder,
    blank_network,
    build_embedder,
    build_features,
    embed,
    evaluating,
    initial_network,
)
from relbench.models.features import FeatureExtractor, layers_of
from relbench.models.folding import folded
from relbench.models.heads import Classifier, build_classifier
from relbench.models.outlines import embedding_size, outline, shapes_of_maps
from relbench.models.trunks import TRUNKS, check_weights, find_trunk, listed_trunks, planned, weights_of

__all__ = [
    "TRUNKS",
    "Classifier",
    "Embedder",
    "FeatureExtractor",
    "blank_network",
    "build_classifier",
    "build_embedder",
    "build_features",
    "check_weights",
    "embed",
    "embedding_size",
    "evaluating",
    "find_trunk",
    "folded",
    "initial_network",
    "layers_of",
    "listed_trunks",
    "outline",
    "planned",
    "shapes_of_maps",
    "weights_of",
]
