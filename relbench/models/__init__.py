"""Embedding networks and their trunks."""

from relbench.models.embedder import Embedder, build_embedder, embed, evaluating
from relbench.models.observed import Observed, layers_of
from relbench.models.trunks import TRUNKS

__all__ = ["TRUNKS", "Embedder", "Observed", "build_embedder", "embed", "evaluating", "layers_of"]
