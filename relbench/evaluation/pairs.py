"""Distances of pairs within a class and across classes: how well a network separates them, whatever its scale.

A pair is a query and another gallery item. Pairs are numbered, query by query, and only those whose numbers are drawn
are ever formed: memory does not grow with the number of pairs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relbench.evaluation.knn.points import Embeddings, Floats, Integers, Points, check_points, squared_distances
from relbench.evaluation.knn.ranking import Classes
from relbench.evaluation.retrieval import check_labels


@dataclass(frozen=True)
class PairDistances:
    """Euclidean distances, divided by their mean over all pairs: networks of any scale can be compared.

    Attributes:
        same: (pairs,) of pairs within a class; all of them, or a sample.
        other: (pairs,) of pairs across classes; likewise.
        same_count: Number of all pairs within a class.
        other_count: Number of all pairs across classes.
    """

    same: Floats
    other: Floats
    same_count: int
    other_count: int

    @property
    def separation(self) -> float:
        """Probability that a pair within a class is nearer than one across classes, ties half: the ROC's area."""
        other = np.sort(self.other)
        nearer, as_near = (np.searchsorted(other, self.same, side=side) for side in ("left", "right"))
        beaten = (nearer.sum() + as_near.sum()) / 2
        return float(1 - beaten / (len(self.same) * len(self.other)))


@dataclass(frozen=True)
class _Kind:
    """Pairs of a kind: for each query, places in the gallery sorted by class, from `first` on except for a gap."""

    counts: Integers  # (queries,) pairs of each query
    first: Integers
    gap: Integers  # first of the places that are left out
    width: Integers  # number of the places that are left out

    def places(self, numbers: Integers) -> tuple[Integers, Integers]:
        """Query and place of the pairs with these numbers."""
        ends = np.cumsum(self.counts)
        query = np.searchsorted(ends, numbers, side="right")
        place = self.first[query] + numbers - (ends - self.counts)[query]
        return query, place + np.where(place >= self.gap[query], self.width[query], 0)


def pair_distances(
    embeddings: Embeddings,
    labels: ArrayLike,
    *,
    most: int,
    generator: np.random.Generator,
    query: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
) -> PairDistances:
    """Distances of queries to other gallery items of their own class, and of others.

    Args:
        embeddings: (n, dim) float16, float32 or float64 array or tensor; no gradient flows.
        labels: (n,) integers or strings.
        most: Pairs of a kind to measure: all where there are no more, else a random sample without repetition.
        generator: Draws the sample. Networks with equally seeded generators are measured on the same pairs.
        query: (n,) boolean mask of the queries; None: all rows.
        gallery: (n,) boolean mask of the gallery; None: all rows.

    Raises:
        ValueError: What `retrieval_metrics` refuses; or no pair of a kind.
        TypeError: Embeddings that are not floating-point.
    """
    points = check_points(embeddings, query, gallery)
    classes = Classes(points, check_labels(labels, len(points.rows)))
    totals = int(classes.positives.sum()), int((points.others - classes.positives).sum())
    if not all(totals):
        raise ValueError(f"{totals[0]} pairs are within a class and {totals[1]} across classes: both kinds are needed")
    by_class = np.argsort(classes.of_column, kind="stable")
    same, other = (_measured(points, by_class, kind, most, generator) for kind in _kinds(classes, by_class))
    mean = (same.mean() * totals[0] + other.mean() * totals[1]) / sum(totals)
    return PairDistances(same / (mean or 1.0), other / (mean or 1.0), *totals)


def _kinds(classes: Classes, by_class: Integers) -> tuple[_Kind, _Kind]:
    """Pairs within a class, which leave out the query itself, and pairs across classes, which leave out its class."""
    own_column = classes.points.own_column
    sorted_codes = classes.of_column[by_class]
    start, stop = (np.searchsorted(sorted_codes, classes.of_query, side) for side in ("left", "right"))
    own_place = np.where(own_column >= 0, np.argsort(by_class)[own_column], len(by_class))
    same = _Kind(classes.positives, start, own_place, np.ones_like(start))
    return same, _Kind(classes.points.others - classes.positives, np.zeros_like(start), start, stop - start)


def _measured(points: Points, by_class: Integers, kind: _Kind, most: int, generator: np.random.Generator) -> Floats:
    total = int(kind.counts.sum())
    numbers = np.arange(total) if total <= most else generator.choice(total, most, replace=False, shuffle=False)
    query, place = kind.places(numbers)
    return np.sqrt(squared_distances(points, query, by_class[place]))
