"""Similarity-Preserving Knowledge Distillation (Tung and Mori, ICCV 2019, arXiv:1907.09682) on textures: DTD.

    relbench reproduce sp-dtd --device cuda
    relbench reproduce sp-dtd --seeds 0,1,2 --set data.partition=1

MobileNets that begin with ImageNet's weights are trained on the Describable Textures Dataset: the student alone, by KD,
by attention transfer and by SP. Each seed has one of the data set's ten partitions of its images, seed 0 the first and
seed 9 the last, and so has its teacher; a number is the mean over the ten. The paper's table was not seen: none of its
numbers is printed here. Its numbers are said to be medians over the partitions; `cells.csv` has the values of all ten.

The pairs are said to be MobileNet of width 0.25 of 0.5, 0.25 of 1.0 and 0.5 of 1.0, and MobileNetV2 of width 0.35 of
1.0, 0.35 of 1.4 and 1.0 of 1.4. Those of MobileNetV2 are left out: of the width 0.35 no library has ImageNet's weights,
and of 1.4 torchvision has none.

How the paper trained is not known. Protocol `paper` is a usual recipe for such networks, and ours: 60 epochs on the
training and the validation images of the partition, batches of 64, SGD with momentum 0.9 and Nesterov, weight decay
1e-4, a learning rate of 0.01, times 0.1 after 30 and 45 epochs; crops of random areas, mirrored, of 224 pixels. The
weights of the losses are those of Table 1 (`methods.py`).
"""

from collections.abc import Iterator

from relbench.experiment import Data, Training
from relbench.settings import changed
from relbench.studies.epoch_protocol import EpochProtocol, Recipe, pooled_net
from relbench.studies.sp import pairs
from relbench.studies.sp.methods import CROSS_ENTROPY, SOURCE, UNSEEN, terms_of
from relbench.studies.sp.pairs import ALONE
from relbench.studies.study import Cell, RunSpec, Scale, Stage, Study
from relbench.transforms import PhotoTransform

PARTITIONS = 10
PAIRS = (("0.5", "0.25"), ("1.0", "0.25"), ("1.0", "0.5"))  # widths of teacher and student
TUNED_WITH = PAIRS[1]

SGD = Training(
    optimizer="sgd",
    momentum=0.9,
    nesterov=True,
    learning_rate=0.01,
    decay=0.1,
    weight_decay=1e-4,
    batch_size=64,
    log_test_metrics=True,
)
RECIPE = Recipe(60, 3760, SGD, decay_after=(30, 45), rates=(0.001, 0.003, 0.01, 0.03), validate_every=5)
DATA = Data(name="dtd", size=224, split="images", transform=PhotoTransform(resized_crop=True))
MAPS = ("stage2", "stage3", "stage4")

NOTES = (
    *UNSEEN,
    "How the paper trained on these images is not known: epochs, rates and views are a usual recipe.",
    "Its pairs of MobileNetV2 are left out: of their widths 0.35 and 1.4 there are no ImageNet weights here.",
)
PARTITIONS_NOTES = (
    (
        "Each seed has another of the ten partitions: intervals and claims are about other partitions and trainings at "
        "once. The paper's numbers are said to be medians over the partitions."
    ),
    "Floors are of the first partition.",
)
FAIR_NOTE = (
    "A method's learning rate is chosen with width 0.25 of 1.0, on the first partition; of networks that have no "
    "teacher, with width 0.25. Validation images are the partition's own; images of the first that a rate was chosen "
    "with are test images of other partitions."
)


def runs(protocol: EpochProtocol) -> dict[str, RunSpec]:
    """By path."""

    def make(network: str, method: str = "", teacher: str = "", tuned_with: str = "") -> RunSpec:
        run = protocol.run(
            RECIPE,
            DATA,
            pooled_net(f"mobilenet-{network}", weights="imagenet"),
            (Stage(terms=terms_of(method, MAPS) if method else (CROSS_ENTROPY,)),),
            role="teacher" if not method and pairs.teaches(network, PAIRS) else "student",
            teacher=teacher,
            tuned_with=tuned_with,
        )
        return changed(run, {"partitions": PARTITIONS})

    return pairs.runs(PAIRS, TUNED_WITH, make)


def cells() -> Iterator[Cell]:
    """A row for each pair, a column for each method."""
    for pair in PAIRS:
        for column in pairs.COLUMNS:
            yield Cell(
                part="DTD, accuracy",
                row=f"MobileNet-{pair[1]} of MobileNet-{pair[0]}",
                column=column,
                metric="accuracy",
                run=pairs.path(pair, column),
            )


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The table under a protocol, at a scale."""
    under = EpochProtocol(protocol, scale)
    return Study(
        name="sp-dtd",
        title="Similarity-Preserving Knowledge Distillation: accuracy on DTD",
        source=SOURCE,
        notes=(*under.notes(), *((FAIR_NOTE,) if protocol == "fair" else ()), *NOTES),
        settings_notes=PARTITIONS_NOTES,
        variant={"protocol": protocol},
        scale=scale,
        seeds=tuple(range(PARTITIONS)),
        runs=runs(under),
        cells=tuple(cells()),
        claims=(
            pairs.claim("SP is better than training without a teacher", "SP", ALONE, PAIRS),
            pairs.claim("SP is better than KD", "SP", "KD", PAIRS),
            pairs.claim("SP is better than attention transfer", "SP", "AT", PAIRS),
        ),
        task_terms=(CROSS_ENTROPY,),
    )
