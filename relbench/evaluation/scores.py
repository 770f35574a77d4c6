"""Single metrics of embeddings under names as scikit-learn has them: a function of points and labels, to one number.

Like `sklearn.metrics.silhouette_score`, they take points and labels, not true and predicted labels, so `make_scorer` is
not for them. A scorer is a function of a fitted estimator, its input and the labels:

    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import cross_val_score
    >>> def recall_of(estimator, images, labels):
    ...     return recall_at_k_score(estimator.transform(images), labels)
    >>> generator = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1, 2], 6)
    >>> images = generator.normal(size=(18, 8)) + 4 * labels[:, None]
    >>> cross_val_score(PCA(2), images, labels, scoring=recall_of, cv=2).tolist()
    [1.0, 1.0]
"""

from collections.abc import Sequence

from numpy.typing import ArrayLike

from relbench.evaluation.knn.points import Embeddings
from relbench.evaluation.measured import measure


def recall_at_k_score(embeddings: Embeddings | ArrayLike, labels: ArrayLike, *, k: int = 1) -> float:
    """Share of queries with another item of their class among their K nearest, as in `retrieval_metrics`.

    Args:
        embeddings: (n, dim) array, tensor or lists.
        labels: (n,) integers or strings.
        k: How many of the nearest count.

    Returns:
        Recall@K in [0, 1].

    Raises:
        ValueError: What `retrieval_metrics` refuses.

    Example:
        >>> recall_at_k_score([[0.0], [1.0], [1.5], [9.0]], ["a", "b", "a", "b"], k=2)
        0.75
    """
    return _score(embeddings, labels, f"recall@{k}", (k,))


def r_precision_score(embeddings: Embeddings | ArrayLike, labels: ArrayLike) -> float:
    """Mean share of the class among the R nearest of a query with R positives, as in `retrieval_metrics`.

    Args:
        embeddings: (n, dim) array, tensor or lists.
        labels: (n,) integers or strings.

    Returns:
        R-precision in [0, 1].

    Raises:
        ValueError: What `retrieval_metrics` refuses.

    Example:
        >>> r_precision_score([[0.0], [1.0], [2.5], [9.0]], ["a", "a", "a", "b"])
        1.0
    """
    return _score(embeddings, labels, "r_precision")


def mean_average_precision_at_r_score(embeddings: Embeddings | ArrayLike, labels: ArrayLike) -> float:
    """MAP@R: mean over queries of the average precision among the R nearest, as in `retrieval_metrics`.

    Args:
        embeddings: (n, dim) array, tensor or lists.
        labels: (n,) integers or strings.

    Returns:
        MAP@R in [0, 1].

    Raises:
        ValueError: What `retrieval_metrics` refuses.

    Example:
        >>> mean_average_precision_at_r_score([[0.0], [1.0], [2.5], [9.0]], ["a", "a", "a", "b"])
        1.0
    """
    return _score(embeddings, labels, "map@r")


def _score(embeddings: Embeddings | ArrayLike, labels: ArrayLike, metric: str, ks: Sequence[int] = (1,)) -> float:
    return measure(embeddings, labels, ks).metrics[metric]
