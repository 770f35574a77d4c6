"""Work of an evaluation that the ranks of a run share out: each does a part of it, and all have the whole result."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from relbench.data.cached_views import evaluation_batches
from relbench.data.table import ImageSource
from relbench.evaluation.knn.points import Booleans
from relbench.evaluation.retrieval import QueryResults, joined, query_results
from relbench.models import embed
from relbench.ranks import Ranks
from relbench.tasks.task import Model


def embeddings_of(model: Model, source: ImageSource, indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Embeddings of images for evaluation; each rank embeds its share of them.

    Args:
        model: embeds them.
        source: of the images.
        indices: of the images.

    Returns:
        (images, dim), in the order of the indices; the same on all ranks.
    """
    ranks = model.ranks
    if ranks.count == 1:
        return embed(model.network, evaluation_batches(source, indices), model.device)
    own = indices[ranks.share(len(indices))]
    rows = embed(model.network, evaluation_batches(source, own), model.device) if len(own) else None
    return np.concatenate([part for part in ranks.objects(rows) if part is not None])


def results_of(
    ranks: Ranks, embeddings: Tensor, labels: NDArray[np.str_], ks: Sequence[int], query: Booleans, gallery: Booleans
) -> QueryResults:
    """Results of all queries, to the last bit those of `query_results`; each rank searches for its share of them.

    Args:
        ranks: that have the same embeddings.
        embeddings: (n, dim), on the device that searches.
        labels: (n,).
        ks: the Ks of Recall@K.
        query: (n,) mask.
        gallery: (n,) mask: each rank searches all of it.
    """
    own = np.zeros_like(query)
    queries = np.flatnonzero(query)
    own[queries[ranks.share(len(queries))]] = True
    found = query_results(embeddings, labels, ks, query=own, gallery=gallery) if own.any() else None
    return joined([part for part in ranks.objects(found) if part is not None])
