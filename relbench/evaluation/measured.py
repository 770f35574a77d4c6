"""The result of measuring embeddings: metrics, what they rest on, and scores by class.

`measure` makes it from arrays in one search; `measurement_of` from a search that was made already, such as one in
shards. The scores by class are all that a paired test of two models needs (`paired`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike

from relbench.counts import Counts
from relbench.evaluation.knn.approximate import Backend
from relbench.evaluation.knn.points import Embeddings, as_array
from relbench.evaluation.knn.ranking import QueriesDone
from relbench.evaluation.retrieval import QueryResults, means, query_results, recall_by_class

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Shares:
    """Trials by group, each with a share in [0, 1] for a result: like `Counts`, whose trials have 0 or 1.

    Attributes:
        groups: Their names, each once, in the order of the labels.
        trials: How many each group has.
        correct: The sum of their shares in each group.
    """

    groups: tuple[str, ...]
    trials: tuple[int, ...]
    correct: tuple[float, ...]

    @classmethod
    def of(cls, groups: ArrayLike, shares: ArrayLike) -> Self:
        """Sums of single trials.

        Args:
            groups: (trials,) group of each trial; groups come back sorted.
            shares: (trials,) in [0, 1]; trials with NaN, which have no result, are left out.

        Example:
            >>> Shares.of(["b", "a", "b"], [0.5, np.nan, 0.25])
            Shares(groups=('b',), trials=(2,), correct=(0.75,))
        """
        values = np.asarray(shares, dtype=np.float64)
        known = ~np.isnan(values)
        names, code, trials = np.unique(np.asarray(groups)[known], return_inverse=True, return_counts=True)
        sums = np.bincount(code.reshape(-1), weights=values[known], minlength=len(names))
        return cls(tuple(map(str, names.tolist())), tuple(trials.tolist()), tuple(sums.tolist()))

    @property
    def share(self) -> float:
        """Mean share of all trials."""
        return sum(self.correct) / sum(self.trials)


@dataclass(frozen=True)
class Ignored:
    """What queries passed over, where something was to be ignored.

    Attributes:
        items: Number of pairs of a query and a gallery item of its class that it passed over.
        queries_without_positives: Number of queries that no gallery item of their class was left to.
    """

    items: int
    queries_without_positives: int


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Metrics of embeddings, and what they rest on.

    Attributes:
        metrics: By name, in [0, 1].
        counts: By metric, for those that are shares of trials, such as Recall@K: trials and successes by group.
        shares: By metric, for those that are means of shares over trials, such as R-precision: sums by group.
        queries: Number of queries.
        classes: Number of classes of the queries.
        gallery: Number of gallery items; None where nothing is searched.
        group: What the trials are grouped by.
        ignored: What was ignored; None where nothing was to be.
    """

    metrics: Mapping[str, float]
    counts: Mapping[str, Counts] = field(repr=False)
    queries: int
    classes: int
    gallery: int | None = None
    shares: Mapping[str, Shares] = field(default_factory=dict, repr=False)
    group: str = "class"
    ignored: Ignored | None = None

    @property
    def scores(self) -> dict[str, Counts | Shares]:
        """What the tests of significance compare, by metric."""
        return {**self.counts, **self.shares}

    def by_class(self) -> "pd.DataFrame":
        """One line per group: its name, its number of queries, and each metric's mean over them.

        A class whose queries have no other gallery item of their class has no R-precision and no MAP@R.

        Example:
            >>> found = measure([[0.0], [1.0], [3.0], [3.5], [9.0]], ["a", "a", "b", "b", "c"], ks=(1,))
            >>> print(found.by_class().to_string(index=False))
            class  queries  recall@1  r_precision  map@r
                a        2       1.0          1.0    1.0
                b        2       1.0          1.0    1.0
                c        1       0.0          NaN    NaN
        """
        import pandas as pd  # noqa: PLC0415 - takes longer to load than to measure

        every = next(iter(self.counts.values()))
        frame = pd.DataFrame({self.group: every.groups, "queries": every.trials})
        for metric, scores in self.scores.items():
            means_of = np.divide(scores.correct, scores.trials)
            frame[metric] = frame[self.group].map(dict(zip(scores.groups, means_of.tolist(), strict=True)))
        return frame

    def frame(self) -> "pd.DataFrame":
        """A single line: the metrics, and the numbers of queries, gallery items and classes.

        Example:
            >>> found = measure([[0.0], [1.0], [3.0], [3.5]], ["a", "a", "b", "b"], ks=(1,))
            >>> print(found.frame().to_string(index=False))
             recall@1  r_precision  map@r  queries  gallery  classes
                  1.0          1.0    1.0        4        4        2
        """
        import pandas as pd  # noqa: PLC0415 - takes longer to load than to measure

        return pd.DataFrame([self.numbers()])

    def numbers(self) -> dict[str, float | int]:
        """The metrics by name, then `queries`, `gallery` (where there is one) and `classes`."""
        gallery = {} if self.gallery is None else {"gallery": self.gallery}
        return {**self.metrics, "queries": self.queries, **gallery, "classes": self.classes}

    def json(self, *, by_class: bool = False) -> str:
        """The numbers as a JSON object, on one line, and what was ignored.

        Args:
            by_class: Whether `by_class` stands in it, too: a list with an object per class, with null for no number.

        Example:
            >>> measure([[0.0], [1.0], [3.0], [3.5]], ["a", "a", "b", "b"], ks=(1,)).json()
            '{"recall@1": 1.0, "r_precision": 1.0, "map@r": 1.0, "queries": 4, "gallery": 4, "classes": 2}'
        """
        content: dict[str, Any] = dict(self.numbers())
        if self.ignored is not None:
            content["ignored"] = asdict(self.ignored)
        if by_class:
            frame = self.by_class()
            content["by_class"] = frame.astype(object).where(frame.notna(), None).to_dict("records")
        return json.dumps(content, allow_nan=False)


