"""Losses that compare the similarities among a student's rows, as inner products, with those among a teacher's.

Products and lengths are computed in float64, which autocast and reduced-precision matrix products leave alone, and in
which products of float32 numbers neither overflow nor vanish.
"""

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import linear, mse_loss

from relbench.losses.check_inputs import ROWS_OR_MAPS, check_equal, check_inputs, unit_rows
from relbench.seeding import seeded

PKT_EPSILON = 1e-7
"""The constant that the authors of PKT add to lengths and to probabilities."""


def pkt(student: Tensor, teacher: Tensor) -> Tensor:
    """Probabilistic knowledge transfer (PKT): match the probability that a row is the neighbour of another.

    Cosines of all pairs, a row with itself included, are brought to [0, 1] by ``(cos + 1) / 2`` and divided by their
    sum over the row: ``p[i, j]``. The loss is the mean over all ``batch^2`` entries of

        p_teacher  log((p_teacher + 1e-7) / (p_student + 1e-7)),

    the divergence from the teacher's probabilities to the student's, divided once more by the batch size.

    Args:
        student: ``(batch, student_dim)``, floating, at least two rows. Gets the gradient; a row of zeros has no
            direction, and gets none.
        teacher: ``(batch, teacher_dim)``, floating. A constant.

    Returns:
        Scalar without unit, 0 where the cosines agree, never below by more than 1e-7; float64 if either input is, else
        float32 (half precision is widened first, under autocast too).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating matrix, the batch sizes differ, or there are fewer than two rows.

    Source:
        N. Passalis, A. Tefas, ECCV 2018, arXiv:1803.10837; HobbitLong/RepDistiller@b84f547 `PKT`. The mean over
        entries, where the usual divergence sums over a row, and 1e-7, also added to the lengths, follow the code.
        For classification RepDistiller compares pooled features, with weight 30000 next to cross-entropy. Departure: a
        row of zeros has a gradient of NaN in the code, and none here.
    """
    student, teacher = check_inputs(student, teacher, least=2)
    target = _neighbour_probabilities(teacher)
    ratio = (target + PKT_EPSILON) / (_neighbour_probabilities(student) + PKT_EPSILON)
    return (target * ratio.log()).mean().to(student.dtype)


def _neighbour_probabilities(rows: Tensor) -> Tensor:
    """Probabilities ``(batch, batch)``, each row with sum 1; float64."""
    wide = rows.double()
    lengths: Tensor = vector_norm(wide, dim=1, keepdim=True)
    unit = wide / (lengths + PKT_EPSILON).masked_fill(lengths == 0, torch.inf)
    similarities = (unit @ unit.T + 1) / 2
    return similarities / similarities.sum(dim=1, keepdim=True)


