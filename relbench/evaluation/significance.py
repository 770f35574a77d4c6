"""Tests of whether a model is better than another beyond chance.

The words are those of retrieval. For another task, read its groups of trials for classes of queries: see `Counts`.
Groups that are drawn from a test set, as the episodes of few-shot learning are, cover less than test classes do: a
verdict is then about new training runs and new draws from the same test classes and images. It says nothing about other
classes, and their number limits what can be known of these however many groups are drawn: with many, the part of the
variance over groups vanishes, and what is left is the chance of training runs.

Two kinds of chance have made a difference what it is: another initialisation and another order of batches would have
led to other networks (*seeds*), and other test classes of the same kind to other queries, which succeed and fail
together within a class (*classes*). A verdict is about new training runs and new classes at once: both are random
factors, crossed, as every network answers every query (`crossed`). It does not cover the choice of the data set, of the
hyper-parameters and of the training split. The intervals over seeds alone (for the test classes at hand) and over
classes alone (for the networks at hand) stand beside it, and decide nothing.

As the variance has two parts, one of them of few degrees of freedom, the ratio of the difference to its standard error
has no exact distribution. The critical value is Cochran's (`estimate`). In 40 simulated worlds of 3 to 20 seeds and 50
to 11,000 classes (scripts/simulate_comparisons.py, results/simulations/comparisons.md) it finds a difference where
there is none in at most 5 % of comparisons and, after Holm's correction, in at most 5.5 % of tables of four; its
intervals hold the truth in 95 to 99 %. It is cautious with few seeds where the chance of single queries outweighs that
of seeds: with three seeds of a standard deviation below 1 point and 200 classes, it errs in 1 %.

Larger tables need more seeds, as their correction asks for levels at which it weighs more that the part over seeds
comes out small by chance. Of tables of 18 students, up to 7.9 % err with three seeds, and 5.2 % with five or more,
half a percent more or less (scripts/simulate_families.py, results/simulations/families.md). Two seeds don't keep the
size: 6 % of comparisons err, 10 % of tables of four and 15 % of tables of 18. The alternatives:

- Satterthwaite's degrees of freedom: more powerful (31 instead of 16 % of differences of 3.24 standard errors are
  shown in tables of three seeds, 55 instead of 50 % of seven), but 10 % of tables of three seeds err. From five seeds
  on, tables of four keep to 5.6 %.
- Both intervals alone, over seeds and over classes, excluding zero: up to 11 % of comparisons and 13 % of tables err
  where both kinds of chance are equally large and seeds are many.
- Seeds alone: up to 27 % err, as new classes are left out.
- A variance of seeds that is pooled over the methods of a table: by far the most powerful for three seeds, but a method
  that varies three times as much as the others gets a false verdict in 13 %. That methods vary alike can't be shown
  with few seeds: Bartlett's test of 19 methods of five seeds on Glyphs finds no difference (p = 0.38), and excludes no
  scatter of their standard deviations below a factor of 1.5 (e^0.4, at 95 %).
- Owen's pigeonhole bootstrap: up to 19 % of three seeds err, and as few as 0.5 % of more.

Source:
    Cochran, Approximate Significance Levels of the Behrens-Fisher Test, Biometrics 20(1), 1964.
    Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6(2), 1979.
    Owen, The Pigeonhole Bootstrap, Annals of Applied Statistics 1(2), 2007.
    Berger, Multiparameter Hypothesis Testing and Acceptance Sampling, Technometrics 24(4), 1982: intersection-union.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from relbench.evaluation.comparison import Comparison, Interval, Verdict
from relbench.evaluation.crossed import CrossedEstimates, crossed_estimates
from relbench.evaluation.estimate import Estimate, variance_of_mean


class Scores(Protocol):
    """Trials by group, and the sum of their scores: `Counts`, whose trials score 0 or 1, or `Shares`, in between."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups."""
        ...

    @property
    def trials(self) -> tuple[int, ...]:
        """Number of trials of each group."""
        ...

    @property
    def correct(self) -> Sequence[float]:
        """Sum of the scores of each group's trials."""
        ...


