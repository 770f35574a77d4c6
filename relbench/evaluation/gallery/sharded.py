"""Retrieval's metrics with the gallery in shards: the same numbers, to the last bit, in a fraction of the memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relbench.evaluation.gallery.mappers import Mapper, inline
from relbench.evaluation.gallery.merge import Merged
from relbench.evaluation.gallery.plan import Plan, plan_for, used_memory
from relbench.evaluation.gallery.scan import Scan, joined, refuse, scan, working_type
from relbench.evaluation.gallery.search import search_shard
from relbench.evaluation.gallery.shard import Images, Items, Question, earlier, nearest_of_class, none_yet
from relbench.evaluation.gallery.sources import Joined, RowsInFile, Source, layout_of, rows_in_file, rows_in_memory
from relbench.evaluation.knn.approximate import Backend
from relbench.evaluation.knn.points import Embeddings, Floats, Integers, Points, as_array, with_roles
from relbench.evaluation.knn.ranking import FIRST_OCTAVE, Classes, QueriesDone
from relbench.evaluation.retrieval import QueryResults, check_classes, check_ks


@dataclass(frozen=True)
class Sharding:
    """How a gallery is searched in shards; changes no result.

    Attributes:
        memory: bytes that a process which searches may use, what it uses already included.
        mapper: who searches the shards: one of `gallery.mappers`.
        used: bytes that it uses already; None: it is this process.
        at_once: shards that are searched at the same time in it.
        backend: as in `retrieval.query_results`.
        items: rows of a shard; None: as many as the memory allows.
        queries: at a time; None: as many as the memory allows, up to `plan.MOST_QUERIES`.
    """

    memory: int
    mapper: Mapper = inline
    used: int | None = None
    at_once: int = 1
    backend: Backend = "auto"
    items: int | None = None
    queries: int | None = None


def sharded_query_results(  # noqa: PLR0913 - keywords, each with its usual value
    embeddings: Embeddings | Path | RowsInFile | Joined,
    labels: ArrayLike,
    ks: Sequence[int] = (1, 2, 4, 8),
    *,
    sharding: Sharding,
    query: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
    progress: QueriesDone | None = None,
) -> QueryResults:
    """What `retrieval.query_results` returns, to the last bit, with the gallery in shards.

    Args:
        embeddings: As there, or the path of an .npy file, of which only parts are in memory at any time, or several
            sources one after another.
        labels: As there.
        ks: As there.
        sharding: How the gallery is cut up, and who searches the shards.
        query: As there.
        gallery: As there.
        ignore: As there.
        progress: As there; a query whose search in half of the shards is done counts as half a query.

    Raises:
        ValueError: What `query_results` refuses, a file that can't be read or changes meanwhile, too little memory, or
            float64 rows whose squares only a common power of two would keep from overflow.
        TypeError: Embeddings of other types.

    Example:
        >>> rows, labels = np.array([[0.0], [1.0], [3.0], [3.5]]), ["a", "a", "b", "c"]
        >>> sharding = Sharding(memory=2**34, items=2)
        >>> sharded_query_results(rows, labels, (1,), sharding=sharding).rank.tolist()
        [1, 1, 0, 0]
    """
    source = _source_of(embeddings)
    classes = check_classes(with_roles(np.broadcast_to(np.int8(0), source.shape), query, gallery), labels, ignore)
    points, depth = classes.points, check_ks(classes.points, ks)
    whole = _Whole(source, points, classes, depth, sharding)
    rank, shares = whole.results(progress)
    return QueryResults(
        classes.labels[points.query], classes.positives, rank, shares[0], shares[1], depth, points.ignored
    )


def _source_of(embeddings: Embeddings | Path | RowsInFile | Joined) -> Source:
    if isinstance(embeddings, RowsInFile | Joined):
        return embeddings
    if isinstance(embeddings, Path):
        return rows_in_file(embeddings, layout_of(embeddings))
    return rows_in_memory(as_array(embeddings))


@dataclass(frozen=True)
class _Whole:
    """All queries and the whole gallery.

    Attributes:
        source: the rows.
        points: queries and gallery; its rows are no numbers.
        classes: of all rows.
        depth: the largest K.
        sharding: how the gallery is cut up.
    """

    source: Source
    points: Points
    classes: Classes
    depth: int
    sharding: Sharding

    def results(self, progress: QueriesDone | None) -> tuple[Integers, Floats]:
        """Ranks and shares of all queries."""
        rank, shares = np.zeros(len(self.points.query), np.int64), np.full((2, len(self.points.query)), np.nan)
        done = _Progress(progress)
        refuse(self.scanned)
        done.add(int(np.count_nonzero(self.classes.positives == 0)), 1)
        for queries in self._chunks():
            rank[queries], shares[:, queries] = self._search(queries, done)
        return rank, shares

    @cached_property
    def plan(self) -> Plan:
        """Sizes of shards and chunks."""
        sharding, wanted, dtype = self.sharding, self.classes.positives, self.source.dtype
        itemsize = dtype.itemsize if dtype.kind == "f" else 8
        used = used_memory() if sharding.used is None else sharding.used
        return plan_for(sharding.memory, used, sharding.at_once, wanted, self.points.dim, itemsize)

    @cached_property
    def scanned(self) -> Scan:
        """What a look at all rows has shown."""
        count, step = self.source.shape[0], self.sharding.items or self.plan.items
        parts = (self.source.part(start, min(start + step, count)) for start in range(0, count, step))
        return joined(list(self.sharding.mapper(scan, parts)))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of floats of all rows."""
        return working_type(self.source.dtype, self.scanned.most)

    @cached_property
    def shards(self) -> list[Images]:
        """The gallery in shards."""
        step, gallery = self.sharding.items or self.plan.items, self.points.gallery
        return [self._images(gallery[start : start + step]) for start in range(0, len(gallery), step)]

    def _images(self, numbers: Integers) -> Images:
        """Rows by ascending number."""
        first, last = int(numbers[0]), int(numbers[-1]) + 1
        consecutive = self.source.part(first, last)
        rows = consecutive if last - first == len(numbers) else consecutive.picked(numbers - first)
        group = None if self.points.group is None else self.points.group[numbers]
        return Images(rows, numbers, self.classes.code[numbers], group)

    def _chunks(self) -> Iterator[Integers]:
        """Positions in `points.query` of queries that want similar numbers of items, those that want none left out."""
        positives = self.classes.positives
        octaves = np.where(positives > 0, np.maximum(np.frexp(positives)[1], FIRST_OCTAVE), 0)
        for octave in np.unique(octaves[octaves > 0]):
            queries = np.flatnonzero(octaves == octave)
            step = self.sharding.queries or self.plan.queries(int(self.classes.positives[queries].max()))
            yield from np.split(queries, np.arange(step, len(queries), step))

    def _search(self, queries: Integers, done: "_Progress") -> tuple[Integers, Floats]:
        """Ranks and shares of some queries."""
        images, wanted = self._images(self.points.query[queries]), self.classes.positives[queries]
        merged, first = Merged(wanted), self._first(images.numbers, wanted)
        # made one by one: what is known by then need not be sent
        questions = (self._question(shard, images, wanted, first, merged.bound) for shard in self.shards)
        for answer in self.sharding.mapper(search_shard, questions):
            merged.add(answer)
            done.add(len(queries), len(self.shards))
        return merged.results(self.classes.code, images.code, self.depth)

    def _first(self, numbers: Integers, wanted: Integers) -> Items:
        """The nearest item of the class, of queries that have fewer of them than the depth."""
        first, few = none_yet(len(wanted)), np.flatnonzero(wanted < self.depth)
        if len(few):
            found, unknown = none_yet(len(few)), np.full(len(few), np.inf)
            images = self._images(numbers[few])
            questions = (self._question(shard, images, wanted[few], found, unknown) for shard in self.shards)
            for items in self.sharding.mapper(nearest_of_class, questions):
                found = earlier(found, items)
            first.distances[few], first.numbers[few] = found.distances, found.numbers
        return first

    def _question(self, shard: Images, queries: Images, wanted: Integers, first: Items, bound: Floats) -> Question:
        return Question(
            shard, queries, wanted, first, bound, depth=self.depth, dtype=self.dtype, backend=self.sharding.backend
        )


class _Progress:
    """Tells of queries, of which parts are done at a time."""

    def __init__(self, tell: QueriesDone | None) -> None:
        self._tell, self._done, self._told = tell, Fraction(0), 0

    def add(self, queries: int, shards: int) -> None:
        """Queries are done with one of several shards."""
        self._done += Fraction(queries, shards)
        more = int(self._done) - self._told
        if more and self._tell is not None:
            self._tell(more)
        self._told += more
