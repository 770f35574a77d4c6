"""What the embeddings that runs keep say of test images: their neighbours, and the distances of pairs.

They are believed once they give the row's counts again, class by class.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from relbench.analysis.images import Distances, Share, Spread
from relbench.counts import Counts
from relbench.evaluation import PairDistances, nearest, pair_distances
from relbench.evaluation.knn.points import check_points
from relbench.evaluation.retrieval import check_labels
from relbench.results.records import Row
from relbench.results.run_folder import RunFolder

NEIGHBOURS = 4  # shown of each network
PAIRS = 100_000  # of each kind; all where there are fewer
DRAW_SEED = 0  # the same rows always show the same pairs and examples
BINS = 60
SHOWN = 0.999  # of the pairs of each kind and network lie inside the bins
ADVICE = "run the study again in another results folder to get it, or put the file back"
REMEDY = "delete it for a report without it; delete row.json beside it too, and running the study again restores both"

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class KeptRun:
    """A run that is to be shown."""

    label: str
    row: Row
    folder: RunFolder

    @property
    def path(self) -> Path:
        """Of its embeddings."""
        return self.folder.embeddings


@dataclass(frozen=True)
class Network:
    """What a run's embeddings say; they themselves are let go of."""

    run: KeptRun
    names: NDArray[np.str_]  # (images,)
    labels: NDArray[np.str_]  # (images,)
    query: Integers  # (queries,) their indices
    neighbours: Integers  # (queries, k) images
    pairs: PairDistances | None  # None where all images are of one class

    @property
    def right(self) -> NDArray[np.bool_]:
        """(queries, k) which neighbours are of the query's class."""
        return np.asarray(self.labels[self.neighbours] == self.labels[self.query][:, None])


def network_of(run: KeptRun) -> Network:
    """What a run's embeddings say.

    Raises:
        ValueError: they are damaged, or are not those that the row was measured on.
    """
    try:
        return _searched(run)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{run.path} is not what the row of {run.label!r} was measured on ({error}): {REMEDY}"
        ) from None


def _searched(run: KeptRun) -> Network:
    stored = run.folder.stored()
    asking, found = stored.masks.get("query"), stored.masks.get("gallery")
    points = check_points(stored.embeddings, asking, found)
    labels, names = (_texts(values, len(points.rows)) for values in (stored.labels, stored.names))
    k = min(NEIGHBOURS, int(points.others.min()))
    classes = np.unique(labels[np.union1d(points.query, points.gallery)])
    generator = np.random.default_rng(DRAW_SEED)
    pairs = (
        pair_distances(stored.embeddings, labels, most=PAIRS, generator=generator, query=asking, gallery=found)
        if len(classes) > 1
        else None
    )
    device = run.row.experiment.training.device if torch.cuda.is_available() else "cpu"
    neighbours = nearest(torch.from_numpy(points.rows).to(device), k, query=asking, gallery=found)
    network = Network(run, names, labels, points.query, neighbours, pairs)
    counts = Counts.of(network.labels[network.query], network.right[:, 0])
    if counts != run.row.counts:
        raise ValueError(
            f"{_right(counts)} find their class, by the row {_right(run.row.counts)}, or as many in other classes"
        )
    return network


def _texts(values: NDArray[np.str_] | None, count: int) -> NDArray[np.str_]:
    if values is None or values.dtype.kind != "U":
        raise ValueError("its labels or names are missing, or are not text")
    return np.asarray(check_labels(values, count))


def _right(counts: Counts) -> str:
    return f"{sum(counts.correct)} of {sum(counts.trials)} queries"


def refuse_other_images(networks: Sequence[Network]) -> None:
    """Refuse rows of the same data that have kept other images, or another order: a query is known by its place."""
    for network in networks[1:]:
        for what in ("names", "labels", "query"):
            if not np.array_equal(getattr(network, what), getattr(networks[0], what)):
                raise ValueError(
                    f"{network.run.path} does not have the {what} of {networks[0].run.path}, though both rows are of "
                    f"the same data; of the one that was changed: {REMEDY}"
                )


def distances_or_why(networks: Sequence[Network]) -> Distances | str:
    """The distances of pairs under each network, or why they can't be shown."""
    pairs = {network.run.label: network.pairs for network in networks if network.pairs}
    if not networks:
        return f"no embeddings are kept beside the rows; {ADVICE}"
    if not pairs:
        return "all test images are of one class"
    first = next(iter(pairs.values()))
    edges = np.linspace(0, _furthest(pairs.values()), BINS + 1)
    return Distances(
        seed=networks[0].run.row.experiment.seed,
        edges=tuple(edges.tolist()),
        same=Share(len(first.same), first.same_count),
        other=Share(len(first.other), first.other_count),
        spreads=tuple(
            Spread(label, _density(each.same, edges), _density(each.other, edges), each.separation)
            for label, each in pairs.items()
        ),
    )


def _furthest(pairs: Iterable[PairDistances]) -> float:
    """Where the last bin ends; 1 where all distances are 0."""
    return max(float(np.quantile(values, SHOWN)) for each in pairs for values in (each.same, each.other)) or 1.0


def _density(distances: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple((np.histogram(distances, edges)[0] / (len(distances) * np.diff(edges))).tolist())