def seed_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean over seeds, and its Student's t interval.

    mean +- t(confidence, S - 1) s / sqrt(S), with s the standard deviation that has S - 1 in its
    denominator. Covers new seeds, not new test classes.

    Args:
        values: (seeds,) a number per seed.
        confidence: In (0, 1).

    Returns:
        The mean and its interval, which has no ends for a single seed.

    Raises:
        ValueError: No values, values that are not finite or not one-dimensional, or a confidence
            outside (0, 1).
    """
    _check_confidence(confidence)
    return over_seeds(values).interval(confidence)


def over_seeds(values: ArrayLike) -> Estimate:
    """Mean over seeds, with s^2 / S as its variance, which is unknown for a single seed.

    Args:
        values: (seeds,) a number per seed.

    Raises:
        ValueError: No values, or values that are not finite or not one-dimensional.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise ValueError(
            f"values of shape {numbers.shape} must be a list of finite numbers, one per seed: leave out failed runs"
        )
    part = variance_of_mean(numbers)
    return Estimate(float(numbers.mean()), (part,) if part else ())


def over_seeds_and_classes(student: Sequence[Scores], teacher: Sequence[Scores]) -> CrossedEstimates:
    """Estimates of the difference of two models' recall on the same queries: sum (correct - reference) / queries.

    Args:
        student: Counts of each seed's student.
        teacher: Counts of each student's teacher, in the same order; or of a single teacher for all.

    Raises:
        ValueError: Numbers of seeds that don't fit, or different queries: of student and teacher, or of two seeds.
            Groups that are drawn anew for each seed, as episodes may be, are nested in the seeds and not crossed with
            them. They are refused, as they can't be told from results that are mixed up.
    """
    _check_pairs(student, teacher)
    correct, reference = (
        np.array([counts.correct for counts in some], dtype=np.float64) for some in (student, teacher)
    )
    return crossed_estimates(correct - reference, np.array(student[0].trials))


def compare(student: Sequence[Scores], teacher: Sequence[Scores], *, confidence: float = 0.95) -> Comparison:
    """Comparison of a student with its teacher, and the verdict.

    "beats" and "loses" need the interval over new runs and new classes to lie on that side of zero: the verdict of a
    single comparison. Where there are several, `holm` corrects them. "not shown to differ" is no proof of equality:
    `detectable` says what would have been shown. A single seed gets "no verdict": it says nothing about new training
    runs, and fewer runs must never lead to a stronger verdict. So does a single class of queries, which says nothing
    about new classes, and a difference that no seed and no class varies, which says nothing of chance.

    Args:
        student: Counts of each seed's student.
        teacher: Counts of each student's teacher, in the same order; or of a single teacher for all.
        confidence: In (0, 1).

    Raises:
        ValueError: What `over_seeds_and_classes` refuses, or a confidence outside (0, 1).
    """
    _check_confidence(confidence)
    found = over_seeds_and_classes(student, teacher)
    both = found.over_both
    comparison = Comparison(
        difference=both.mean,
        interval=both.interval(confidence),
        over_classes=found.over_classes.interval(confidence),
        over_seeds=found.over_seeds.interval(confidence),
        seeds=len(student),
        verdict="no verdict",
        p_value=both.p_value,
        p_over_classes=found.over_classes.p_value,
        p_over_seeds=found.over_seeds.p_value,
        p_adjusted=None,
        parts=both.parts,
        remaining=found.remaining,
        freedom=both.freedom,
    )
    return _judged(comparison, comparison.p_value, 1, confidence)


def holm(comparisons: Sequence[Comparison], confidence: float = 0.95) -> list[Comparison]:
    """Comparisons with verdicts corrected for their number: without any true difference, 5 % of tables have a verdict.

    Holm's step-down: the k-th smallest of m p-values is multiplied by m - k + 1, kept from falling below the result of
    a smaller p-value, and capped at 1. The intervals stay those of each comparison alone; what is `detectable` is so at
    the level of the first step, (1 - confidence) / m, the strictest. A comparison of a single seed or class has no
    p-value and gets no verdict, but counts among the m: a missing run must not ease other verdicts.

    Args:
        comparisons: All that a claim was picked from, such as every student of a table.
        confidence: In (0, 1); 0.95 allows the 5 %.

    Returns:
        The comparisons in the same order, with `p_adjusted`, `family`, `detectable` and the verdict renewed.

    Raises:
        ValueError: A confidence outside (0, 1).
    """
    _check_confidence(confidence)
    adjusted = holm_adjusted([each.p_value for each in comparisons])
    return [_judged(each, p, len(comparisons), confidence) for each, p in zip(comparisons, adjusted, strict=True)]