def similarity_preserving(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Similarity-preserving distillation: match the inner products among the images of a batch.

    With ``Q`` the features of the batch, one flattened image per row, and ``G`` the matrix ``Q Q'`` whose rows are
    divided by their Euclidean length, the loss is ``sum (G_student - G_teacher)^2 / batch^2``. Rows have unit L2
    length, not L1: the form with L1 in another library is a different loss, about a twelfth of this.

    Args:
        student_map: ``(batch, channels, height, width)`` or ``(batch, dim)``, floating. Gets the gradient. An
            image all of whose features are 0 has a row of zeros in ``G``; its gradient comes from the other rows only.
        teacher_map: likewise, of any other channels and size. A constant. Maps are meant to be taken before global
            pooling, after the last stage; where several layers are compared, their losses are added. Those of wide
            residual networks are taken before batch normalisation and ReLU, and so have negative entries.

    Returns:
        Scalar without unit, from 0 to ``4 / batch``; float64 if either input is, else float32 (half precision is
        widened first, under autocast too).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is neither a floating matrix nor a floating map, or the batch sizes differ.

    Source:
        F. Tung, G. Mori, ICCV 2019, arXiv:1907.09682, equation 4; HobbitLong/RepDistiller@b84f547 `Similarity`,
        verified by the paper's author according to its README. The usual weight is 3000, next to cross-entropy, at
        batches of 64 or 128; as the value falls with the batch, the weight belongs to its size.
        Departure: the code divides by 1e-12 where a row of ``Q Q'`` is shorter than that, which sends a gradient of
        order 1e12 to an image of zeros; here only a row of exact zeros counts as such, and gets no gradient.
    """
    student, teacher = check_inputs(student_map, teacher_map, dimensions=ROWS_OR_MAPS)
    return mse_loss(_row_similarities(student), _row_similarities(teacher)).to(student.dtype)


def _row_similarities(features: Tensor) -> Tensor:
    """Inner products of all pairs of images, ``(batch, batch)``, each row at unit length; float64."""
    rows = features.flatten(1).double()
    return unit_rows(rows @ rows.T)


def correlation_congruence(student: Tensor, teacher: Tensor) -> Tensor:
    """Correlation congruence (CC) as in the public code: products of neighbouring rows' differences.

    With ``D = |student - teacher|``, element by element, the loss is the mean over the ``batch - 1`` pairs of
    neighbouring rows of the inner product ``<D_i, D_{i+1}>``.

    This is not the formula of the paper of that name, which compares a kernel among the student's rows with the
    teacher's. It compares a student's row with the teacher's row, coordinate by coordinate, so it is not relational; it
    depends on the order of the batch; and it is already 0 where every other row agrees with its teacher. It is here
    because published tables under the name come from it.

    Args:
        student: ``(batch, dim)``, floating, at least two rows. Gets the gradient.
        teacher: ``(batch, dim)``, floating, of the same `dim`. A constant. The code first puts a trained linear layer
            on either side, so that the dimensions agree; these layers are not part of this function.

    Returns:
        Scalar, at least 0, in squared units of a coordinate; float64 if either input is, else float32 (half precision
        is widened first).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating matrix, the shapes differ, or there are fewer than two rows.

    Source:
        HobbitLong/RepDistiller@b84f547 `Correlation`, sent to its author by an author of the paper, B. Peng et al.,
        ICCV 2019, arXiv:1904.01802, according to a comment there.
    """
    student, teacher = check_inputs(student, teacher, least=2)
    check_equal("columns", student.shape[1], teacher.shape[1], "choose equal dimensions, or project the student first")
    differences = (student - teacher).abs()
    return (differences[:-1] * differences[1:]).sum(dim=1).mean()


class CorrelationCongruence(nn.Module):
    """`correlation_congruence` after a linear map of the student's embeddings to the teacher's dimension.

    The map is trained along with the student: its weights are this module's parameters.

    Args:
        embedding_size: dimension of the student's embeddings.
        teacher_size: dimension of the teacher's.
        seed: of the projection's initial values.

    Raises:
        ValueError: a size is not positive.

    Source:
        HobbitLong/RepDistiller@b84f547 `Correlation`, `LinearEmbed`, on pooled features with weight 0.02 next to
        cross-entropy. Departure: there both sides pass through trained layers to 128 dimensions, so that the target
        itself can shrink; here the teacher's embeddings are left unchanged, and the student's come to their dimension.
    """

    def __init__(self, *, embedding_size: int, teacher_size: int, seed: int = 0) -> None:
        super().__init__()
        if min(embedding_size, teacher_size) < 1:
            raise ValueError(f"sizes must be positive numbers, not {embedding_size} and {teacher_size}")
        with seeded(seed):
            self.projection = nn.Linear(embedding_size, teacher_size)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            student: ``(batch, embedding_size)``, floating, at least two rows. Gets the gradient, and so does the
                projection.
            teacher: ``(batch, teacher_size)``, floating. A constant.

        Returns:
            Scalar; see `correlation_congruence`.

        Raises:
            TypeError: an input is not a torch tensor.
            ValueError: as `correlation_congruence`, or the inputs' dimensions are not the module's.
        """
        student, teacher = check_inputs(student, teacher, least=2)
        check_equal("columns", student.shape[1], self.projection.in_features, "the module was made for such embeddings")
        with torch.autocast(student.device.type, enabled=False):
            weight, bias = (values.to(student.dtype) for values in self.projection.parameters())
            projected = linear(student, weight, bias)
        return correlation_congruence(projected, teacher)
