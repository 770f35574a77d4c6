"""Names of metrics for readers, and the sentences on what they are."""

import pytest

from relbench.evaluation import classification_metrics
from relbench.evaluation.metric_names import MEANINGS, NAMES, half_interval_of, in_sentence, metric_name


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
        ("5way_1shot", "5-way 1-shot accuracy", "5-way 1-shot accuracy"),
        ("20way_5shot_ci95", "20-way 5-shot ± 95 % over episodes", "20-way 5-shot ± 95 % over episodes"),
    ],
)
def test_names(metric, name, within):
    assert (metric_name(metric), in_sentence(metric)) == (name, within)


def test_half_intervals_are_known_from_metrics():
    assert half_interval_of("20way_5shot_ci95") == "20way_5shot"
    assert half_interval_of("20way_5shot") is half_interval_of("recall@1") is None


def test_metrics_of_classification_are_told_but_for_those_that_everybody_knows():
    known = {"accuracy", "top5"}
    assert MEANINGS.keys() | known == classification_metrics([[1.0, 0.0]], [0]).keys() | {"ncm_accuracy"}
    assert "the lower, the better" in MEANINGS["calibration_error"]
    assert NAMES["class_accuracy"] == "Mean class accuracy"
