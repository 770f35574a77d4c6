"""Estimates of a difference of recall from seeds and classes, which are crossed: every network answers every query.

Both are random factors: other training runs and other test classes of the same kinds would have led to another
difference. The methods of a table answer the same queries, so the difference is taken first, query by query.

With g_sc the difference in correct queries of seed s in class c, n_c its queries, S seeds, C classes and N queries, the
difference of recall is D = sum_sc g_sc / (S N), the mean of the seeds' D_s. It is a ratio, as other classes have other
sizes. In its place stand the influence values of the cells of the table of seeds by classes, by the jackknife over
classes: y_sc = (g_sc - D n_c) (C - 1) / (N - n_c), which is (g_sc / n_c - D) for classes of one size. The mean squares

    MS_seed  = C sum_s (D_s - D)^2 / (S - 1)
    MS_class = S sum_c (y_.c - y_..)^2 / (C - 1)
    MS_rest  = sum_sc (y_sc - y_s. - y_.c + y_..)^2 / ((S - 1) (C - 1))

have the expectations r + C s, r + S c and r, for variances s of seeds, c of classes, and r of the rest (the
interaction, and the chance of single queries). So the variance of D, s / S + c / C + r / (S C), is estimated by

    V = max(MS_seed + MS_class - MS_rest, MS_seed, MS_class) / (S C).

The maximum is there for components that come out negative: with it, V is never below the variance over seeds alone or
over classes alone. Sizes may be unequal and classes may differ in variance, as the mean squares over classes are robust
to both; so may the seeds' variances of different methods, as each comparison uses its own.

Nothing here asks that a query is right or wrong: it may have any score in [0, 1], as R-precision and MAP@R have, with
g_sc the difference of the sums of scores. D is a ratio of sums over classes all the same, the jackknife is that of
such a ratio, and the expectations above follow from the variances of y_sc alone, whatever its distribution; no binomial
variance is used anywhere, as queries of a class depend on each other even where they are counted. What it does ask is
that the n_c do not depend on the models. For R-precision and MAP@R they are the queries with positives, which follow
from labels, masks and what is ignored. A metric that leaves out other queries of one model than of the other can't be
compared so.

Source:
    Clark, The Language-as-Fixed-Effect Fallacy, Journal of Verbal Learning and Verbal Behavior 12(4), 1973: why a
    difference must be tested over both factors at once (quasi-F).
    Owen, The Pigeonhole Bootstrap, Annals of Applied Statistics 1(2), 2007: the variance of a crossed mean.
    Cochran, Sampling Techniques, 3rd edition 1977, chapter 6: the jackknife for a ratio.
"""

from dataclasses import dataclass

import numpy as np

from relbench.evaluation.comparison import VariancePart
from relbench.evaluation.estimate import Estimate, variance_of_mean
from relbench.evaluation.knn.points import Floats, Integers


@dataclass(frozen=True)
class CrossedEstimates:
    """A difference, over either kind of chance and over both.

    Attributes:
        over_seeds: V = MS_seed / (S C), with S - 1 degrees of freedom: Student's test of the seeds' differences.
        over_classes: V = MS_class / (S C), with C - 1 degrees of freedom: new classes, for the networks at hand.
        over_both: V as above, in two parts: MS_seed / (S C), and what classes add.
        remaining: Of the first of these parts, what is not the seeds' own, MS_rest / (S C); 0 where that is unknown.
    """

    over_seeds: Estimate
    over_classes: Estimate
    over_both: Estimate
    remaining: float = 0.0


def crossed_estimates(gain: Floats, size: Integers) -> CrossedEstimates:
    """Estimates of the difference of recall.

    Args:
        gain: (seeds, classes) correct queries of the one model minus those of the other, or sums of scores.
        size: (classes,) queries.

    Returns:
        A single seed or a single class leaves the variance over it, and over both, unknown.
    """
    seeds, classes = gain.shape
    difference = float(gain.sum() / (seeds * size.sum()))
    cells = (gain - difference * size) * (classes - 1) / np.maximum(size.sum() - size, 1)
    seed_part = variance_of_mean(gain.sum(axis=1) / size.sum())
    class_part = variance_of_mean(cells.mean(axis=0))
    both: tuple[VariancePart, ...] = ()
    below = 0.0
    if seed_part and class_part:
        below = min(_rest(cells), seed_part.variance)
        both = (seed_part, VariancePart(max(class_part.variance - below, 0.0), class_part.freedom))
    return CrossedEstimates(
        over_seeds=Estimate(difference, (seed_part,) if seed_part else ()),
        over_classes=Estimate(difference, (class_part,) if class_part else ()),
        over_both=Estimate(difference, both),
        remaining=below,
    )


def _rest(cells: Floats) -> float:
    """MS_rest / (S C)."""
    seeds, classes = cells.shape
    rest = cells - cells.mean(axis=0) - cells.mean(axis=1, keepdims=True) + cells.mean()
    return float(np.square(rest).sum() / ((seeds - 1) * (classes - 1) * seeds * classes))
