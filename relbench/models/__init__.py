"""Embedding networks and their trunks."""

from relbench.models.embedder import Embedder, build_embedder, embed, evaluating
from relbench.models.trunks import TRUNKS

__all__ = ["TRUNKS", "Embedder", "build_embedder", "embed", "evaluating"]
