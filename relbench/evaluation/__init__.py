"""How good are embeddings at retrieval, and is one model better than another?"""

from relbench.evaluation.neighbours import nearest
from relbench.evaluation.pairs import PairDistances, pair_distances
from relbench.evaluation.retrieval import (
    Answers,
    RecallCounts,
    means,
    per_query,
    recall_by_class,
    retrieval_metrics,
)
from relbench.evaluation.significance import claimed_sides, compare, holm, paired_class_bootstrap, seed_interval
from relbench.evaluation.stored import Stored, read_embeddings, stored_metrics

__all__ = [
    "Answers",
    "PairDistances",
    "RecallCounts",
    "Stored",
    "claimed_sides",
    "compare",
    "holm",
    "means",
    "nearest",
    "pair_distances",
    "paired_class_bootstrap",
    "per_query",
    "read_embeddings",
    "recall_by_class",
    "retrieval_metrics",
    "seed_interval",
    "stored_metrics",
]
