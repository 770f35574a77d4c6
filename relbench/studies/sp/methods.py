"""Losses that the tables of Similarity-Preserving Knowledge Distillation compare, and what is said of all its tables.

Tung and Mori, ICCV 2019, arXiv:1907.09682. SP's weight 3000 is in five public codes; the rest is
szagoruyko/attention-transfer@893df54, whose recipe the paper is said to follow: KD is 0.1 cross-entropy + 0.9 KD at
temperature 4, attention is cross-entropy + 1000 times the sum over the groups.
"""

from relbench.experiment import Term

CROSS_ENTROPY = Term(loss="cross_entropy")
METHODS = {"KD": "kd", "AT": "at", "SP": "sp"}  # as printed -> as in a path
SOURCE = "F. Tung, G. Mori, ICCV 2019, arXiv:1907.09682"
UNSEEN = (
    (
        "The paper's text and its tables were not seen, nor any code of its authors: losses and settings are those of "
        "public codes that are said to follow it."
    ),
)


def kd(temperature: float = 4.0, share: float = 0.9) -> tuple[Term, ...]:
    """Cross-entropy and KD, which has this share."""
    return (
        Term(loss="cross_entropy", weight=round(1 - share, 12)),
        Term(loss="hinton_kd", weight=share, options={"temperature": temperature}),
    )


def terms_of(method: str, maps: tuple[str, ...]) -> tuple[Term, ...]:
    """The loss of a method, as printed, between networks whose maps are these, the last one last."""
    return {
        "KD": kd(),
        "AT": (CROSS_ENTROPY, Term(loss="attention_transfer", weight=1000.0, layers=maps)),
        "SP": (CROSS_ENTROPY, Term(loss="similarity_preserving", weight=3000.0, layers=maps[-1:])),
    }[method]
