"""Metrics of embeddings, and tests of whether a model beats another."""

from relbench.counts import Counts
from relbench.evaluation.classification import (
    class_means,
    classification_metrics,
    correct,
    nearest_class_mean,
    negative_log_likelihood,
)
from relbench.evaluation.few_shot import (
    Episodes,
    draw_episodes,
    few_shot_accuracy,
    few_shot_interval,
    right_queries,
)
from relbench.evaluation.gallery.sharded import Sharding, sharded_query_results
from relbench.evaluation.knn.neighbours import nearest
from relbench.evaluation.measured import Measurement, Shares, measure
from relbench.evaluation.paired import PairedComparison, compare_measurements
from relbench.evaluation.pairs import PairDistances, pair_distances
from relbench.evaluation.recall import Recall
from relbench.evaluation.retrieval import (
    means,
    query_results,
    recall_by_class,
    retrieval_metrics,
)
from relbench.evaluation.scores import mean_average_precision_at_r_score, r_precision_score, recall_at_k_score
from relbench.evaluation.significance import (
    chance_of,
    claimed_sides,
    compare,
    family_sides,
    holm,
    holm_adjusted,
    over_seeds,
    over_seeds_and_classes,
    seed_interval,
)
from relbench.evaluation.stored import Files, Stored, read_embeddings, read_files
from relbench.evaluation.stored_search import measured_embeddings, measured_files, measured_logits, stored_metrics

__all__ = [
    "Counts",
    "Episodes",
    "Files",
    "Measurement",
    "PairDistances",
    "PairedComparison",
    "Recall",
    "Sharding",
    "Shares",
    "Stored",
    "chance_of",
    "claimed_sides",
    "class_means",
    "classification_metrics",
    "compare",
    "compare_measurements",
    "correct",
    "draw_episodes",
    "family_sides",
    "few_shot_accuracy",
    "few_shot_interval",
    "holm",
    "holm_adjusted",
    "mean_average_precision_at_r_score",
    "means",
    "measure",
    "measured_embeddings",
    "measured_files",
    "measured_logits",
    "nearest",
    "nearest_class_mean",
    "negative_log_likelihood",
    "over_seeds",
    "over_seeds_and_classes",
    "pair_distances",
    "query_results",
    "r_precision_score",
    "read_embeddings",
    "read_files",
    "recall_at_k_score",
    "recall_by_class",
    "retrieval_metrics",
    "right_queries",
    "seed_interval",
    "sharded_query_results",
    "stored_metrics",
]
