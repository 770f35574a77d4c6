"""REFILLED: distilling from a teacher of other classes, in two stages.

H.-J. Ye, S. Lu, D.-C. Zhan, "Distilling Cross-Task Knowledge via Relationship Matching", CVPR 2020; the same,
"Generalized Knowledge Distillation via Relationship Matching", TPAMI 2022, arXiv:2205.01915. Formulas are those of the
authors' code, njulus/ReFilled and njulus/GKD@a37fc79, which changed over time: `REFILLED_PRESETS` names the versions.

The first stage trains the embedding, with labels only to choose the tuples: an anchor's distances to a positive and to
hard negatives should stand in the same relation as the teacher's. The second trains a classifier on top with
cross-entropy, and with the teacher's nearest class means as soft labels. The teacher may have other classes: the class
means are those of the student's, and only instance weights (`weighted`) ask the teacher's own classifier.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from relbench.geometry import pairwise_distances
from relbench.losses.check_inputs import as_floats, check_inputs, check_positive, check_rows, class_numbers, unit_rows
from relbench.losses.placement import beside
from relbench.losses.triplet import positive_pairs

Negatives = Literal["all", "each", "fewest", "nearest"]
Average = Literal["image", "entry"]


@dataclass(frozen=True)
class RefilledPreset:
    """A version of the authors' code.

    Attributes:
        embedding: options of `refilled_embedding`.
        classifier: options of `refilled_classifier`.
        centres: the rows that `class_centres` are means of: those of the batch, or of the training set, found once
            before the second stage.
        note: where the code goes beyond these options.
    """

    embedding: Mapping[str, Any]
    classifier: Mapping[str, Any]
    centres: Literal["batch", "training set"]
    note: str


_GKD_EMBEDDING = {"temperature": 4.0, "margin": 0.2, "negatives": "fewest", "scale": 1000.0, "unit_length": True}

REFILLED_PRESETS: dict[str, RefilledPreset] = {
    "cvpr2020": RefilledPreset(
        embedding={"temperature": 4.0, "negatives": "nearest", "scale": 500.0, "unit_length": True},
        classifier={"divergence_weight": 1000.0, "temperature": 2.0, "student_temperature": 2.0, "average": "entry"},
        centres="batch",
        note="njulus/ReFilled, June 2020: the code multiplies the second stage's weight by exp(-0.05) every epoch",
    ),
    "refilled2021": RefilledPreset(
        embedding={"temperature": 4.0, "margin": 0.2, "negatives": "each", "scale": 500.0, "unit_length": True},
        classifier={"divergence_weight": 100.0, "temperature": 2.0, "student_temperature": 2.0},
        centres="training set",
        note="njulus/ReFilled@be649aa, without its option flag_merge",
    ),
    "gkd2021": RefilledPreset(
        embedding=_GKD_EMBEDDING,
        classifier={"divergence_weight": 1.0, "temperature": 1.0, "student_temperature": 1.0},
        centres="training set",
        note='njulus/GKD@a37fc79, model \'gkd\'; "fewest" leaves a single negative in most batches, "all" repairs it',
    ),
    "wgkd2021": RefilledPreset(
        embedding=_GKD_EMBEDDING,
        classifier={"divergence_weight": 1.0, "temperature": 1.0, "student_temperature": 1.0, "weighted": True},
        centres="training set",
        note="njulus/GKD@a37fc79, model 'wgkd': as gkd2021, images weighted by how sure the teacher's classifier is",
    ),
}
"""The versions of the authors' code by name. Optimiser, schedule and selection are not part of them."""


