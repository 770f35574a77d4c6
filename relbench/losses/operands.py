"""What a loss between a student and a teacher is given: checked, widened, and the teacher held constant."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.linalg import vector_norm

from relbench.geometry import working_dtype

ROWS = (2,)
MAPS = (4,)
ROWS_OR_MAPS = (2, 4)

_FORMS = {2: "matrix (batch, dim)", 4: "map (batch, channels, height, width)"}


def operands(
    student: Tensor, teacher: Tensor, *, dimensions: Sequence[int] = ROWS, least: int = 1
) -> tuple[Tensor, Tensor]:
    """Student and teacher, fit to be compared.

    Args:
        student: floating, of any type.
        teacher: floating, with as many rows.
        dimensions: how many a tensor may have: `ROWS`, `MAPS` or `ROWS_OR_MAPS`.
        least: how many rows the loss needs.

    Returns:
        Both in float64 if either is, else in float32; the teacher cut off from what it was computed from.

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not floating, has another shape, or no columns; the batch sizes differ; there are
            fewer rows than `least`.
    """
    for name, given in (("student", student), ("teacher", teacher)):
        _check(name, given, dimensions)
    if len(student) != len(teacher):
        raise ValueError(
            f"student and teacher must hold the same batch, but have {len(student)} and {len(teacher)} rows"
        )
    if len(student) < least:
        raise ValueError(f"the loss needs at least {least} rows in the batch, but there is {len(student)}")
    dtype = working_dtype(student, teacher)
    return student.to(dtype), teacher.detach().to(dtype)


def _check(name: str, given: Tensor, dimensions: Sequence[int]) -> None:
    if not isinstance(given, Tensor):
        raise TypeError(f"{name} must be a torch tensor, but is a {type(given).__name__}")
    if given.ndim not in dimensions or 0 in given.shape[1:] or not given.is_floating_point():
        forms = " or ".join(_FORMS[count] for count in dimensions)
        raise ValueError(f"{name} must be a floating {forms}, but is {given.dtype} of shape {tuple(given.shape)}")


def check_equal(what: str, student: int, teacher: int, advice: str) -> None:
    """ValueError unless student and teacher have as many of something."""
    if student != teacher:
        raise ValueError(
            f"student and teacher must have the same number of {what}, but have {student} and {teacher}: {advice}"
        )


def check_positive(name: str, value: float) -> None:
    """ValueError unless a setting is a finite number above 0."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a finite number above 0, not {value}")


def unit_rows(rows: Tensor) -> Tensor:
    """Rows (the last dimension) at Euclidean length 1; a row of length 0 stays, and gets no gradient.

    Give float64, where a row may come from float32: squares of lengths, and one over them, must lie within the type.
    """
    lengths: Tensor = vector_norm(rows, dim=-1, keepdim=True)
    return rows / lengths.masked_fill(lengths == 0, torch.inf)
