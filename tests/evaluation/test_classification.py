"""Metrics of classification: by hand, by their definitions in loops, and what must not matter or is refused."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, log_loss, top_k_accuracy_score

from relbench.evaluation import (
    class_means,
    classification_metrics,
    correct,
    nearest_class_mean,
    negative_log_likelihood,
)

REFERENCE = Path(__file__).parents[1] / "reference/tasks"
Matrix = NDArray[Any]


def drawn(images: int, classes: int, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Logits that are right more often than not, and labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=images)
    return 2 * generator.standard_normal((images, classes)) + 2 * np.eye(classes)[labels], labels


def probabilities(row: Matrix) -> list[float]:
    weights = [math.exp(float(logit) - float(max(row))) for logit in row]
    return [weight / sum(weights) for weight in weights]


def in_loops(logits: Matrix, labels: Matrix) -> dict[str, float]:
    """The metrics by their definitions."""
    ranked = [sorted(range(len(row)), key=lambda c, row=row: (-row[c], c)) for row in logits]
    right = [row[0] == label for row, label in zip(ranked, labels, strict=True)]
    shares = [[ok for ok, label in zip(right, labels, strict=True) if label == c] for c in sorted(set(labels.tolist()))]
    told = [probabilities(row) for row in logits]
    gaps = []
    for m in range(15):
        bin_ = [i for i, row in enumerate(told) if m / 15 < max(row) <= (m + 1) / 15]
        gaps.append(abs(sum(right[i] for i in bin_) - sum(max(told[i]) for i in bin_)))
    return {
        "accuracy": sum(right) / len(right),
        "top5": sum(label in row[:5] for row, label in zip(ranked, labels, strict=True)) / len(right),
        "class_accuracy": sum(sum(share) / len(share) for share in shares) / len(shares),
        "likelihood": math.prod(row[label] for row, label in zip(told, labels, strict=True)) ** (1 / len(right)),
        "calibration_error": sum(gaps) / len(right),
    }


def test_hand_worked_case():
    # Probabilities of three classes, and labels:
    #   .7 .2 .1  label 0: right            bin (.667, .733]
    #   .7 .1 .2  label 2: wrong, second    the same
    #   .1 .3 .6  label 2: right            bin (.533, .6]
    #   .1 .8 .1  label 0: wrong; with class 2 as high, class 0 comes second    bin (.733, .8]
    # accuracy 2/4; classes 0: 1/2, 2: 1/2 and class 1 does not occur; likelihood (.7 * .2 * .6 * .1)^(1/4)
    # calibration error (|1 - 1.4| + |1 - .6| + |0 - .8|) / 4 = .4
    told = np.array([[0.7, 0.2, 0.1], [0.7, 0.1, 0.2], [0.1, 0.3, 0.6], [0.1, 0.8, 0.1]])
    labels = [0, 2, 2, 0]
    found = classification_metrics(np.log(told) + 7, labels)
    assert found == {
        "accuracy": 0.5,
        "top5": 1.0,
        "class_accuracy": 0.5,
        "likelihood": pytest.approx((0.7 * 0.2 * 0.6 * 0.1) ** 0.25),
        "calibration_error": pytest.approx(0.4),
    }
    assert correct(np.log(told), labels).tolist() == [True, False, True, False]
    assert correct(np.log(told), labels, k=2).tolist() == [True, True, True, True]
    assert negative_log_likelihood(np.log(told), labels) == pytest.approx(-math.log(0.7 * 0.2 * 0.6 * 0.1) / 4)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_metrics_are_their_definitions_in_loops(images: int, classes: int, seed: int):
    logits, labels = drawn(images, classes, seed)
    logits = logits.round(seed % 3)  # with none, one or two digits: many ties, some, few
    assert classification_metrics(logits, labels) == pytest.approx(in_loops(logits, labels), rel=1e-12, abs=1e-14)


def test_metrics_are_those_of_scikit_learn():
    logits, labels = drawn(300, 12)
    found, every = classification_metrics(logits, labels), list(range(12))
    softmax = np.array([probabilities(row) for row in logits])
    assert found["accuracy"] == (logits.argmax(axis=1) == labels).mean()
    assert found["top5"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=every))
    assert found["class_accuracy"] == pytest.approx(balanced_accuracy_score(labels, logits.argmax(axis=1)))
    assert negative_log_likelihood(logits, labels) == pytest.approx(log_loss(labels, softmax, labels=every))
    assert found["likelihood"] == pytest.approx(math.exp(-log_loss(labels, softmax, labels=every)))


def test_accuracy_is_repdistillers():
    with np.load(REFERENCE / "accuracy_64x20.npz") as known:
        found = classification_metrics(known["logits"], known["labels"])
        assert (found["accuracy"], found["top5"]) == (float(known["top1"]), float(known["top5"]))


def test_nearest_class_means_are_gkds():
    with np.load(REFERENCE / "refilled_centres_ncm.npz") as known:
        means = class_means(known["train_embeddings"], known["train_labels"], len(known["centres"]))
        logits = nearest_class_mean(known["query_embeddings"], means)
        np.testing.assert_allclose(means, known["centres"], rtol=1e-10)
        np.testing.assert_allclose(logits, known["teacher_logits"], rtol=1e-10)
        assert correct(logits, known["query_labels"]).mean() == float(known["ncm_accuracy"])


def test_the_highest_logit_is_the_nearest_mean():
    """By Euclidean distance, as the means have unit length."""
    rows, labels = drawn(200, 6)
    queries = np.random.default_rng(1).standard_normal((100, 6))
    means = class_means(rows, labels, 6)
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), 1)
    nearest = [min(range(6), key=lambda c: math.dist(query, means[c])) for query in queries]
    assert nearest_class_mean(queries, means).argmax(axis=1).tolist() == nearest


def test_the_metrics_see_differences_of_logits_alone_and_not_the_order_of_images():
    logits, labels = drawn(50, 7)
    found, order = classification_metrics(logits, labels), np.random.default_rng(0).permutation(50)
    moved = logits + np.random.default_rng(1).standard_normal((50, 1))
    assert classification_metrics(moved[order], labels[order]) == pytest.approx(found, rel=1e-12)


def test_ties_go_to_the_lower_class_number():
    logits, labels = np.zeros((8, 8)), np.arange(8)
    assert correct(logits, labels).tolist() == [True] + [False] * 7
    assert correct(logits, labels, k=5).tolist() == [True] * 5 + [False] * 3
    signed = np.where(np.arange(8) % 2, 0.0, -0.0) * np.ones((8, 1))  # equal numbers
    assert correct(signed, labels).tolist() == [True] + [False] * 7
    found = classification_metrics(logits, labels)
    assert found == pytest.approx(
        {"accuracy": 1 / 8, "top5": 5 / 8, "class_accuracy": 1 / 8, "likelihood": 1 / 8, "calibration_error": 0}
    )
    assert negative_log_likelihood(logits, labels) == pytest.approx(math.log(8))


def test_class_accuracy_weighs_classes_alike():
    logits = np.eye(3)[[0, 0, 0, 0, 1]]
    assert classification_metrics(logits, [0, 0, 0, 0, 2])["class_accuracy"] == 0.5
    assert classification_metrics(logits, [0, 0, 0, 0, 2])["accuracy"] == 0.8


def test_a_bin_is_open_below_and_closed_above():
    """1/3 is the edge of two bins: it falls together with what is below it, and not with what is above."""
    edge, below, above = [0, 0, 0, -1e3], np.log([0.3, 0.3, 0.3, 0.1]), np.log([0.35, 0.35, 0.2, 0.1])
    together = classification_metrics(np.array([edge, below]), [0, 3])["calibration_error"]
    apart = classification_metrics(np.array([edge, above]), [0, 3])["calibration_error"]
    assert together == pytest.approx(abs(1 - 1 / 3 - 0.3) / 2)
    assert apart == pytest.approx((1 - 1 / 3 + 0.35) / 2)


@pytest.mark.parametrize("images", [1, 3])
def test_a_single_class_is_always_right(images: int):
    found = classification_metrics(np.full((images, 1), -3.0), [0] * images)
    assert found == {"accuracy": 1, "top5": 1, "class_accuracy": 1, "likelihood": 1, "calibration_error": 0}


def test_large_logits_do_not_overflow():
    logits = np.array([[1e300, -1e300], [-1e300, 1e300], [1e300, 0.0]])
    assert classification_metrics(logits, [0, 1, 0]) == pytest.approx(
        {"accuracy": 1, "top5": 1, "class_accuracy": 1, "likelihood": 1, "calibration_error": 0}
    )
    assert negative_log_likelihood(logits, [1, 0, 1]) > 1e299
    assert classification_metrics(logits, [1, 0, 1])["likelihood"] == 0
    assert classification_metrics(logits, [1, 0, 1])["calibration_error"] == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_of_any_width_count_as_what_they_hold(dtype: torch.dtype):
    logits, labels = drawn(40, 6)
    tensor = torch.from_numpy(logits).to(dtype).requires_grad_()
    held = tensor.detach().double().numpy()
    wanted = classification_metrics(held, labels)
    assert classification_metrics(tensor, torch.from_numpy(labels)) == wanted
    assert classification_metrics(tensor, torch.from_numpy(labels).float()) == wanted
    assert classification_metrics(tensor, labels.tolist()) == wanted
    assert negative_log_likelihood(tensor, labels) == negative_log_likelihood(held, labels)
    means = class_means(tensor, labels, 6)
    assert means.dtype == np.float64
    np.testing.assert_array_equal(means, class_means(held, labels, 6))


def test_collapsed_embeddings_have_finite_logits():
    means = class_means(np.zeros((4, 3)), [0, 0, 1, 1], 2)
    assert (nearest_class_mean(np.zeros((2, 3)), means) == 0).all()


LOGITS = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("logits", "labels", "said"),
    [
        (np.zeros(3), [0, 0, 0], "logits must be a matrix of numbers"),
        (np.zeros((2, 3, 1)), [0, 0], "logits must be a matrix of numbers"),
        (np.zeros((0, 3)), [], "at least one row"),
        (np.zeros((2, 0)), [0, 0], "one column"),
        (np.array([["a", "b"]]), [0], "logits must be a matrix of numbers"),
        (np.zeros((2, 3), complex), [0, 0], "logits must be a matrix of numbers"),
        (np.array([[0, 1], [np.nan, 1]]), [0, 0], "logits hold NaN or infinity, first in row 1"),
        (torch.tensor([[0, torch.inf]]), [0], "logits hold NaN or infinity, first in row 0"),
        (np.array([[0, -np.inf]]), [0], "logits hold NaN or infinity"),
        (LOGITS, [0], "labels have the shape"),
        (LOGITS, [[0], [1]], "labels have the shape"),
        (LOGITS, [0, 3], "from 0 to 2, but row 1 holds 3"),
        (LOGITS, [-1, 0], "from 0 to 2, but row 0 holds -1"),
        (LOGITS, [0, 0.5], "whole numbers"),
        (LOGITS, [0, float("nan")], "whole numbers"),
        (LOGITS, ["a", "b"], "not names"),
    ],
)
@pytest.mark.parametrize("function", [classification_metrics, correct, negative_log_likelihood])
def test_bad_input_is_refused_in_a_line(function: Any, logits: Any, labels: Any, said: str):
    with pytest.raises(ValueError, match=said) as refused:
        function(logits, labels)
    assert "\n" not in str(refused.value)


def test_bad_class_means_are_refused_in_a_line():
    with pytest.raises(ValueError, match="class 1 has no images"):
        class_means(np.ones((2, 3)), [0, 2], 3)
    with pytest.raises(ValueError, match="from 0 to 1, but row 1 holds 2"):
        class_means(np.ones((2, 3)), [0, 2], 2)
    with pytest.raises(ValueError, match="embeddings hold NaN"):
        class_means(np.full((2, 3), np.nan), [0, 1], 2)
    with pytest.raises(ValueError, match="4 dimensions, but the class means have 3"):
        nearest_class_mean(np.ones((2, 4)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="k = 0 must be 1 or more"):
        correct(LOGITS, [0, 0], k=0)
