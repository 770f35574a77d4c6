"""Losses that compare the relations among a student's rows with those among a teacher's.

Relational knowledge distillation: W. Park, D. Kim, Y. Lu, M. Cho, CVPR 2019, arXiv:1904.05068.
Compared with the authors' code, lenscloth/RKD@0a6c3c0 for metric learning, lenscloth/RKD@1927142 for classification.

The rows of student and teacher need not have the same dimension: only distances and angles among
the rows of each are compared, never a student's row with a teacher's.
"""

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from relbench.geometry import pairwise_distances, safe_scale
from relbench.losses.angle import angle_loss, kernel_on
from relbench.losses.check_inputs import check_rows
from relbench.ranks import ALONE, Ranks

SMALLEST_DISTANCE = 1e-6
"""The authors' floor of a distance (of its square: 1e-12)."""

RKD_PRESETS = {
    "rkd-da": {"rkd_distance": 1.0, "rkd_angle": 2.0},
    "rkd-crd-zoo": {"rkd_distance": 25.0, "rkd_angle": 50.0},
}
"""Weights of the two losses by their usual names. Both have the ratio 1:2, but differ beside a further term.
"rkd-da": on the final embedding, alone, as the RKD paper and lenscloth/RKD@0a6c3c0 for metric learning.
"rkd-crd-zoo": on the last pooled features, beside cross-entropy, as the RKD paper (table 4) and lenscloth/RKD@1927142
for classification, which scale each row to unit length first (`unit_length`), and as HobbitLong/RepDistiller@b84f547,
whose tables many papers copied, which does not."""


def rkd_distance(student: Tensor, teacher: Tensor, *, unit_length: bool = False) -> Tensor:
    """Distance-wise relational distillation (RKD-D): match the distances up to a common scale.

    Each side's distances are divided by their mean over the pairs of different rows; the loss is
    the Huber loss (threshold 1) of the difference, averaged over all ``batch^2`` ordered pairs, the
    ``batch`` pairs of a row with itself (always 0) included. So it is the mean over pairs of
    different rows, times ``(batch - 1) / batch``.

    Args:
        student: ``(batch, student_dim)``, floating, at least two rows. Gets the gradient, also
            through the mean distance, so the gradient along the student's scale is 0. A second
            derivative is refused with a RuntimeError.
        teacher: ``(batch, teacher_dim)``, floating. A constant: gets no gradient.
        unit_length: scale each row of either side to Euclidean length 1 first, as the authors do with pooled
            features for classification. The gradient flows through the scaling; a row of zeros stays, and gets none.

    Returns:
        Scalar without unit, at least 0; float64 if either input is, else float32 (half precision
        is widened first, under autocast too).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating matrix, the batch sizes differ, or the batch has
            fewer than two rows.

    Numerics:
        Distances come from differences of rows, so small ones are as accurate as large ones: in
        float32 a distance errs by a few 1e-7 of itself. Pairs nearer than 1e-6, equal ones among
        them, count as 1e-6 apart, as in the authors' code, and get gradient 0. So a student all of whose distances are
        below 1e-6 has a finite loss but no gradient: the floor is a length, not a fraction. Large coordinates do no
        harm, in float32 up to 1e36.

    Source:
        arXiv:1904.05068, equations 5 to 7; lenscloth/RKD@0a6c3c0 `RkdDistance`. The paper sums over
        pairs; mean, Huber threshold, the zero pairs and the floor follow the code. `unit_length`:
        lenscloth/RKD@1927142 `run_distill_classification.py`, on the pooled features, with weight 25 beside
        cross-entropy.
    """
    student, teacher = check_rows(student, teacher, least=2, unit_length=unit_length)
    return smooth_l1_loss(_relative_distances(student), _relative_distances(teacher))