def holm_adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values of a family, corrected for their number by Holm's step-down, see `holm`.

    Args:
        p_values: of all comparisons; None where there is none, which counts among them and stays None.
    """
    adjusted = _stepped_down([1.0 if p is None else p for p in p_values])
    return [None if p is None else by_family for p, by_family in zip(p_values, adjusted, strict=True)]


def family_sides(estimates: Sequence[Estimate | None], confidence: float = 0.95) -> list[int | None]:
    """Sides of zero on which the paired differences of a family lie, each a claim of its own.

    Unlike `claimed_sides`, where all must be above for a single claim to hold, differences above and below are told
    alike: after Holm's correction for all of them, those of unknown chance among them.

    Args:
        estimates: of each difference; None where nothing is known.
        confidence: In (0, 1); 0.95 allows 5 % of families a difference where there is none.

    Returns:
        1 above, -1 below, 0 neither, None where chance is unknown.

    Raises:
        ValueError: A confidence outside (0, 1).
    """
    _check_confidence(confidence)
    adjusted = holm_adjusted([chance_of(each) for each in estimates])
    return [
        None if each is None or p is None else (1 if each.mean > 0 else -1) * int(p < 1 - confidence)
        for each, p in zip(estimates, adjusted, strict=True)
    ]


def chance_of(estimate: Estimate | None) -> float | None:
    """The p-value of a paired difference; None where its variance is unknown, or zero, which says nothing of chance."""
    return estimate.p_value if estimate and estimate.error > 0 else None


def claimed_sides(estimates: Sequence[Estimate | None], confidence: float = 0.95) -> list[int | None]:
    """Sides of zero on which several paired differences lie, for a claim that all lie above.

    A difference is above where its own interval excludes zero: a claim that needs all of them is wrong with
    probability 1 - confidence at most (an intersection-union test), so it takes no correction. A difference is below
    where it is so after Holm's correction for all of them, as a single one refutes the claim. An unknown variance, or
    one of zero, says nothing about chance.

    Args:
        estimates: for each comparison: what is claimed to be better minus what is claimed to be worse, over seeds and
            classes, or over seeds where classes are unknown; None where nothing is known.
        confidence: In (0, 1).

    Returns:
        1 above, -1 below, 0 neither, None where chance is unknown.

    Raises:
        ValueError: A confidence outside (0, 1).
    """
    _check_confidence(confidence)
    p_values = [chance_of(each) for each in estimates]
    adjusted = iter(_stepped_down([p for p in p_values if p is not None]))
    return [
        None if each is None or p is None else _claimed_side(each.mean, p, next(adjusted), 1 - confidence)
        for each, p in zip(estimates, p_values, strict=True)
    ]


def _claimed_side(mean: float, p_value: float, p_adjusted: float, level: float) -> int:
    if mean > 0:
        return int(p_value < level)
    return -int(p_adjusted < level)


def _stepped_down(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, see `holm`."""
    alone = np.array(p_values, dtype=np.float64)
    order = np.argsort(alone, kind="stable")
    adjusted = np.empty_like(alone)
    adjusted[order] = np.maximum.accumulate(alone[order] * np.arange(len(alone), 0, -1)).clip(max=1)
    return [float(p) for p in adjusted]


def _judged(comparison: Comparison, p_adjusted: float | None, family: int, confidence: float) -> Comparison:
    """The comparison as one of a family."""
    if p_adjusted is None:
        return replace(comparison, p_adjusted=None, verdict="no verdict", family=family)
    side: Verdict = "beats" if comparison.difference > 0 else "loses"
    return replace(
        comparison,
        p_adjusted=p_adjusted,
        verdict=side if p_adjusted < 1 - confidence else "not shown to differ",
        detectable=Estimate(comparison.difference, comparison.parts).detectable((1 - confidence) / family),
        family=family,
    )


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence} must lie between 0 and 1: use 0.95")


def _check_pairs(student: Sequence[Scores], teacher: Sequence[Scores]) -> None:
    if not student or len(teacher) not in (1, len(student)):
        raise ValueError(
            f"{len(student)} student(s) and {len(teacher)} teacher(s) don't pair up: pass one "
            "teacher per student, or one for all"
        )
    asked = [(counts.groups, counts.trials) for counts in (*student, *teacher)]
    if all(each == asked[0] for each in asked):
        return
    if asked[: len(student)] == asked[len(student) :]:
        raise ValueError(
            "not the same trials: those of one seed are not those of another; evaluate every seed on the "
            "same test set (episodes too: draw them once, for all seeds)"
        )
    raise ValueError(
        "not the same trials: classes or their numbers of trials differ; "
        "evaluate student and teacher on the same test set"
    )
