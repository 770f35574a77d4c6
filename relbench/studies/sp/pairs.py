"""Pairs of teacher and student in the tables of SP: the paths of their runs, and claims about them.

A network that has no teacher is the same run wherever it stands, as a student alone and as a teacher.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from relbench.studies.sp.methods import METHODS
from relbench.studies.study import Claim, RunSpec

Pair = tuple[str, str]  # names of teacher and student
ALONE, TEACHER = "Student", "Teacher"
COLUMNS = (ALONE, *METHODS, TEACHER)


class Make(Protocol):
    """A function that makes a run of a network: without a teacher, or taught by a method."""

    def __call__(self, network: str, method: str = "", teacher: str = "", tuned_with: str = "") -> RunSpec:
        """Teacher and `tuned_with`, the run whose learning rate it shares, are given by their paths."""
        ...


def alone(network: str) -> str:
    """Path of a network without a teacher."""
    return f"alone/{network}"


def path(pair: Pair, column: str) -> str:
    """Path of the run that answers to a number."""
    teacher, student = pair
    if column in (ALONE, TEACHER):
        return alone(student if column == ALONE else teacher)
    return f"{teacher}/{student}/{METHODS[column]}"


def runs(pairs: Sequence[Pair], tuned: Pair, make: Make) -> dict[str, RunSpec]:
    """All runs by path: networks without a teacher, then students.

    Args:
        pairs: of the table.
        tuned: the pair that learning rates are chosen with, where they are.
        make: of each run.
    """
    networks = dict.fromkeys(network for pair in pairs for network in pair)
    made = {alone(network): make(network, tuned_with=alone(tuned[1])) for network in networks}
    for pair in pairs:
        for method in METHODS:
            made[path(pair, method)] = make(pair[1], method, alone(pair[0]), path(tuned, method))
    return made


def claim(text: str, better: str, worse: str, pairs: Iterable[Pair]) -> Claim:
    """That a column is better than another, in the rows of all pairs."""
    return Claim(text=text, better=tuple((path(pair, better), path(pair, worse)) for pair in pairs))


def teaches(network: str, pairs: Iterable[Pair]) -> bool:
    """Whether a network has students in the table."""
    return network in {teacher for teacher, _ in pairs}
