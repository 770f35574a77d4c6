"""Losses that make the student rank the rows of a batch as the teacher does.

DarkRank: Y. Chen, N. Wang, Z. Zhang, AAAI 2018, arXiv:1707.01220. Compared with the form that the authors of RKD
measured against, lenscloth/RKD@0a6c3c0.
"""

import torch
from torch import Tensor

from relbench.geometry import pairwise_distances, safe_scale
from relbench.losses.check_inputs import check_inputs, check_positive


def hard_darkrank(
    student: Tensor, teacher: Tensor, *, alpha: float = 3.0, beta: float = 3.0, list_length: int = 4
) -> Tensor:
    """Hard DarkRank: maximise the student's likelihood of the teacher's ranking of each row's neighbours.

    Row j is scored ``S_ij = -alpha |x_i - x_j|^beta`` as a neighbour of row i. The teacher defines the list of the
    `list_length` other rows nearest to row i, nearest first. In the student's scores that list has the likelihood of
    drawing its rows one after another, each with the softmax over those not yet drawn (Plackett and Luce). The loss is

        mean over i of  -sum_m ( S_i,r(m)  -  log sum_{n >= m} exp S_i,r(n) )

    with ``r(1), r(2), ...`` the list of row i.

    Args:
        student: ``(batch, student_dim)``, floating, with more than `list_length` rows. Gets the gradient; equal rows
            pull on each other with gradient 0. A second derivative is refused with a RuntimeError.
        teacher: ``(batch, teacher_dim)``, floating. A constant: only the order of its distances counts, as they are
            after rounding to its type (not half precision). Of rows equally far away, the lower row number
            comes first.
        alpha: factor of the score, above 0; per unit of distance to the power `beta`.
        beta: power of the distance, above 0.
        list_length: rows in a list, at least 2.

    Returns:
        Scalar without unit, at least 0; the logarithm of the factorial of `list_length` where all rows of the student
        are equal. float64 if either input is, else float32 (half precision is widened first).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating matrix, the batch sizes differ, there are not more rows than
            `list_length`, or an option is out of its range.

    Numerics:
        The student's part is computed in float64, as a score grows with a power of the distance: in float32 the
        gradient of rows of length 1 to 1,000 errs by less than 1e-6 of its length. Where a score passes the type's
        largest number (float32: distances above 5e12, for the default options), the value is infinite.

    Cost:
        Time ``batch^2 (dim + log batch) + batch list_length^2``; no permutation is enumerated.

    Source:
        arXiv:1707.01220; lenscloth/RKD@0a6c3c0 `HardDarkRank`. The likelihood is over the `list_length` nearest rows
        only, as in the code, not over the whole batch. alpha = 3 and beta = 3 is what the RKD paper says it uses
        (arXiv:1904.05068); the scripts of its code pass alpha = 2. Departures: the code leaves out whichever row comes
        first in the order, here it is always the row itself, which matters where the teacher has equal rows; the code
        gives equal rows the distance 1e-6, here it is 0; a batch too small for the list is refused, where the code
        shortens the list.
    """
    check_ranking(alpha=alpha, beta=beta, list_length=list_length)
    student, teacher = check_inputs(student, teacher, least=list_length + 1)
    lists = _nearest_others(teacher * safe_scale(teacher), list_length)
    scores = -alpha * pairwise_distances(student.double()).gather(1, lists).pow(beta)
    # not logcumsumexp, whose derivative subtracts large numbers
    normalisers = torch.stack([scores[:, place:].logsumexp(dim=1) for place in range(list_length)], dim=1)
    return (normalisers - scores).sum(dim=1).mean().to(student.dtype)


def check_ranking(*, alpha: float = 3.0, beta: float = 3.0, list_length: int = 4) -> None:
    """Refuse options that `hard_darkrank` is not defined for."""
    check_positive("alpha", alpha)
    check_positive("beta", beta)
    if list_length < 2:
        raise ValueError(f"list_length must be 2 or more, not {list_length}: a single row has no order")


@torch.no_grad()
def _nearest_others(rows: Tensor, count: int) -> Tensor:
    """Indices of the `count` other rows nearest to each row, nearest first."""
    distances = pairwise_distances(rows).fill_diagonal_(torch.inf)
    return distances.sort(dim=1, stable=True).indices[:, :count]
