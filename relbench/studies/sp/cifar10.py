"""Table 1 of Similarity-Preserving Knowledge Distillation (Tung and Mori, ICCV 2019, arXiv:1907.09682): CIFAR-10.

    relbench reproduce sp-cifar10 --device cuda
    relbench reproduce sp-cifar10 --only '*wrn-16-1*' --protocol fair

Five pairs of wide ResNets: the student alone, taught by KD, by attention transfer, by SP, and its teacher. 25 numbers,
accuracies here, errors in the paper.

Nobody had the paper at hand. Six numbers are quoted by a survey (Gou et al., IJCV 2021, arXiv:2006.05525, Table 5),
which for the last pair swaps the names of teacher and student; the others are from memory, and marked so. The same
network has the same number in several pairs, as in the paper.

Protocol `paper` is the recipe that the paper is said to follow, that of attention transfer
(szagoruyko/attention-transfer@893df54): 200 epochs, batches of 128, SGD with momentum 0.9, without Nesterov; weight
decay 5e-4; a learning rate of 0.1, times 0.2 after 60, 120 and 160 epochs; images padded by 4 reflected pixels, cropped
and mirrored, normalised by that code's constants. Maps are the sums at the ends of the groups, before normalisation and
ReLU. KD, attention and SP: see `methods.py`; SP compares the last map. Weights begin as in RepDistiller's wide ResNets.

The paper's numbers are said to be medians of five runs. Here they are means of five.
"""

from collections.abc import Iterator

from relbench.experiment import Data, Training
from relbench.studies.epoch_protocol import EpochProtocol, Recipe, pooled_net
from relbench.studies.published import read_published
from relbench.studies.sp import pairs
from relbench.studies.sp.methods import CROSS_ENTROPY, SOURCE, UNSEEN, terms_of
from relbench.studies.sp.pairs import ALONE, TEACHER
from relbench.studies.study import Cell, RunSpec, Scale, Stage, Study
from relbench.transforms import SmallTransform

PAIRS = (  # teacher, student
    ("wrn-40-1", "wrn-16-1"),
    ("wrn-16-2", "wrn-16-1"),
    ("wrn-40-2", "wrn-16-2"),
    ("wrn-16-8", "wrn-16-2"),
    ("wrn-16-8", "wrn-40-2"),
)
TUNED_WITH = PAIRS[1]
REMEMBERED = {  # errors in percent, from memory, by pair: the student alone, by KD, by AT, by SP, the teacher
    ("wrn-40-1", "wrn-16-1"): (8.74, 8.48, 8.30, 8.13, 6.51),
    ("wrn-16-2", "wrn-16-1"): (8.74, 7.94, 8.28, 7.52, 6.07),
    ("wrn-40-2", "wrn-16-2"): (6.07, 6.00, 5.89, 5.52, 5.18),
    ("wrn-16-8", "wrn-16-2"): (6.07, 5.62, 5.47, 5.34, 4.24),
    ("wrn-16-8", "wrn-40-2"): (5.18, 4.86, 4.47, 4.55, 4.24),
}
FROM_MEMORY = "From memory: the paper's number was not seen in print."
IN_THE_SURVEY = {"Student (CE)": ALONE, "Teacher (CE)": TEACHER, "SP": "SP"}

SGD = Training(
    optimizer="sgd",
    momentum=0.9,
    learning_rate=0.1,
    decay=0.2,
    weight_decay=5e-4,
    batch_size=128,
    log_test_metrics=True,
)
RECIPE = Recipe(200, 50_000, SGD, decay_after=(60, 120, 160), rates=(0.01, 0.03, 0.1, 0.3), validate_every=10)
DATA = Data(name="cifar10", size=32, split="images", transform=SmallTransform(padding="reflect"))
MAPS = ("stage1", "stage2", "stage3")

NOTES = (
    *UNSEEN,
    (
        "Numbers without a mark are quoted by a survey (arXiv:2006.05525, Table 5). The paper's are said to be medians "
        "of five runs."
    ),
)
FAIR_NOTE = (
    "A method's learning rate is chosen with WRN-16-1 of WRN-16-2, and used for all students; of networks that have no "
    "teacher, with WRN-16-1."
)


def runs(protocol: EpochProtocol) -> dict[str, RunSpec]:
    """By path."""

    def make(network: str, method: str = "", teacher: str = "", tuned_with: str = "") -> RunSpec:
        return protocol.run(
            RECIPE,
            DATA,
            pooled_net(network, normalization="cifar10-at"),
            (Stage(terms=terms_of(method, MAPS) if method else (CROSS_ENTROPY,)),),
            role="teacher" if not method and pairs.teaches(network, PAIRS) else "student",
            teacher=teacher,
            tuned_with=tuned_with,
        )

    return pairs.runs(PAIRS, TUNED_WITH, make)


def cells() -> Iterator[Cell]:
    """The numbers: a row for each pair, a column for each method; those that were seen, else those from memory."""
    seen = {
        (told.fields["teacher"].lower(), told.fields["student"].lower(), IN_THE_SURVEY[told.fields["method"]]): told
        for told in read_published("sp_paper")
    }
    for pair in PAIRS:
        for column, error in zip(pairs.COLUMNS, REMEMBERED[pair], strict=True):
            told = seen.get((*pair, column))
            yield Cell(
                part="CIFAR-10, accuracy",
                row=f"{pair[1].upper()} of {pair[0].upper()}",
                column=column,
                metric="accuracy",
                run=pairs.path(pair, column),
                published=told.value if told else round(1 - error / 100, 4),
                doubt="" if told else FROM_MEMORY,
                source=told.source if told else FROM_MEMORY,
            )


CLAIMS = (
    pairs.claim("SP is better than training without a teacher", "SP", ALONE, PAIRS),
    pairs.claim("KD is better than training without a teacher", "KD", ALONE, PAIRS),
    pairs.claim("SP is better than KD", "SP", "KD", PAIRS),
    pairs.claim("SP is better than attention transfer, but for WRN-40-2", "SP", "AT", PAIRS[:-1]),
    pairs.claim("No student taught by SP beats its teacher", TEACHER, "SP", PAIRS),
)


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The table under a protocol, at a scale."""
    under = EpochProtocol(protocol, scale)
    return Study(
        name="sp-cifar10",
        title="Similarity-Preserving Knowledge Distillation, Table 1: accuracy on CIFAR-10",
        source=f"{SOURCE}, Table 1",
        notes=(*under.notes(), *((FAIR_NOTE,) if protocol == "fair" else ()), *NOTES),
        variant={"protocol": protocol},
        scale=scale,
        seeds=tuple(range(5)),
        runs=runs(under),
        cells=tuple(cells()),
        claims=CLAIMS,
        task_terms=(CROSS_ENTROPY,),
    )