def _relative_distances(rows: Tensor) -> Tensor:
    """Distances of different rows over their mean, ``(batch, batch)``; the diagonal stays 0."""
    count = len(rows)
    different = 1 - torch.eye(count, dtype=rows.dtype, device=rows.device)
    scale = safe_scale(rows).clamp_(max=1)  # never enlarged: the floor is a length
    distances = pairwise_distances(rows * scale).clamp_min(SMALLEST_DISTANCE * scale) * different
    return distances * (count * (count - 1) / distances.sum())


def rkd_angle(student: Tensor, teacher: Tensor, ranks: Ranks = ALONE, *, unit_length: bool = False) -> Tensor:
    """Angle-wise relational distillation (RKD-A): match the angles of all triangles of rows.

    The loss is the Huber loss (threshold 1) of the difference between the student's and the
    teacher's cosine of the angle at row j between rows i and k, averaged over all ``batch^3``
    ordered triples (i, j, k). The angle has cosine 0 where j is i or k.

    Args:
        student: ``(batch, student_dim)``, floating, at least two rows. Gets the gradient. A second
            derivative is refused with a RuntimeError.
        teacher: ``(batch, teacher_dim)``, floating. A constant: gets no gradient.
        ranks: processes that share the work, each of which has all rows; all get the value and the gradient.
        unit_length: scale each row of either side to Euclidean length 1 first, as the authors do with pooled
            features for classification. The gradient flows through the scaling; a row of zeros stays, and gets none.

    Returns:
        Scalar without unit, between 0 and 1.5; float64 if either input is, else float32 (half
        precision is widened first, under autocast too). Not exactly 0 where all angles agree, but below 1e-10.

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating matrix, the batch sizes differ, or the batch has
            fewer than two rows.

    Cost:
        Time ``batch^3 + batch^2 dim``. Cosines follow from distances by the law of cosines; the gradient is summed in
        the same pass, in closed form. Memory: a few times ``batch^2``. The kernel is that of `relbench.losses.angle`
        for the device and the packages that are installed; all compute the same, to rounding. Of several ranks each
        computes the angles of its share of the rows, and the gradient by distances is summed over them.

    Numerics:
        By the law of cosines a cosine errs by at most ``8 eps r``, where r is the ratio of the longer to the shorter of
        the two sides that meet at the vertex (eps = 1.2e-7 in float32, 2.2e-16 in float64). The gradient errs by at
        most ``4 eps r`` of its length, with r the ratio of the largest to the smallest distance in the batch. Pairs
        nearer than 2.4e-5 (float64: 3.7e-11) of the largest distance count as equal rows: angles with such a side have
        cosine 0 and no gradient with respect to it. So r is at most 41,000, and no cosine errs by more than 0.04. This
        holds at any scale of either side, in float32 for coordinates from 1e-36 to 1e36; rows nearer than 7e-18 count
        as equal as well. Where the true gradient is 0, as for a student all of whose rows lie on one line, noise is
        returned: at most ``4 eps r`` of the gradient of scattered rows with the same mean distance. Measured in
        float32: 1e-6 of it for 16 to 128 evenly spaced rows, 1e-3 for 128 normally distributed rows.

    Source:
        arXiv:1904.05068, equations 8 and 9; lenscloth/RKD@0a6c3c0 `RKdAngle`. The paper sums over
        triples of different rows; mean, Huber threshold and degenerate triples follow the code. `unit_length`:
        lenscloth/RKD@1927142 `run_distill_classification.py`, on the pooled features, with weight 50 beside
        cross-entropy.
        Departure: the code sends a gradient of order 1e12 through the direction between two equal
        rows, which has none; here it is 0.
    """
    student, teacher = check_rows(student, teacher, least=2, unit_length=unit_length)
    # scaling changes no angle, and keeps squares within the type
    distances, target = (pairwise_distances(rows * safe_scale(rows)) for rows in (student, teacher))
    kernel, part = kernel_on(student.device.type).loss_and_gradient, ranks.share(len(student))
    return ranks.added(angle_loss(ranks.copied(distances), target, kernel, part))
