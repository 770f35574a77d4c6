"""Checks and conversions of what a loss is given: shapes, types wide enough, the teacher a constant."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.linalg import vector_norm

from relbench.geometry import working_dtype

ROWS = (2,)
MAPS = (4,)
ROWS_OR_MAPS = (2, 4)

_LARGEST_WHOLE = {torch.float32: 2**24, torch.float64: 2**53}
"""The largest n for which the type holds every whole number up to n."""

_FORMS = {2: "matrix (batch, dim)", 4: "map (batch, channels, height, width)"}


def check_inputs(
    student: Tensor, teacher: Tensor, *, dimensions: Sequence[int] = ROWS, least: int = 1
) -> tuple[Tensor, Tensor]:
    """Student and teacher, checked, and in a type wide enough for the loss.

    Args:
        student: floating, of any type; or integers, see `as_floats`.
        teacher: likewise, with as many rows.
        dimensions: numbers of dimensions that are allowed: `ROWS`, `MAPS` or `ROWS_OR_MAPS`.
        least: the smallest batch that the loss is defined for.

    Returns:
        Both in float64 if either is, else in float32; the teacher detached.

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is neither floating nor integer, has another shape, or has no columns; the batch sizes
            differ; there are fewer rows than `least`.
    """
    student, teacher = (
        _checked(name, given, dimensions) for name, given in (("student", student), ("teacher", teacher))
    )
    if len(student) != len(teacher):
        raise ValueError(
            f"student and teacher must hold the same batch, but have {len(student)} and {len(teacher)} rows"
        )
    if len(student) < least:
        raise ValueError(f"the loss needs at least {least} rows in the batch, but there is {len(student)}")
    dtype = working_dtype(student, teacher)
    return student.to(dtype), teacher.detach().to(dtype)


def check_rows(student: Tensor, teacher: Tensor, *, unit_length: bool, least: int = 1) -> tuple[Tensor, Tensor]:
    """Rows as `check_inputs` returns them, at Euclidean length 1 where that is asked for.

    Lengths are taken in float64, which holds the squares of what fits into float32. A row of zeros stays, and gets no
    gradient.

    Args:
        student: as for `check_inputs`.
        teacher: likewise.
        unit_length: whether the rows of both are scaled; the gradient flows through the scaling.
        least: the smallest batch that the loss is defined for.

    Raises:
        TypeError: as `check_inputs`.
        ValueError: as `check_inputs`.
    """
    student, teacher = check_inputs(student, teacher, least=least)
    if not unit_length:
        return student, teacher
    return unit_rows(student.double()).to(student.dtype), unit_rows(teacher.double()).to(teacher.dtype)


def _checked(name: str, given: Tensor, dimensions: Sequence[int]) -> Tensor:
    if not isinstance(given, Tensor):
        raise TypeError(f"{name} must be a torch tensor, but is a {type(given).__name__}")
    given = as_floats(name, given)
    if given.ndim not in dimensions or 0 in given.shape[1:] or not given.is_floating_point():
        forms, shape = " or ".join(_FORMS[count] for count in dimensions), tuple(given.shape)
        hint = "; an embedding has no places: compare layers of maps" if given.ndim == 2 and 2 not in dimensions else ""
        raise ValueError(f"{name} must be a floating {forms}, but is {given.dtype} of shape {shape}{hint}")
    return given


def as_floats(name: str, given: Tensor) -> Tensor:
    """Integers as floats, of the smallest type that holds all of them; anything else unchanged.

    Raises:
        ValueError: integers that no floating type holds exactly.
    """
    if not _is_integer(given):
        return given
    most = max((abs(int(number)) for number in given.aminmax()), default=0) if given.numel() else 0
    for dtype, largest in _LARGEST_WHOLE.items():
        if most <= largest:
            return given.to(dtype)
    raise ValueError(
        f"{name} holds integers up to {most}, which no floating type holds exactly: divide them by a power of two"
    )


def class_numbers(labels: Tensor) -> Tensor:
    """Labels as int64, from integers, booleans, or floats that are whole numbers.

    Raises:
        TypeError: labels are not a torch tensor.
        ValueError: a label is not a whole number, or too large to be exact.
    """
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a torch tensor, but are a {type(labels).__name__}")
    if _is_integer(labels) or labels.dtype == torch.bool:
        return labels.to(torch.int64)
    if not labels.is_floating_point():
        raise ValueError(f"labels must be integers, or floats that are whole numbers, not {labels.dtype}")
    wide = labels.detach().double()
    strange = ~((wide == wide.round()) & (wide.abs() <= _LARGEST_WHOLE[torch.float64]))
    if strange.any():
        raise ValueError(
            f"labels must be exact whole numbers, not {float(wide[strange][0])}: number the classes 0, 1, ..."
        )
    return wide.to(torch.int64)


def _is_integer(given: Tensor) -> bool:
    return not (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)


def check_equal(what: str, student: int, teacher: int, advice: str) -> None:
    """Refuse student and teacher that differ in a number of something."""
    if student != teacher:
        raise ValueError(
            f"student and teacher must have the same number of {what}, but have {student} and {teacher}: {advice}"
        )


def check_positive(name: str, value: float) -> None:
    """Refuse a setting that is not a finite number above 0."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a finite number above 0, not {value}")


def unit_rows(rows: Tensor) -> Tensor:
    """Rows (the last dimension) at Euclidean length 1; a row of length 0 stays, and gets no gradient.

    Pass float64 where a row may come from float32: squared lengths and their reciprocals must lie within the type.
    """
    lengths: Tensor = vector_norm(rows, dim=-1, keepdim=True)
    return rows / lengths.masked_fill(lengths == 0, torch.inf)