def refilled_embedding(  # noqa: PLR0913 (a batch, and the options)
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    *,
    temperature: float = 4.0,
    margin: float = 0.2,
    negatives: Negatives = "all",
    scale: float = 1000.0,
    unit_length: bool = False,
) -> Tensor:
    """REFILLED, first stage: match the relation of a positive's distance to the distances of hard negatives.

    For every ordered pair of an anchor a and a positive p, negatives n are chosen by the student's own distances, those
    with ``0 < d(a, n) - d(a, p) <= margin``. Such a tuple has the probabilities, for the student,

        P = softmax( -d(a, p) / temperature,  -d(a, n_1) / temperature,  ... )

    and likewise for the teacher, with its distances of the same rows. The loss is `scale` times the mean over tuples of
    ``KL(P_teacher || P_student)``.

    Args:
        student: ``(batch, student_dim)``, floating. Gets the gradient; none flows through the choice of negatives.
        teacher: ``(batch, teacher_dim)``, floating, likewise. A constant.
        labels: ``(batch,)``, class numbers; best on the host, as pairs are found there.
        temperature: above 0, in units of distance.
        margin: how much farther than the positive a negative may be, above 0, in units of distance; ignored by
            "nearest".
        negatives: "all": a tuple for each pair, with all its chosen negatives. "each": a tuple
            for each pair and each of its negatives, that is triplets. "fewest": as "all", but each tuple is cut to the
            smallest number of negatives of any tuple in the batch, keeping the lowest row numbers. "nearest": a
            triplet for each pair, with the nearest negative that is farther than the positive, or else the farthest
            negative.
        scale: factor of the loss, above 0: the divergence itself is of the order of 1e-3.
        unit_length: scale each row of either side to Euclidean length 1 first, as the authors do, and as margin,
            temperature and scale assume: needed where networks are free in the length of their embeddings, as for
            classification. The gradient flows through the scaling; a row of zeros stays, and gets none.

    Returns:
        Scalar in nats times `scale`, never below 0 by more than rounding (1e-12 of `scale`); 0, with gradient 0, where
        no tuple can be formed. float64 if either input is, else float32 (half precision is widened first).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating matrix, the batch sizes differ, labels have another shape or are not
            whole numbers, or an option is out of its range.

    Numerics:
        Distances are computed in the type of the result; the divergence, a small difference of large logarithms, in
        float64. The loss of a student that is not finite is not finite either; nor is it where squared distances leave
        the type (float32: distances above 1e18).

    Cost:
        Memory a few times ``pairs batch`` numbers, for the pairs of anchor and positive; independent of `dim`.

    Source:
        arXiv:2205.01915; njulus/GKD@a37fc79, with masks as in njulus/ReFilled@be649aa (`flag_merge`). "all" follows
        the text of the paper; "fewest" GKD's code, whose tuples are therefore nearly always triplets; "each" is
        ReFilled's default and "nearest" that of June 2020, both with half the scale (see `REFILLED_PRESETS`).
        Departure: a batch without tuples ends the authors' program; here its loss is 0.
    """
    _check_options(temperature=temperature, margin=margin, scale=scale)
    _check_choice("negatives", negatives, Negatives)
    student, teacher = check_rows(student, teacher, unit_length=unit_length)
    labels = _checked_labels(labels, len(student))
    distances, target = pairwise_distances(student).double(), pairwise_distances(teacher).double()
    anchors, members, real = _tuples(distances.detach(), labels, margin, negatives)
    own, target = (
        _tuple_log_probabilities(sides[anchors, members] / temperature, real) for sides in (distances, target)
    )
    divergence = kl_div(own, target, reduction="sum", log_target=True) / max(len(members), 1)
    unseen = 0 * distances.sum()  # not finite where a row isn't, also if no tuple has it
    return (scale * divergence + unseen).to(student.dtype)


def _tuples(distances: Tensor, labels: Tensor, margin: float, negatives: Negatives) -> tuple[Tensor, Tensor, Tensor]:
    """The tuples that are compared.

    Returns:
        Anchors ``(tuples, 1)``; members ``(tuples, size)``, the positive first; and which members count, likewise.
    """
    pairs_of_labels = torch.stack(positive_pairs(labels))
    other_class = labels[pairs_of_labels[0], None] != labels
    anchors, positives = beside(pairs_of_labels, distances)
    gaps = distances[anchors] - distances[anchors, positives, None]
    chosen = _chosen(gaps, beside(other_class, distances), margin, negatives)
    if negatives == "each":
        pairs, others = chosen.nonzero(as_tuple=True)
        members = torch.stack([positives[pairs], others], dim=1)
        return anchors[pairs, None], members, torch.ones_like(members, dtype=torch.bool)
    found = other_class if negatives == "nearest" else chosen  # the nearest is found wherever there is any
    pairs = beside(found.any(dim=1).nonzero().squeeze(1), distances)
    rows = torch.arange(len(labels), device=distances.device).expand(len(pairs), -1)
    real = torch.cat([torch.ones_like(pairs[:, None], dtype=torch.bool), chosen[pairs]], dim=1)
    return anchors[pairs, None], torch.cat([positives[pairs, None], rows], dim=1), real


