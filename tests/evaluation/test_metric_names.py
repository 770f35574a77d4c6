"""Names of metrics for readers, and the sentences on what they are."""

import pytest

from relbench.evaluation import classification_metrics
from relbench.evaluation.metric_names import MEANINGS, NAMES, in_sentence, metric_name


@pytest.mark.parametrize(
    ("metric", "name", "within"),
    [
        ("recall@10", "Recall@10", "Recall@10"),
        ("map@r", "MAP@R", "MAP@R"),
        ("r_precision", "R-precision", "R-precision"),
        ("accuracy", "Accuracy", "accuracy"),
        ("top5", "Top-5 accuracy", "top-5 accuracy"),
        ("ncm_accuracy", "NCM accuracy", "NCM accuracy"),
        ("worst_class", "Worst class", "worst class"),
    ],
)
def test_names(metric, name, within):
    assert (metric_name(metric), in_sentence(metric)) == (name, within)


def test_metrics_of_classification_are_told_but_for_those_that_everybody_knows():
    known = {"accuracy", "top5"}
    assert MEANINGS.keys() | known == classification_metrics([[1.0, 0.0]], [0]).keys() | {"ncm_accuracy"}
    assert "the lower, the better" in MEANINGS["calibration_error"]
    assert NAMES["class_accuracy"] == "Mean class accuracy"
