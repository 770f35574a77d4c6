"""Is one model better than another at retrieval, beyond what chance explains?

Two kinds of chance, two intervals:

- *Over queries*: another sample of test classes would have given other numbers. Images of a
  class succeed and fail together, so whole classes are resampled, not queries. This interval
  speaks about new classes of the same kind, for the networks that were trained, and for no others.
- *Over seeds*: another initialisation and another order of batches would have given other networks.
  This interval speaks about new training runs on the same data, for the test classes at hand.

Neither covers the choice of the data set, of the hyper-parameters or of the training split.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from relbench.comparison import Comparison, Interval, Verdict
from relbench.evaluation.points import Floats, Integers
from relbench.evaluation.retrieval import RecallCounts

_DRAWS_AT_ONCE = 1 << 18


def seed_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean over seeds and Student's t interval of it.

    mean +- t(confidence, S - 1) s / sqrt(S), s the standard deviation with S - 1 in its
    denominator. Covers new seeds, not new test classes.

    Args:
        values: (seeds,) one number per seed.
        confidence: In (0, 1).

    Returns:
        The mean and its interval, which has no ends for a single seed.

    Raises:
        ValueError: No values, values that are not finite or not one-dimensional, or a confidence
            outside (0, 1).
    """
    numbers = np.asarray(values, dtype=np.float64)
    _check_confidence(confidence)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise ValueError(
            f"values of shape {numbers.shape} must be a list of finite numbers, one per seed: "
            "leave out runs that failed"
        )
    mean = float(numbers.mean())
    if len(numbers) == 1:
        return Interval(mean)
    error = float(numbers.std(ddof=1)) / len(numbers) ** 0.5
    return _student(mean, error, len(numbers) - 1, confidence)


def paired_class_bootstrap(
    correct: ArrayLike,
    reference_correct: ArrayLike,
    queries: ArrayLike,
    *,
    generator: np.random.Generator,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """Difference of two models' recall on the same queries, whole classes resampled.

    The difference is sum_c (correct_c - reference_c) / sum_c queries_c. Its standard error
    is the standard deviation over resamples of as many classes, drawn with replacement, times
    sqrt(C / (C - 1)); the interval is Student's t with C - 1 degrees of freedom, C classes. Plain
    percentiles of the resamples come out too narrow where classes are few: for 10 classes they held
    the truth in 88 % of simulated data sets, this interval in 92 to 95 %.

    Covers new test classes for the networks at hand, not new training runs.

    Args:
        correct: (classes,) or (seeds, classes) correct queries; seeds are averaged first.
        reference_correct: The same of the other model; one seed is compared with all.
        queries: (classes,) queries per class.
        generator: Draws the classes.
        resamples: From 2.
        confidence: In (0, 1).

    Raises:
        ValueError: Fewer than two classes, shapes that don't fit, counts outside 0..queries, fewer
            than two resamples, or a confidence outside (0, 1).

    Source:
        Cameron, Gelbach & Miller, Bootstrap-Based Improvements for Inference with Clustered Errors,
        Review of Economics and Statistics 90(3), 2008: pairs cluster bootstrap of the standard
        error.
    """
    _check_confidence(confidence)
    if resamples < 2:
        raise ValueError(f"resamples = {resamples} give no spread: use 10,000")
    size = _check_queries(queries)
    gain = _mean_counts(correct, size) - _mean_counts(reference_correct, size)
    difference = float(gain.sum() / size.sum())
    classes = len(size)
    drawn = _resampled(gain, size, generator, resamples)
    error = float(drawn.std(ddof=1)) * (classes / (classes - 1)) ** 0.5
    return _student(difference, error, classes - 1, confidence)


def compare(
    student: Sequence[RecallCounts],
    teacher: Sequence[RecallCounts],
    *,
    generator: np.random.Generator,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> Comparison:
    """Does a student beat its teacher?

    "beats" and "loses" need every interval there is, over queries and over seeds, to lie on that
    side of zero; so at most 1 - confidence of equal pairs get either word.

    Args:
        student: Counts of each seed's student, as `retrieval.recall_by_class` makes them.
        teacher: Counts of the teacher that belongs to each student, in the same order; or of one
            teacher for all of them.
        generator: Draws the classes.
        resamples: From 2.
        confidence: In (0, 1).

    Raises:
        ValueError: Not the same queries, numbers of seeds that don't fit, or what
            `paired_class_bootstrap` refuses.
    """
    _check_pairs(student, teacher)
    size = student[0].queries
    correct = np.stack([counts.correct for counts in student])
    reference = np.stack([counts.correct for counts in teacher])
    over_queries = paired_class_bootstrap(
        correct, reference, size, generator=generator, resamples=resamples, confidence=confidence
    )
    over_seeds = seed_interval((correct - reference).sum(axis=1) / size.sum(), confidence)
    sides = {over_queries.side, over_seeds.side} - {None}
    return Comparison(over_queries.mean, over_queries, over_seeds, len(student), _verdict(sides))


def _verdict(sides: set[int | None]) -> Verdict:
    return "beats" if sides == {1} else "loses" if sides == {-1} else "does not differ"


def _student(mean: float, error: float, freedom: int, confidence: float) -> Interval:
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * error  # quantile of Student's t
    return Interval(mean, mean - reach, mean + reach)


def _resampled(gain: Floats, size: Integers, generator: np.random.Generator, resamples: int) -> Floats:
    """(resamples,) differences of recall, each over as many classes drawn with replacement."""
    classes = len(size)
    step = max(1, _DRAWS_AT_ONCE // classes)
    drawn = []
    for start in range(0, resamples, step):
        shape = (min(step, resamples - start), classes)
        chosen = generator.integers(classes, size=shape, dtype=np.int32)
        drawn.append(gain[chosen].sum(axis=1) / size[chosen].sum(axis=1))
    return np.concatenate(drawn)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence} must lie between 0 and 1: use 0.95")


def _check_queries(queries: ArrayLike) -> Integers:
    size = np.asarray(queries)
    if size.ndim != 1 or len(size) < 2 or size.dtype.kind not in "iu" or (size < 1).any():
        raise ValueError(
            f"queries of shape {size.shape} must be whole numbers from 1, for at least two "
            "classes: fewer can't be resampled"
        )
    return size


def _mean_counts(counts: ArrayLike, size: Integers) -> Floats:
    """(classes,) mean over seeds."""
    array = np.atleast_2d(np.asarray(counts, dtype=np.float64))
    if array.ndim != 2 or array.shape[1] != len(size) or not len(array):
        raise ValueError(
            f"counts of shape {array.shape} must be (classes,) or (seeds, classes) with "
            f"{len(size)} classes, as the queries have: not the same queries"
        )
    if not ((array >= 0) & (array <= size)).all():
        raise ValueError("counts of correct queries must lie in 0..queries: look at the rows")
    return np.asarray(array.mean(axis=0))


def _check_pairs(student: Sequence[RecallCounts], teacher: Sequence[RecallCounts]) -> None:
    if not student or len(teacher) not in (1, len(student)):
        raise ValueError(
            f"{len(student)} student(s) and {len(teacher)} teacher(s) don't pair up: pass one "
            "teacher per student, or one for all"
        )
    first = student[0]
    for counts in (*student, *teacher):
        same = np.array_equal(counts.labels, first.labels)
        if not (same and np.array_equal(counts.queries, first.queries)):
            raise ValueError(
                "not the same queries: classes or their numbers of queries differ; "
                "evaluate student and teacher on the same test set"
            )