def _chosen(gaps: Tensor, negative: Tensor, margin: float, negatives: Negatives) -> Tensor:
    """Flags of each pair's negatives, ``(pairs, batch)``; `gaps`: how much farther than the positive each row is."""
    if negatives == "nearest":
        return _nearest_outside(gaps, negative)
    chosen = negative & (gaps > 0) & (gaps <= margin)
    if negatives != "fewest":
        return chosen
    counts = chosen.sum(dim=1)
    fewest = counts.masked_fill(counts == 0, chosen.shape[1]).amin() if len(counts) else 0
    return chosen & (chosen.cumsum(dim=1) <= fewest)


def _nearest_outside(gaps: Tensor, negative: Tensor) -> Tensor:
    """Flags of one negative per pair: the nearest of those farther than the positive, else the farthest of all."""
    outside = gaps.masked_fill(~negative | (gaps <= 0), torch.inf)
    farthest = gaps.masked_fill(~negative, -torch.inf).argmax(dim=1)
    index = torch.where(outside.isfinite().any(dim=1), outside.argmin(dim=1), farthest)
    return negative & (torch.arange(gaps.shape[1], device=gaps.device) == index[:, None])


def _tuple_log_probabilities(distances: Tensor, real: Tensor) -> Tensor:
    """Log-probabilities of the members of each tuple; what does not count gets probability 0."""
    return (-distances).masked_fill(~real, torch.finfo(distances.dtype).min).log_softmax(dim=1)


