"""Losses of a linear classifier on the embeddings, which is trained along.

It is the head that answers in classification, and plays no part in retrieval.
"""

from torch import Tensor
from torch.nn import functional

from relbench.geometry import working_dtype
from relbench.losses.check_inputs import as_floats, class_numbers
from relbench.losses.placement import beside


def cross_entropy(student_logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of class probabilities, the mean over images.

    Args:
        student_logits: ``(batch, classes)``, floating. Get the gradient.
        labels: ``(batch,)``, class numbers below `classes`; best on the host, where they are checked.
        label_smoothing: share of the target probability that is spread evenly over all classes, from 0 to below 1.

    Returns:
        Scalar, at least 0, in nats; float64 if the logits are, else float32 (half precision is widened first).

    Raises:
        ValueError: wrong shapes, labels that are no class numbers, or a smoothing out of range.

    Source:
        The task loss of classification, beside all that compares with a teacher: weight 1, but 0.1 beside KD's 0.9 (see
        `hinton_kd`). Label smoothing: C. Szegedy et al., CVPR 2016, arXiv:1512.00567, section 7.
    """
    student_logits, labels = as_floats("student_logits", student_logits), class_numbers(labels)
    _check(student_logits, labels)
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be from 0 to below 1, not {label_smoothing}")
    logits = student_logits.to(working_dtype(student_logits))
    return functional.cross_entropy(logits, beside(labels, logits), label_smoothing=label_smoothing)


def probe(detached_logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of a classifier on detached embeddings: the network gets no gradient.

    So a network trained with another loss gets logits, and has the weights that it would have had without them.

    Args:
        detached_logits: ``(batch, classes)``, floating, of embeddings that pass no gradient on. Get the gradient.
        labels: ``(batch,)``, class numbers below `classes`; best on the host.

    Returns:
        Scalar, as `cross_entropy`.

    Raises:
        ValueError: wrong shapes, or labels that are no class numbers.

    Source:
        The idea: G. Alain, Y. Bengio, arXiv:1610.01644.
    """
    return cross_entropy(detached_logits, labels)


def _check(logits: Tensor, labels: Tensor) -> None:
    if logits.ndim != 2 or not logits.is_floating_point():
        raise ValueError(f"logits must be a floating matrix (batch, classes), not {logits.dtype} {tuple(logits.shape)}")
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"labels must have the shape ({len(logits)},), not {tuple(labels.shape)}")
    if not len(labels) or not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
        raise ValueError(f"labels must be class numbers from 0 to {logits.shape[1] - 1}")
