"""How good are embeddings at retrieval, and is one model better than another?"""

from relbench.evaluation.neighbours import nearest
from relbench.evaluation.retrieval import (
    Answers,
    ClassCounts,
    per_query,
    recall_by_class,
    retrieval_metrics,
    summarise,
)
from relbench.evaluation.significance import compare, paired_class_bootstrap, seed_interval

__all__ = [
    "Answers",
    "ClassCounts",
    "compare",
    "nearest",
    "paired_class_bootstrap",
    "per_query",
    "recall_by_class",
    "retrieval_metrics",
    "seed_interval",
    "summarise",
]
