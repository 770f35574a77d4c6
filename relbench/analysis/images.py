"""Examples of queries and distances of pairs that a page shows: plain data, no statistics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Image:
    """A test image as the networks see it."""

    name: str
    class_name: str
    pixels: NDArray[np.uint8]  # (height, width, channels), one channel or three


@dataclass(frozen=True)
class Neighbour:
    """An image that a network finds for a query."""

    image: Image
    right: bool  # of the query's class


@dataclass(frozen=True)
class Example:
    """A query with what teacher and student find for it, the nearest first."""

    query: Image
    teacher: tuple[Neighbour, ...]
    student: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Outcomes:
    """Numbers of queries, by which network's nearest neighbour is of their class."""

    both: int
    fixed: int  # the student's alone
    broken: int  # the teacher's alone
    neither: int


@dataclass(frozen=True)
class Examples:
    """Queries that a student fixes and that it breaks, drawn at random."""

    teacher: str  # label of the method
    student: str
    seed: int  # of both runs
    counts: Outcomes  # of all queries
    draw: int  # seed of the draw
    fixed: tuple[Example, ...]
    broken: tuple[Example, ...]


@dataclass(frozen=True)
class Spread:
    """The distribution of the distances of a network's pairs, in units of their mean."""

    label: str
    same: tuple[float, ...]  # density in each bin, of pairs of one class
    other: tuple[float, ...]  # likewise of two
    separation: float  # how often a pair of one class is nearer than one of two, in [0, 1]


@dataclass(frozen=True)
class Share:
    """The number of pairs measured, and of all pairs."""

    measured: int
    total: int


@dataclass(frozen=True)
class Distances:
    """Spreads of several networks, over the same pairs."""

    seed: int  # of the runs
    edges: tuple[float, ...]  # of the bins, one more than bins
    same: Share  # pairs of one class
    other: Share  # of two
    spreads: tuple[Spread, ...]
