"""Metrics of classification: accuracy, likelihood and calibration of logits, and logits by nearest class means.

Wherever two classes have the same logit, the lower class number counts as the likelier, as in `argmax`: each image is
classified as exactly one class, and a network that says the same of all classes is right on those of class 0 alone.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from relbench.evaluation.knn.points import Booleans, Embeddings, Floats, Integers, as_array
from relbench.evaluation.retrieval import check_labels
from relbench.losses import class_centres

TOP = 5
BINS = 15
"""Of the top probability, equally wide, for the calibration error."""


def classification_metrics(logits: Embeddings, labels: ArrayLike) -> dict[str, float]:
    """Accuracy, likelihood and calibration error of a classifier.

    `accuracy`: the share of images whose class has the highest logit. `top5`: whose class is among the 5 highest (or
    all, if there are fewer). `class_accuracy`: the mean of the accuracies of the classes that occur among the labels.
    `likelihood`: the geometric mean of the probability of the right class, ``exp(-negative_log_likelihood)``.
    `calibration_error`: with images in 15 equally wide bins of their largest probability, each open below and closed
    above, the mean over images of ``|accuracy - mean largest probability|`` of their bin. Probabilities are the
    softmax of the logits. Of equal logits, that of the lower class number counts as the higher.

    Args:
        logits: (images, classes) array or tensor of floats of any width, or of integers; no gradient flows.
        labels: (images,) class numbers below `classes`: integers, or floats that are whole numbers.

    Returns:
        The five metrics, in [0, 1]; computed in float64. All but `calibration_error` are better if larger.

    Raises:
        ValueError: Wrong shapes, no images or no classes, logits that are not finite numbers, or labels that are no
            class numbers.

    Source:
        Accuracy as in helper/util.py of HobbitLong/RepDistiller@b84f547, there in percent. Calibration error: C. Guo
        et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv:1706.04599), equations 2 to 5.

    Example:
        >>> classification_metrics(np.log([[0.5, 0.5], [0.5, 0.5]]), [0, 1])["accuracy"]
        0.5
    """
    scores, numbers = _checked(logits, labels)
    places = _places(scores, numbers)
    confidence = torch.from_numpy(scores).softmax(dim=1).amax(dim=1).numpy()
    return {
        "accuracy": float((places == 0).mean()),
        "top5": float((places < TOP).mean()),
        "class_accuracy": _class_accuracy(numbers, places == 0),
        "likelihood": float(np.exp(_mean_log_probability(scores, numbers))),
        "calibration_error": _calibration_error(confidence, places == 0),
    }


def correct(logits: Embeddings, labels: ArrayLike, k: int = 1) -> Booleans:
    """(images,) whether the class of each image is among the k highest logits.

    Its mean is `accuracy` of `classification_metrics`, or `top5` for k = 5; arguments and errors are as there.

    Raises:
        ValueError: k below 1, too.
    """
    if k < 1:
        raise ValueError(f"k = {k} must be 1 or more")
    return _places(*_checked(logits, labels)) < k


def negative_log_likelihood(logits: Embeddings, labels: ArrayLike) -> float:
    """The mean over images of the negative logarithm of the right class's probability, in nats.

    Arguments and errors as in `classification_metrics`. It is computed in float64, is at least 0 and has no upper
    bound; a network that says the same of all classes has ``log(classes)``.
    """
    scores, numbers = _checked(logits, labels)
    return -_mean_log_probability(scores, numbers)


def class_means(embeddings: Embeddings, labels: ArrayLike, classes: int) -> Floats:
    """The mean of each class's embeddings, scaled to unit length: what `nearest_class_mean` compares with.

    Args:
        embeddings: (images, dim) array or tensor of training images, not brought to unit length first.
        labels: (images,) class numbers below `classes`.
        classes: Number of classes; each must have an image.

    Returns:
        (classes, dim) in float64. A class whose mean is zero keeps it.

    Raises:
        ValueError: Wrong shapes, embeddings that are not finite numbers, labels that are no class numbers, or a class
            without images.

    Source:
        `train_stage2` of njulus/GKD@a37fc79; the same as `relbench.losses.class_centres`.
    """
    rows, numbers = _matrix(embeddings, "embeddings"), _class_numbers(labels, len(embeddings), classes)
    empty = np.bincount(numbers, minlength=classes) == 0
    if empty.any():
        raise ValueError(f"class {int(empty.argmax())} has no images, and so no mean: pass images of every class")
    return class_centres(torch.from_numpy(rows), torch.from_numpy(numbers), classes).numpy()


def nearest_class_mean(embeddings: Embeddings, means: Embeddings) -> Floats:
    """Logits by class means: the inner products of embeddings with the means of `class_means`.

    As these have unit length, the highest is that of the mean that is nearest by Euclidean distance, and nearest by
    angle. The accuracy of these logits says how well embeddings separate classes without a trained head.

    Args:
        embeddings: (images, dim) array or tensor, not brought to unit length first.
        means: (classes, dim) from `class_means`.

    Returns:
        (images, classes) in float64.

    Raises:
        ValueError: Wrong shapes, or what is not a finite number.

    Source:
        `Test.test_ncm` of njulus/GKD@a37fc79.
    """
    rows, columns = _matrix(embeddings, "embeddings"), _matrix(means, "means")
    if rows.shape[1] != columns.shape[1]:
        raise ValueError(
            f"embeddings have {rows.shape[1]} dimensions, but the class means have {columns.shape[1]}: compute the "
            "means from embeddings of the same network"
        )
    product: Floats = rows @ columns.T
    return product


def _checked(logits: Embeddings, labels: ArrayLike) -> tuple[Floats, Integers]:
    scores = _matrix(logits, "logits")
    return scores, _class_numbers(labels, *scores.shape)


def _matrix(given: Embeddings, name: str) -> Floats:
    """As float64, which holds any narrower float exactly."""
    array = as_array(given)
    if array.dtype.kind not in "fiu" or array.ndim != 2 or not array.size:
        raise ValueError(
            f"{name} must be a matrix of numbers with at least one row and one column, not {array.dtype} of shape "
            f"{array.shape}: pass one row per image"
        )
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{name} hold NaN or infinity, first in row {int(bad.argmax())} ({int(bad.sum())} row(s) in all): look at "
            "the checkpoint that made them"
        )
    return np.ascontiguousarray(array, dtype=np.float64)


def _class_numbers(labels: ArrayLike, rows: int, classes: int) -> Integers:
    array = as_array(labels)
    if array.shape != (rows,):
        raise ValueError(f"labels have the shape {array.shape}, but there are {rows} images: pass one label per image")
    numbers: NDArray[Any] = check_labels(array, rows)
    if numbers.dtype.kind in "SU":
        raise ValueError(f"labels must be class numbers from 0 to {classes - 1}, not names: number the classes")
    outside = (numbers < 0) | (numbers >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(
            f"labels must be class numbers from 0 to {classes - 1}, but row {row} holds {numbers[row]}: number the "
            "classes as the logits' columns"
        )
    return numbers.astype(np.int64)


def _places(scores: Floats, numbers: Integers) -> Integers:
    """(images,) how many classes stand before the right one: those with a higher logit, or an equal one and number."""
    own = np.take_along_axis(scores, numbers[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < numbers[:, None]
    before: Integers = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return before


def _mean_log_probability(scores: Floats, numbers: Integers) -> float:
    """Of the right classes, in nats."""
    log_probabilities = torch.from_numpy(scores).log_softmax(dim=1).numpy()
    return float(np.take_along_axis(log_probabilities, numbers[:, None], axis=1).mean())


def _class_accuracy(numbers: Integers, right: Booleans) -> float:
    trials = np.bincount(numbers)
    return float((np.bincount(numbers, weights=right)[trials > 0] / trials[trials > 0]).mean())


def _calibration_error(confidence: Floats, right: Booleans) -> float:
    """Sum over bins of ``|sum of right - sum of confidence|``, over all images: the bins' gaps, weighted by size."""
    bins = np.searchsorted(np.arange(1, BINS + 1) / BINS, confidence, side="left")
    return float(np.abs(np.bincount(bins, weights=right - confidence)).sum() / len(right))