def measure(  # noqa: PLR0913 - keywords, each with its usual value
    embeddings: Embeddings | ArrayLike,
    labels: ArrayLike,
    ks: Sequence[int] = (1, 2, 4, 8),
    *,
    query: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
    backend: Backend = "auto",
    progress: QueriesDone | None = None,
) -> Measurement:
    """Recall@K, R-precision and MAP@R of embeddings, with scores by class, in one search.

    Arguments and errors as in `retrieval_metrics`, which returns the same metrics; embeddings may also be lists, or the
    columns of a pandas frame.

    Example:
        >>> measure([[0.0], [1.0], [3.0], [3.5]], ["a", "a", "b", "b"], ks=(1,)).counts["recall@1"]
        Counts(groups=('a', 'b'), trials=(2, 2), correct=(2, 2))
    """
    rows = embeddings if isinstance(embeddings, torch.Tensor) else np.asarray(embeddings)
    found = query_results(
        rows, labels, ks, query=query, gallery=gallery, ignore=ignore, backend=backend, progress=progress
    )
    return measurement_of(found, ks, len(rows) if gallery is None else int(np.count_nonzero(as_array(gallery))))


def ks_of(metrics: Iterable[str]) -> tuple[int, ...]:
    """The Ks of Recall@K among the names of metrics.

    Example:
        >>> ks_of(["recall@1", "recall@10", "map@r"])
        (1, 10)
    """
    return tuple(int(name.partition("@")[2]) for name in metrics if name.startswith("recall@"))


def measurement_of(results: QueryResults, ks: Sequence[int], gallery: int) -> Measurement:
    """Measurement of results of retrieval for each query.

    Args:
        results: Of any search: in one piece, or in shards.
        ks: The K of Recall@K, none above `results.depth`.
        gallery: Number of gallery items that were searched.

    Raises:
        ValueError: No query has positives, or a K beyond `results.depth`.
    """
    metrics = means(results, ks)
    counts = {f"recall@{k}": recall_by_class(results, k) for k in ks}
    by_query = {"r_precision": results.r_precision, "map@r": results.average_precision}
    return Measurement(
        metrics=metrics,
        counts=counts,
        queries=len(results.labels),
        classes=len(next(iter(counts.values())).groups),
        gallery=gallery,
        shares={metric: Shares.of(results.labels, values) for metric, values in by_query.items()},
        ignored=_ignored(results),
    )


def _ignored(results: QueryResults) -> Ignored | None:
    if results.ignored is None:
        return None
    return Ignored(int(results.ignored.sum()), int((results.positives == 0).sum()))