def class_centres(embeddings: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The mean of each class's rows, scaled to Euclidean length 1.

    Args:
        embeddings: ``(count, dim)``, floating, not brought to unit length first. Get no gradient.
        labels: ``(count,)``, class numbers below `classes`.
        classes: number of classes.

    Returns:
        ``(classes, dim)``, float64 if `embeddings` are, else float32; a class without rows has zeros.

    Raises:
        TypeError: `embeddings` are not a torch tensor.
        ValueError: wrong shapes, no rows, or a label that is not a whole number from 0 to below `classes`.

    Source:
        njulus/GKD@a37fc79. The code divides by another count than the class's; at unit length it makes no difference.
        Departure: the code takes randomly cropped and mirrored views of the training images, and keeps the means in a
        file; a run here takes their test views, each time anew.
    """
    _, rows = check_inputs(embeddings, embeddings)
    labels = _checked_labels(labels, len(rows), classes)
    sums = rows.new_zeros(classes, rows.shape[1], dtype=torch.float64).index_add_(0, labels, rows.double())
    return unit_rows(sums).to(rows.dtype)


def refilled_classifier(  # noqa: PLR0913 (a batch, and the options)
    student_logits: Tensor,
    teacher: Tensor,
    labels: Tensor,
    centres: Tensor,
    teacher_logits: Tensor | None = None,
    *,
    divergence_weight: float = 1.0,
    temperature: float = 1.0,
    student_temperature: float = 1.0,
    weighted: bool = False,
    average: Average = "image",
) -> Tensor:
    """REFILLED, second stage: cross-entropy, and soft labels from the teacher's nearest class means.

    With C the classes that occur in the batch, the teacher's logit of an image for a class of C is the inner product of
    its embedding (not at unit length) with the class's centre (at unit length). The loss is

        cross_entropy(student_logits, labels)
            +  divergence_weight * mean over images of  w KL( softmax(teacher's / temperature)
                                                   || softmax(student's, on C only, / student_temperature) ).

    Where `weighted`, an image counts less the less sure the teacher's own classifier is of any class: with e the
    negative logarithm of its largest probability, brought to [0, 1] over the batch, ``w = 2 sigmoid(-e)``, from 0.54
    to 1. Else w is 1. There is no factor of a squared temperature.

    Args:
        student_logits: ``(batch, classes)``, floating, for all classes of the student. Get the gradient.
        teacher: ``(batch, dim)``, floating: the teacher's embeddings of the images. A constant.
        labels: ``(batch,)``, class numbers; best on the host.
        centres: ``(classes, dim)``, floating, see `class_centres`. A constant.
        teacher_logits: ``(batch, teacher_classes)``, floating: of the teacher's own classifier, over the
            classes that it was trained on, which need not be the student's. A constant; needed where `weighted`,
            ignored elsewhere.
        divergence_weight: above 0.
        temperature: of the teacher, above 0.
        student_temperature: of the student, above 0.
        weighted: whether images have weights.
        average: "image": as above. "entry": divided by the number of classes in the batch as well.

    Returns:
        Scalar in nats, never below 0 by more than rounding (in float32 by 1e-6 of 1 + `divergence_weight`); float64 if
        the logits or the embeddings are, else float32 (half precision is widened first, under autocast too).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: wrong shapes, labels that are no class numbers, an option out of its range, or no `teacher_logits`
            where they are needed.

    Source:
        arXiv:2205.01915; njulus/GKD@a37fc79 (presets gkd2021, wgkd2021), njulus/ReFilled@be649aa (refilled2021).
        "entry" is the mean reduction of the code of June 2020 (cvpr2020). Departure: where the teacher is equally sure
        of all images of a batch, the code divides 0 by 0; here e is 0 and w is 1.
    """
    _check_options(
        divergence_weight=divergence_weight, temperature=temperature, student_temperature=student_temperature
    )
    _check_choice("average", average, Average)
    logits, embeddings = check_inputs(student_logits, teacher)
    labels, centres = _checked_labels(labels, len(logits), logits.shape[1]), as_floats("centres", centres)
    _check_centres(centres, logits.shape[1], embeddings.shape[1])
    present = beside(torch.unique(labels), logits)
    # in float64, which autocast leaves alone
    target = (embeddings.double() @ centres[present].detach().double().T).to(embeddings.dtype)
    own, target = (
        (logits[:, present] / student_temperature).log_softmax(dim=1),
        (target / temperature).log_softmax(dim=1),
    )
    divergences = kl_div(own, target, reduction="none", log_target=True).sum(dim=1)
    if weighted:
        divergences = divergences * _instance_weights(logits, teacher_logits)
    shares = len(present) if average == "entry" else 1
    return cross_entropy(logits, beside(labels, logits)) + divergence_weight * divergences.mean() / shares


def _instance_weights(logits: Tensor, teacher_logits: Tensor | None) -> Tensor:
    """Weight of each image, ``(batch,)``."""
    if teacher_logits is None:
        raise ValueError("weighted = True needs teacher_logits, the output of the teacher's classifier")
    _, given = check_inputs(logits, teacher_logits)
    doubts = -given.log_softmax(dim=1).amax(dim=1)
    doubts = doubts - doubts.amin()
    return 2 * torch.sigmoid(-doubts / doubts.amax().clamp_min(torch.finfo(doubts.dtype).tiny))


def _check_options(**options: float) -> None:
    for name, value in options.items():
        check_positive(name, value)


def _check_choice(name: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, not {value!r}")


def _check_centres(centres: Tensor, classes: int, dim: int) -> None:
    if centres.shape != (classes, dim):
        raise ValueError(
            f"centres must have the shape ({classes}, {dim}), a row for each class, not {tuple(centres.shape)}"
        )


def _checked_labels(labels: Tensor, count: int, classes: int | None = None) -> Tensor:
    labels = class_numbers(labels)
    if labels.shape != (count,):
        raise ValueError(f"labels must be whole numbers of the shape ({count},), not {tuple(labels.shape)}")
    if classes is not None and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"labels must lie in 0 to {classes - 1}, not in {int(labels.min())} to {int(labels.max())}")
    return labels
